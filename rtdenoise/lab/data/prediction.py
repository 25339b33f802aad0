"""Linear prediction of a voice: the filter that holds a frame's formants."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from rtdenoise.typing import F64

FRAME = 640  # 40 ms at 16 kHz
_ORDER = 18
_WHITE = 1e-4  # of the energy, added to the correlation: keeps the prediction stable
_TINY = 1e-12


def predictor(frame: F64) -> F64:
    """Coefficients of the error filter by the autocorrelation method, the first of them 1.

    Parameters
    ----------
    frame : (FRAME,) float64, read
        Windowed.

    Returns
    -------
    (19,) float64
    """
    correlation = np.correlate(frame, frame, "full")[FRAME - 1 : FRAME + _ORDER]
    correlation[0] = (1.0 + _WHITE) * correlation[0] + _TINY
    return np.concatenate([[1.0], -linalg.solve_toeplitz(correlation[:-1], correlation[1:])])
