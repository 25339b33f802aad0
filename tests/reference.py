"""Every kernel once more, in float64, straight from its paper: slow, short and obvious."""

from __future__ import annotations

import math

import numpy as np


def resampled(x, rate_in, rate_out, n_out, extra_ticks):
    """Windowed-sinc interpolation as one sum per output, normalised per phase."""
    common = math.lcm(rate_in, rate_out)
    nyquist_hz = min(rate_in, rate_out) / 2
    width = (80.0 - 8.0) / (2.285 * 2 * math.pi * 0.2 * nyquist_hz)
    half = math.ceil(width / 2 * common)
    beta = 0.1102 * (80.0 - 8.7)
    step_in, step_out = common // rate_in, common // rate_out
    y = np.zeros(n_out)
    for j in range(n_out):
        centre = j * step_out - half - extra_ticks
        newest = (j * step_out - extra_ticks) // step_in
        taps = np.arange(newest, newest - (2 * half // step_in + 1), -1)
        ticks = centre - taps * step_in
        window = np.where(abs(ticks) <= half, np.i0(beta * np.sqrt(np.clip(1 - (ticks / half) ** 2, 0, None))), 0.0)
        weights = np.sinc(2 * nyquist_hz * ticks / common) * window
        inside = (taps >= 0) & (taps < len(x))
        y[j] = np.sum(weights[inside] * x[taps[inside]]) / weights.sum()
    return y
