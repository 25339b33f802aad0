"""Samples of the wrong scale and channels that cancel: said once, with the remedy, at the caller's line."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

import rtdenoise
from rtdenoise.errors import SignalWarning

SIGNAL = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)


def said(signal: np.ndarray, **more: object) -> list[str]:
    """What `denoise` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rtdenoise.denoise(signal, 16000, **{"preset": "low", **more})
    assert all(w.category is SignalWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("signal", "remedy"),
    [
        (SIGNAL * 32768, "look like 16-bit integers, and full scale is 1.0; divide them by 32768"),
        (SIGNAL * 327, "divide them by 32768"),
        (SIGNAL * 150000, "divide them by 32768"),  # a mix of 16-bit signals, 7 dB over
        (SIGNAL.astype(float) * 2**23, "look like 24-bit integers, and full scale is 1.0; divide them by 8388608"),
        (SIGNAL * 2**31, "look like 32-bit integers, and full scale is 1.0; divide them by 2147483648"),
        ((SIGNAL * 32768).astype(">f4"), "divide them by 32768"),
        ((SIGNAL * 32768).astype(np.float16), "divide them by 32768"),
        (128 + 128 * np.clip(SIGNAL, -0.99, 0.99), "unsigned 8-bit integers, .*; subtract 128, then divide by 128"),
        (SIGNAL * 1e15, "far beyond full scale, which is 1.0 for floats"),
        ((SIGNAL * 32768).astype(np.int32), r"int32 but stay within 16 bits, .* give .astype\(np.int16\)"),
        (np.stack([SIGNAL, SIGNAL], 1) * 32768, "divide them by 32768"),
        (np.stack([SIGNAL, SIGNAL]) * 32768, "divide them by 32768"),
        (np.where(np.arange(16000) == 7, np.nan, SIGNAL * 32768), "divide them by 32768"),
    ],
)
def test_the_wrong_scale_names_the_right_divisor(signal, remedy):
    with pytest.warns(SignalWarning, match=remedy) as caught:
        rtdenoise.denoise(signal, 16000, preset="low")
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize(
    "signal",
    [
        SIGNAL,
        SIGNAL * 20,  # clipped nowhere, 18 dB over full scale: a float recorder's
        SIGNAL[:0],
        np.zeros(100),
        (SIGNAL * 2**31 * 0.2).astype(np.int32),
        np.zeros(16000, np.int32),
        (SIGNAL * 200).astype(np.int32),  # the silence of a 24-bit converter
        (SIGNAL * 32768).astype(np.int16),
        np.full(100, np.nan, np.float32),
    ],
)
def test_ordinary_signals_pass_without_a_word(signal):
    assert said(signal) == []


def test_the_networks_are_why():
    """What the warning saves: a network takes int16 values for a scream in a storm and leaves little."""
    with pytest.warns(SignalWarning):
        lost = rtdenoise.denoise(SIGNAL * 32768, 16000, "CAN", model="can-small") / 32768
    kept = rtdenoise.denoise(SIGNAL, 16000, "CAN", model="can-small")
    assert not np.allclose(lost, kept, atol=1e-3)


def test_one_warning_a_stream_at_the_callers_line():
    stream = rtdenoise.stream("WF", sample_rate=16000, preset="low")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for chunk in np.split(SIGNAL * 32768, 50):
            stream.process(chunk)
        stream.flush()
    assert [(w.category, w.filename) for w in caught] == [(SignalWarning, __file__)]
    stream.reset()
    with pytest.warns(SignalWarning, match="divide them by 32768"):
        stream.process(SIGNAL * 32768)


def test_one_warning_a_line_for_many_calls():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for n in (3000, 3100, 3200):
            rtdenoise.denoise(SIGNAL[:n] * 32768, 16000, preset="low")
    assert len(caught) == 1


def test_a_stream_of_quiet_int32_is_given_a_second():
    stream = rtdenoise.stream("WF", sample_rate=16000, preset="low")
    quiet = (SIGNAL * 32768).astype(np.int32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stream.process(quiet[:15000])
        assert not caught
        stream.process(quiet[:2000])
    assert ["within 16 bits" in str(w.message) for w in caught] == [True]


def test_channels_that_cancel_are_said():
    opposite = np.stack([SIGNAL, -SIGNAL + SIGNAL[::-1] * 0.05], 1)
    assert ["opposite phases" in text for text in said(opposite, channel_mode="downmix")] == [True]
    assert said(opposite) == []
    assert said(np.stack([SIGNAL, SIGNAL[::-1]], 1), channel_mode="downmix") == []
    assert said(np.stack([SIGNAL, 0 * SIGNAL], 1), channel_mode="downmix") == []
    stream = rtdenoise.stream("WF", sample_rate=16000, channels=2, channel_mode="downmix")
    with pytest.warns(SignalWarning, match="opposite phases"):
        stream.process(opposite)
    stream.reset()
    stream.process(opposite[:100])
    with pytest.warns(SignalWarning, match="opposite phases"):
        stream.flush()


def test_bad_samples_are_still_logged(caplog):
    with caplog.at_level(logging.WARNING):
        said(np.where(np.arange(16000) == 7, np.nan, SIGNAL))
    assert "1 samples are NaN or infinite" in caplog.text
