"""An effect called as pedalboard's are: an array and its rate in, the same array without the noise out."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError

SIGNAL = np.random.default_rng(6).normal(0, 0.1, 4003).astype(np.float32)
STEREO = np.stack([SIGNAL, SIGNAL[::-1] / 2])  # (channels, n)


@cache
def effect():
    return rtdenoise.Effect("WF", preset="low")


@cache
def clean():
    return rtdenoise.denoise(SIGNAL, 16000, "WF", preset="low")


@cache
def clean_stereo():
    return rtdenoise.denoise(STEREO, 16000, "WF", preset="low")


def test_a_whole_array_comes_out_as_from_denoise():
    for _ in range(2):  # nothing of the first call is left in the second
        assert_array_equal(effect()(SIGNAL, 16000), clean())
        assert_array_equal(effect()(STEREO, 16000, reset=True), clean_stereo())
        assert_array_equal(effect().process(STEREO.T, 16000, 8192, True), clean_stereo().T)
        assert_array_equal(effect()(SIGNAL[np.newaxis], sample_rate=16000)[0], clean())


def test_the_shorter_axis_is_the_channels():
    """(2, 48) could be either for `denoise`, which asks; pedalboard's rule decides here."""
    assert effect()(STEREO[:, :48], 16000).shape == (2, 48)
    assert_array_equal(effect()(STEREO[:, :48], 16000), rtdenoise.denoise(STEREO[:, :48].T, 16000, preset="low").T)
    with pytest.raises(SignalError, match=r"shape \(2, 2\) could be .*say channels_first=True or False"):
        effect()(STEREO[:, :2], 16000)
    assert rtdenoise.Effect("bypass", channels_first=True)(STEREO[:, :2], 16000).shape == (2, 2)
    assert [rtdenoise.Effect("bypass")(np.zeros(shape, "f4"), 16000).shape for shape in ((2, 0), (0, 2), (1, 1))] == [
        (2, 0),
        (0, 2),
        (1, 1),
    ]


@pytest.mark.parametrize("signal", [SIGNAL, STEREO, STEREO.T, SIGNAL[np.newaxis]], ids=lambda signal: str(signal.shape))
def test_pieces_are_one_signal(signal):
    axis = int(np.argmax(signal.shape))
    for _ in range(2):
        parts = [effect()(part, 16000, reset=False) for part in np.array_split(signal, 7, axis)]
        joined = np.concatenate([*parts, effect().flush()], axis)
        assert_array_equal(joined, effect()(signal, 16000))


def test_reset_and_whole_arrays_forget_the_pieces_before():
    for forget in (effect().reset, lambda: effect()(SIGNAL, 16000)):
        effect()(SIGNAL[:1000], 16000, reset=False)
        forget()
        parts = [effect()(part, 16000, reset=False) for part in (SIGNAL[:100], SIGNAL[100:])]
        assert_array_equal(np.concatenate([*parts, effect().flush()]), clean())


def test_pairs_and_types_are_kept():
    integers = np.rint(SIGNAL * 30000).astype(np.int16)
    rate, whole = effect()((16000, integers))
    assert rate == 16000 and whole.dtype == np.int16
    assert_array_equal(whole, rtdenoise.denoise(integers, 16000, preset="low"))
    parts = [effect()((16000, part), reset=False) for part in (integers[:100], integers[100:])]
    assert_array_equal(np.concatenate([*(part for _, part in parts), effect().flush()]), whole)


def test_what_does_not_continue_a_signal_is_named():
    effect = rtdenoise.Effect("bypass")
    with pytest.raises(SignalError, match="no signal is going on; give its pieces with reset=False"):
        effect.flush()
    first = effect(SIGNAL[:100], 16000, reset=False)
    with pytest.raises(SignalError, match=r"at 48000 Hz does not continue a signal at 16000 Hz; call flush\(\) or"):
        effect(SIGNAL[:100], 48000, reset=False)
    with pytest.raises(SignalError, match=r"does not fit this stream"):
        effect(STEREO, 16000, reset=False)
    parts = [first, effect(SIGNAL[100:], 16000, reset=False), effect.flush()]
    assert_array_equal(np.concatenate(parts), SIGNAL)  # what was refused has left no trace


def test_bad_arguments_are_named_when_the_effect_is_made_or_called():
    with pytest.raises(ConfigError, match="unknown method 'WW'"):
        rtdenoise.Effect("WW")
    with pytest.raises(SignalError, match=r"Effect takes an array of samples, not the path 'a\.wav'"):
        effect()("a.wav", 16000)
    with pytest.raises(SignalError, match=r"shape \(2, 3, 4\)"):
        effect()(np.zeros((2, 3, 4), np.float32), 16000)
    with pytest.raises(ConfigError, match="sample_rate=7 Hz must be"):
        effect()(SIGNAL, 7)
