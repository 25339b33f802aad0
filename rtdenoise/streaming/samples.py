"""Between the sample types users have and the float32 that denoisers work on."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.typing import F32, Audio

_INT16_SCALE = 32768.0


def to_float32(samples: Audio) -> F32:
    """Samples as contiguous float32 of full scale 1.0; int16 is divided by 32768, which is exact.

    Parameters
    ----------
    samples : (n,) or (n, channels), float32, float64 or int16, read

    Raises
    ------
    SignalError
        For any other dtype.
    """
    if samples.dtype == np.int16:
        scaled: F32 = np.divide(samples, _INT16_SCALE, dtype=np.float32)
        return scaled
    if samples.dtype in (np.float32, np.float64):
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which denoisers take for 0
            return np.ascontiguousarray(samples, np.float32)
    raise SignalError(f"samples of dtype {samples.dtype} cannot be read; convert them to float32, float64 or int16")


def from_float32(samples: F32, dtype: np.dtype[Any]) -> Audio:
    """Samples in the caller's `dtype`; int16 is rounded and limited to its range, never wrapped."""
    if dtype == np.int16:
        limited: Audio = np.clip(np.rint(samples * np.float32(_INT16_SCALE)), -32768, 32767).astype(np.int16)
        return limited
    converted: Audio = samples.astype(dtype)
    return converted
