"""Voiced or not: against its float64 twin, and what it says of vowels, noise and clicks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.kernels.clean_speech import voicing
from rtdenoise.methods.recording import fill_recording, recording_fields
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import VOICING_ATOL

RATES = (8000, 11025, 12000, 16000, 22050, 44100, 48000, 96000, 192000)


def voiced(signal: np.ndarray, rate: int, frame_seconds: float = 0.032) -> float:
    """How voiced the last frame of a signal is."""
    framing = scaled_framing(rate, frame_seconds=frame_seconds, span_seconds=0.008, overlap=2)
    record = np.zeros(1, np.dtype(recording_fields(), align=True))
    fill_recording(record[0], framing)
    fields = [record[0][name] for name in ("voice_counts", "voice_sections", "voice_low", "voice_products")]
    history = signal[-framing.frame :].astype(np.float32)
    found = float(voicing.voicing(history, *fields))
    assert_allclose(found, reference.voicing(history.astype(float), rate), atol=VOICING_ATOL)
    return found


def vowel(rate: int, pitch_hz: float) -> np.ndarray:
    t = np.arange(round(0.05 * rate)) / rate
    above = range(1, int(3000 / pitch_hz))
    return sum(np.cos(2 * np.pi * k * pitch_hz * t + k * k) / k for k in above)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pitch_hz", [81.0, 110.0, 230.0, 550.0, 950.0])
def test_vowels_are_voiced_at_any_rate_and_level(rate, pitch_hz):
    signal = vowel(rate, pitch_hz)
    for level in (1e-4, 1.0, 1e4):
        assert voiced(level * signal, rate) > 0.94


@pytest.mark.parametrize("rate", RATES)
def test_noise_clicks_and_knocks_are_not_voiced(rate):
    rng = np.random.default_rng(rate)
    n = round(0.05 * rate)
    since = np.maximum(np.arange(n) / rate - 0.03, 0.0)
    for _ in range(10):
        noise = rng.standard_normal(n)
        assert voiced(noise, rate) < 0.85
        assert voiced(np.cumsum(noise) / 30, rate) < 0.9, "rumble"
        assert voiced(noise * np.exp(-since / 0.004) * (since > 0), rate) < 0.85, "a click"
        assert voiced(np.sin(2 * np.pi * 300 * since) * np.exp(-since / 0.002), rate) < 0.85, "a knock"


def test_silence_and_a_constant_are_not_voiced():
    assert voiced(np.zeros(1000), 16000) == 0.0
    assert voiced(np.full(1000, 0.5), 16000) == 0.0


def test_a_short_frame_still_tells_high_voices_from_noise():
    assert voiced(vowel(16000, 300.0), 16000, 0.016) > 0.94
    rng = np.random.default_rng(2)
    assert np.median([voiced(rng.standard_normal(800), 16000, 0.016) for _ in range(20)]) < 0.85


def test_what_was_louder_before_leaves_no_trace():
    """The norm of each lag is updated by adding and taking away."""
    signal = vowel(16000, 150.0) * 1e-4
    signal[-512:-400] += 1e3 * np.random.default_rng(3).standard_normal(112)
    voiced(signal, 16000)
