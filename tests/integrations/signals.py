"""Signals of the integrations' tests, what a stream makes of them, and how late something is."""

from __future__ import annotations

from typing import Any

import numpy as np

import rtdenoise
from tests.files.conftest import voice


def noisy(n: int, channels: int = 1, rate: int = 16000) -> np.ndarray:
    """A voice in noise, int16."""
    return np.round(voice(n, rate, channels) * 2**15).astype(np.int16).reshape((n, channels) if channels > 1 else n)


def expected(samples: np.ndarray, rate: int = 16000, **settings: Any) -> np.ndarray:
    """What a session must give: the stream's own output after a hop less one sample of silence."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    settings = {"preset": "low"} | settings
    stream = rtdenoise.stream(sample_rate=rate, channels=channels, channels_first=False, **settings)
    silence = np.full_like(samples[: stream.hop - 1], 128 if samples.dtype == np.uint8 else 0)
    return np.concatenate([silence, stream.process(samples)])[: len(samples)]


def delayed(samples: np.ndarray, late: int) -> np.ndarray:
    """The samples, so many later, as many of them."""
    return np.concatenate([np.zeros_like(samples[:late]), samples])[: len(samples)]


def lag(first: np.ndarray, second: np.ndarray) -> int:
    """How much later the second is, in samples, by cross-correlation."""
    n = len(first) + len(second)
    spectrum = np.conj(np.fft.rfft(first.astype(float), n)) * np.fft.rfft(second.astype(float), n)
    return int(np.argmax(np.fft.irfft(spectrum, n)[: len(first)]))


def cuts(n: int, seed: int = 0, longest: int = 1200) -> list[int]:
    """Random lengths, zero among them, that add up to n."""
    rng, lengths = np.random.default_rng(seed), [0]
    while sum(lengths) < n:
        lengths.append(min(int(rng.integers(0, longest)), n - sum(lengths)))
    return lengths
