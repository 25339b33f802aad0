"""Synthetic sources: no external audio is needed to test the measuring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ


def speech_like(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Harmonics with a moving pitch in syllables of a fifth of a second, a pause after every fourth."""
    n = int(seconds * SAMPLE_RATE_HZ)
    t = np.arange(n) / SAMPLE_RATE_HZ
    pitch = 120.0 + 30.0 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * t), 0.0, 1.0) * ((t % 1.6) < 1.2)
    return 0.1 * tone * syllables + 1e-5 * rng.standard_normal(n)


@pytest.fixture
def speech() -> np.ndarray:
    return speech_like(np.random.default_rng(7), 4.0)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Folders ``speech/<speaker>`` (7 of them) and ``noise/<label>`` (2), one of them at 44.1 kHz stereo."""
    rng = np.random.default_rng(11)
    for voice in range(7):
        folder = tmp_path / "speech" / f"speaker{voice}"
        folder.mkdir(parents=True)
        for take in range(2):
            soundfile.write(folder / f"{take}.wav", speech_like(rng, 2.0), SAMPLE_RATE_HZ)
    for label, rate, channels in (("hiss", 16000, 1), ("rumble", 44100, 2)):
        folder = tmp_path / "noise" / label
        folder.mkdir(parents=True)
        soundfile.write(folder / "a.wav", 0.1 * rng.standard_normal((2 * rate, channels)), rate)
    return tmp_path
