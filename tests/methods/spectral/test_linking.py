"""Linked channels: no channel harms another, and what several hear alike keeps its direction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.methods.spectral import hop as compiled
from tests.methods.spectral.test_behaviour import RATE, level_db, noise, voice
from tests.tolerances import LINKED_SIGNAL_ATOL

SECONDS = 4.0
VOICE = voice(SECONDS)


def denoised(channels: list[np.ndarray], method: str = "SS", mode: str = "linked", **more: object) -> np.ndarray:
    signal = np.stack(channels, 1).astype(np.float32)
    return rtdenoise.denoise(signal, RATE, method, channel_mode=mode, **more)


def error_db(found: np.ndarray, wanted: np.ndarray) -> float:
    """Signal over error, after the first half second."""
    found, wanted = found[RATE // 2 :].astype(float), wanted[RATE // 2 :].astype(float)
    return float(10 * np.log10(wanted @ wanted / ((found - wanted) @ (found - wanted))))


def share(found: np.ndarray, voice_alone: np.ndarray) -> float:
    """How loud the voice is in `found`."""
    found, voice_alone = found.astype(float), voice_alone.astype(float)
    return float(found @ voice_alone / (voice_alone @ voice_alone))


OTHERS = {
    "hiss, 20 dB louder": noise(SECONDS, 0.1, seed=1),
    "digital silence": np.zeros(VOICE.size, np.float32),
    "an offset": noise(SECONDS, 0.001, seed=1) + np.float32(0.3),
    "hum": (0.3 * np.sin(2 * np.pi * 50 * np.arange(VOICE.size) / RATE) + noise(SECONDS, 0.001, seed=1)),
    "another talker": np.roll(voice(SECONDS, 0.37, 0.11)[::-1], 1000) + noise(SECONDS, 0.01, seed=1),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("method", ["WF", "SS"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_good_channel_is_as_good_beside_a_bad_one(method, other, place):
    good = VOICE + noise(SECONDS, 0.01)
    channels = [good, OTHERS[other]] if place == 0 else [OTHERS[other], good]
    together, apart = (denoised(channels, method, mode)[:, place] for mode in ("linked", "each"))
    assert error_db(together, VOICE) > error_db(apart, VOICE) - 0.3


def test_noise_beside_a_dead_channel_is_reduced():
    """Digital silence in the first channel stopped the noise estimate of all."""
    out = denoised([np.zeros(VOICE.size), noise(SECONDS)])
    assert_array_equal(out[:, 0], 0.0)
    assert level_db(out[RATE:, 1]) < level_db(noise(SECONDS)[RATE:]) - 9


@pytest.mark.parametrize("method", ["WF", "SS"])
@pytest.mark.parametrize(("panned_db", "snr_db"), [(0, 10), (6, 15), (6, 5), (12, 20)])
def test_the_direction_of_a_voice_in_common_noise_stays(method, panned_db, snr_db):
    loud, quiet = VOICE, VOICE * 10 ** (-panned_db / 20)
    level = VOICE.std() * 10 ** (-snr_db / 20)
    out = denoised([loud + noise(SECONDS, level, 1), quiet + noise(SECONDS, level, 2)], method)
    kept_db = 20 * np.log10(share(out[:, 0], VOICE) / share(out[:, 1], VOICE))
    assert kept_db == pytest.approx(panned_db, abs=0.5)


def test_channels_apart_would_turn_the_voice():
    """What the test above would find without linking."""
    level = VOICE.std() * 10 ** (-5 / 20)
    out = denoised([VOICE + noise(SECONDS, level, 1), VOICE / 2 + noise(SECONDS, level, 2)], "WF", "each")
    assert abs(20 * np.log10(share(out[:, 0], VOICE) / share(out[:, 1], VOICE)) - 6.02) > 0.5


@pytest.mark.parametrize("method", ["WF", "SS"])
def test_opposite_phases_are_one_voice(method):
    noisy = VOICE + noise(SECONDS)
    out = denoised([noisy, -noisy], method)
    assert_array_equal(out[:, 0], -out[:, 1])
    assert_allclose(out[:, 0], rtdenoise.denoise(noisy, RATE, method), atol=LINKED_SIGNAL_ATOL)


@pytest.mark.parametrize("channels", [2, 6])
def test_one_signal_in_all_channels_comes_out_as_alone(channels):
    noisy = VOICE + noise(SECONDS)
    alone = rtdenoise.denoise(noisy, RATE, "WF")
    for column in denoised([noisy] * channels, "WF").T:
        assert_allclose(column, alone, atol=LINKED_SIGNAL_ATOL)


@pytest.mark.parametrize("channels", [2, 3])
def test_the_order_of_channels_does_not_matter(channels):
    signals = [VOICE * (1 - 0.4 * c) + noise(SECONDS, 0.01 * (c + 1), c) for c in range(channels)]
    first = denoised(signals, "WF")
    for order in itertools.permutations(range(channels)):
        out = denoised([signals[c] for c in order], "WF")
        assert_allclose(out, first[:, order], atol=0 if channels == 2 else LINKED_SIGNAL_ATOL)


def test_six_channels_of_which_one_is_broken():
    good = [VOICE * 0.8**c + noise(SECONDS, 0.01, c) for c in range(5)]
    out = denoised([*good, noise(SECONDS, 0.3, 9)], "SS")
    assert error_db(out[:, 0], VOICE) > error_db(good[0], VOICE) + 2
    levels_db = [20 * np.log10(share(out[:, c], VOICE)) for c in range(5)]
    assert np.diff(levels_db) == pytest.approx([20 * np.log10(0.8)] * 4, abs=0.5)


def test_chunks_give_what_the_whole_gives():
    signal = np.stack([VOICE + noise(SECONDS), noise(SECONDS, 0.1, 1)], 1)
    stream = rtdenoise.stream("WF", sample_rate=RATE, channels=2)
    parts = [stream.process(part) for part in np.split(signal, [1, 700, 701, 20000])]
    joined = np.concatenate([*parts, stream.flush()])
    assert_array_equal(joined[stream.latency_samples :], rtdenoise.denoise(signal, RATE, "WF"))


def test_one_linked_channel_is_the_mono_hop():
    """Live audio runs mono through the linked hop, too."""
    denoiser = rtdenoise.build("WF", sample_rate=RATE)
    signal = (VOICE + noise(SECONDS))[: 100 * denoiser.hop]
    alone, linked = np.empty_like(signal), np.empty((signal.size, 1), np.float32)
    denoiser.process_hops(signal, alone)
    denoiser.reset()
    compiled.hops_linked(signal[:, np.newaxis].copy(), linked, denoiser.hop, denoiser.state)
    assert_array_equal(linked[:, 0], alone)


def test_what_is_written_into_the_first_record_holds_for_all():
    """A live session changes method, limit and share there while audio runs."""
    denoiser = rtdenoise.build("WF", sample_rate=RATE, channels=2)
    denoiser.state["gain_min"][0] = 1.0
    signal = np.stack([VOICE + noise(SECONDS), noise(SECONDS, 0.1, 1)], 1)[: 100 * denoiser.hop]
    out = np.empty_like(signal)
    denoiser.process_hops(signal, out)
    late = denoiser.latency_samples
    assert_allclose(out[late:], signal[:-late], atol=LINKED_SIGNAL_ATOL)
