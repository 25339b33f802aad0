"""Held vowels and sung notes, synthesised from recorded voices, because corpora hardly contain any."""

from __future__ import annotations

import numpy as np
from scipy import signal

from rtdenoise.lab.data.prediction import FRAME, predictor
from rtdenoise.typing import F32, F64

_RATE_HZ = 16000
_HIGHEST_HZ = 7500.0
_TINY = 1e-9


def held_vowels(voice: F32, rng: np.random.Generator) -> F32:
    """Vowels held for half a second to six seconds each, with pauses, as long as `voice`.

    Each takes its formants from one of the loudest frames of the voice (linear prediction), or in four of ten cases
    from nothing but a falling series of harmonics; the pitch has vibrato and drifts, the level trembles a little.

    Parameters
    ----------
    voice : (n,) float32
        At 16 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    (n,) float32
        About the level of the voice.
    """
    out = np.zeros(voice.size, np.float32)
    level = float(np.sqrt(np.mean(np.square(voice), dtype=np.float64)))
    start = int(rng.uniform(0.0, 1.5) * _RATE_HZ)
    while start < voice.size:
        n = int(0.5 * 12.0 ** rng.random() * _RATE_HZ)
        source, tilted = _pulses(rng, n)
        if not tilted:
            source = signal.lfilter([1.0], _poles(voice, rng), source)
        note = source * _envelope(rng, n)
        note *= level / (float(np.sqrt(np.mean(note**2))) + _TINY)
        out[start : start + n] += note[: voice.size - start].astype(np.float32)
        start += n + int(rng.uniform(0.05, 1.2) * _RATE_HZ)
    return out


def _pulses(rng: np.random.Generator, n: int) -> tuple[F32, bool]:
    """Harmonics of a pitch with vibrato: all alike, or (second value) falling as a vowel's do."""
    time = np.arange(n) / _RATE_HZ
    vibrato = rng.uniform(0.0, 0.02) * np.sin(2 * np.pi * rng.uniform(3.5, 7.5) * time + rng.uniform(0.0, 6.3))
    knots = rng.normal(0.0, 0.01, max(2, n // 4000))
    drift = np.interp(np.linspace(0, knots.size - 1, n), np.arange(knots.size), knots)
    hz = 80.0 * 6.0 ** rng.random() * (1.0 + vibrato + drift)
    phase = 2 * np.pi * np.cumsum(hz) / _RATE_HZ
    count = max(1, int(_HIGHEST_HZ / hz.max()))
    tilted = rng.random() < 0.4
    if not tilted:  # 1 + 2 cos x + ... + 2 cos Kx, in closed form
        half = np.sin(0.5 * phase)
        near = np.abs(half) < 1e-4
        pulses = np.where(near, 2 * count + 1.0, np.sin((count + 0.5) * phase) / np.where(near, 1.0, half))
        return (pulses - 1.0).astype(np.float32), False
    fall, total = rng.uniform(0.7, 1.8), np.zeros(n)
    for harmonic in range(1, min(count, int(rng.integers(5, 30))) + 1):
        total += harmonic**-fall * np.sin(harmonic * phase + rng.uniform(0.0, 6.3))
    return total.astype(np.float32), True


def _poles(voice: F32, rng: np.random.Generator) -> F64:
    """The predictor of a frame drawn from the loudest fifth of the voice."""
    n_frames = voice.size // FRAME
    if n_frames == 0:
        return np.ones(1)
    frames = voice[: n_frames * FRAME].reshape(n_frames, FRAME).astype(np.float64)
    loudest = np.argsort(np.sum(frames**2, axis=1))[-max(1, n_frames // 5) :]
    return predictor(frames[rng.choice(loudest)] * np.hanning(FRAME))


def _envelope(rng: np.random.Generator, n: int) -> F32:
    """Rises within 5 to 80 ms, falls within 20 to 200, and trembles by up to 2 dB in between."""
    time = np.arange(n) / _RATE_HZ
    tremor = rng.uniform(0.0, 1.0) * np.sin(2 * np.pi * rng.uniform(0.3, 7.0) * time + rng.uniform(0.0, 6.3))
    rise = np.minimum(1.0, time / rng.uniform(0.005, 0.08))
    fall = np.minimum(1.0, time[::-1] / rng.uniform(0.02, 0.2))
    return np.asarray(rise * fall * 10.0 ** (tremor / 20.0), np.float32)
