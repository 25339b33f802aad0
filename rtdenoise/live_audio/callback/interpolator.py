"""The low-pass filters by which one clock's samples are played by another clock."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32

TAPS, PHASES = 32, 256
_PASSBAND = 0.92
_KAISER_BETA = 7.0


def interpolator(rate_in: float, rate_out: float) -> F32:
    """A low-pass filter at every phase between two samples.

    Parameters
    ----------
    rate_in, rate_out : float
        Hz.

    Returns
    -------
    (PHASES + 1, TAPS) float32
        Row ``p`` weighs the samples around a position ``p / PHASES`` after sample ``TAPS // 2 - 1``.
    """
    cutoff = _PASSBAND * min(1.0, rate_out / rate_in)
    offsets = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - np.arange(PHASES + 1)[:, None] / PHASES
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1.0 - (offsets / (TAPS / 2)) ** 2, 0.0, None)))
    table = np.sinc(cutoff * offsets) * window
    return np.ascontiguousarray(table / table.sum(axis=1, keepdims=True), np.float32)
