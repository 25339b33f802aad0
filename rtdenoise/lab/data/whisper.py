"""Voices without their vocal folds, computed: few recordings of whispers are free to use."""

from __future__ import annotations

import numpy as np
from scipy import linalg, signal

from rtdenoise.typing import F32

_SIZE, _STEP = 640, 320  # 40 ms at 16 kHz, half overlapped
_ORDER = 18
_WHITE = 1e-4  # of the energy, added to the correlation: keeps the prediction stable
_TINY = 1e-12


def whispered(voice: F32, rng: np.random.Generator) -> F32:
    """The voice's formants with noise in place of its excitation: linear prediction, frame by frame.

    Parameters
    ----------
    voice : (n,) float32
        At 16 kHz.
    rng : numpy.random.Generator

    Returns
    -------
    (n,) float32
        A few decibels below the voice; one shorter than a frame becomes silence.
    """
    window = np.hanning(_SIZE)
    out = np.zeros(voice.size + _SIZE)
    for start in range(0, voice.size - _SIZE, _STEP):
        frame = voice[start : start + _SIZE].astype(np.float64) * window
        correlation = np.correlate(frame, frame, "full")[_SIZE - 1 : _SIZE + _ORDER]
        correlation[0] = (1.0 + _WHITE) * correlation[0] + _TINY
        poles = np.concatenate([[1.0], -linalg.solve_toeplitz(correlation[:-1], correlation[1:])])
        residual = signal.lfilter(poles, [1.0], frame)
        breath = rng.standard_normal(_SIZE) * np.sqrt(np.mean(residual**2))
        out[start : start + _SIZE] += window * signal.lfilter([1.0], poles, breath)
    return np.asarray(out[: voice.size], np.float32)
