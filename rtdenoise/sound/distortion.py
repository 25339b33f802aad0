"""Signal-to-distortion ratio."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32


def si_sdr_db(clean: F32, enhanced: F32) -> float:
    """Scale-invariant signal-to-distortion ratio, dB (Le Roux et al. 2019, eq. 5), both signals freed of their mean.

    Parameters
    ----------
    clean, enhanced : (n,) float, read

    Returns
    -------
    float
        NaN where one of them is silent.
    """
    target = clean.astype(np.float64) - np.mean(clean, dtype=np.float64)
    estimate = enhanced.astype(np.float64) - np.mean(enhanced, dtype=np.float64)
    energy = float(target @ target)
    if energy <= 0.0 or not np.any(estimate):
        return float("nan")
    projection = (float(estimate @ target) / energy) * target
    rest = estimate - projection
    return float(10.0 * np.log10((projection @ projection + 1e-20) / (rest @ rest + 1e-20)))
