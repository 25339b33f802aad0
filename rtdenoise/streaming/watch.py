"""Detect likely input mistakes: samples scaled for another dtype, channels that cancel in a downmix."""

from __future__ import annotations

import sys
import warnings

import numpy as np

from rtdenoise.errors import SignalWarning
from rtdenoise.typing import Audio

_PACKAGE = __name__.partition(".")[0]
_FULL_SCALES = (2.0**15, 2.0**23, 2.0**31)
_BITS = {2.0**15: 16, 2.0**23: 24, 2.0**31: 32}
_OVER = 2.0  # a mix of 16-bit signals may exceed their full scale without being a 24-bit signal
_FLOAT_MOST = 10.0  # 20 dB over full scale: more than any recorder or mix exceeds it by
_INT32_LEAST, _INT32_MOST = 2.0**8, 2.0**15  # below: 24-bit silence; above: a recording
_QUIET_SECONDS = 1.0  # of int32 samples before the signal is reported as too quiet
_CANCELLED = 0.2  # relative to the power of the mean of uncorrelated channels: 7 dB less
_CANCELLED_SECONDS = 0.5


class InputWatch:
    """Checks the samples of one signal as they arrive; each remark is made once.

    Parameters
    ----------
    sample_rate : int
    downmixed : bool
        Whether the method processes the mean of the channels.
    """

    def __init__(self, sample_rate: int, *, downmixed: bool) -> None:
        self._rate, self._downmixed = sample_rate, downmixed
        self.reset()

    def reset(self) -> None:
        """Forget the signal."""
        self._peak, self._lowest, self._n_heard = 0.0, 0.0, 0
        self._own_power, self._mean_power, self._n_mixed = 0.0, 0.0, 0
        self._said: set[str] = set()

    def take(self, samples: Audio, *, last: bool = False) -> list[str]:
        """Take the next samples and return any new remarks.

        Parameters
        ----------
        samples : (n,) or (n, channels), read
            As passed by the user.
        last : bool
            Whether the signal ends here, however short it is.
        """
        if samples.size == 0 and not last:
            return []
        remarks = [self._scale(samples, last), self._downmix(samples, last) if self._downmixed else None]
        fresh = [text for text in remarks if text is not None and text not in self._said]
        self._said.update(fresh)
        return fresh

    def _scale(self, samples: Audio, last: bool) -> str | None:
        kind = samples.dtype.kind
        if samples.size and (kind == "f" or samples.dtype.str[1:] == "i4"):
            high, low = float(np.max(samples)), float(np.min(samples))
            if not (np.isfinite(high) and np.isfinite(low)):
                finite = samples[np.isfinite(samples)]
                high, low = (float(np.max(finite)), float(np.min(finite))) if finite.size else (0.0, 0.0)
            self._peak, self._lowest = max(self._peak, high, -low), min(self._lowest, low)
            self._n_heard += len(samples) if high > low else 0
        if kind == "f":
            return _float_remark(self._peak, self._lowest)
        enough = last or self._n_heard >= _QUIET_SECONDS * self._rate
        if samples.dtype.str[1:] == "i4" and enough and _INT32_LEAST < self._peak <= _INT32_MOST:
            return (
                "the samples are int32 but stay within 16 bits, 96 dB below full scale; "
                "if they are 16-bit values, give .astype(np.int16)"
            )
        return None

    def _downmix(self, samples: Audio, last: bool) -> str | None:
        if samples.ndim == 2 and samples.size:
            values = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            self._own_power += float(np.mean(np.square(values), axis=1).sum())
            self._mean_power += float(np.square(np.mean(values, axis=1)).sum()) * samples.shape[1]
            self._n_mixed += len(samples)
        enough = last or self._n_mixed >= _CANCELLED_SECONDS * self._rate
        if enough and self._mean_power < _CANCELLED * self._own_power:
            return (
                "the channels cancel each other in the downmix (opposite phases); "
                "process them linked or each, or invert one"
            )
        return None


def _float_remark(peak: float, lowest: float) -> str | None:
    if peak <= _FLOAT_MOST:
        return None
    if peak <= 256.0 and lowest >= 0.0:
        return (
            "the samples are floats that look like unsigned 8-bit integers, and full scale is 1.0; "
            "subtract 128, then divide by 128"
        )
    full_scale = next((scale for scale in _FULL_SCALES if peak <= _OVER * scale), None)
    if full_scale is None:
        return "the samples are far beyond full scale, which is 1.0 for floats; divide them by their full scale"
    return (
        f"the samples are floats that look like {_BITS[full_scale]}-bit integers, and full scale is 1.0; "
        f"divide them by {full_scale:.0f}"
    )


def warn_caller(remark: str) -> None:
    """Issue a `SignalWarning` that points at the line calling this package."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(remark, SignalWarning, stacklevel=level)
