"""Synthetic whispers from recorded voices, because few recordings of whispers are free to use."""

from __future__ import annotations

import numpy as np
from scipy import signal

from rtdenoise.lab.data.prediction import FRAME, predictor
from rtdenoise.typing import F32

_STEP = FRAME // 2


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
    window = np.hanning(FRAME)
    out = np.zeros(voice.size + FRAME)
    for start in range(0, voice.size - FRAME, _STEP):
        frame = voice[start : start + FRAME].astype(np.float64) * window
        poles = predictor(frame)
        residual = signal.lfilter(poles, [1.0], frame)
        breath = rng.standard_normal(FRAME) * np.sqrt(np.mean(residual**2))
        out[start : start + FRAME] += window * signal.lfilter([1.0], poles, breath)
    return np.asarray(out[: voice.size], np.float32)
