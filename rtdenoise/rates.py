"""Supported sample rates, their validation, and whole signals at another rate."""

from __future__ import annotations

import math
import numbers
from typing import Any

from rtdenoise.errors import ConfigError, shortened

RATE_MIN_HZ, RATE_MAX_HZ = 8_000, 192_000
_PASSBAND = 0.9  # of half the lower rate: what a resampler lets through


def check_rate(sample_rate: Any, name: str = "sample_rate") -> int:
    """Return `sample_rate` as an int if it is supported.

    Parameters
    ----------
    sample_rate : number
        Numpy scalars and 0-d arrays are accepted.
    name : str
        Name of the parameter, for the message.

    Raises
    ------
    ConfigError
        Outside 8 to 192 kHz, or not a whole number.
    """
    if getattr(sample_rate, "shape", None) == ():  # as returned by np.load
        sample_rate = sample_rate.item()
    number = isinstance(sample_rate, numbers.Real) and not isinstance(sample_rate, bool)
    if number and RATE_MIN_HZ <= sample_rate <= RATE_MAX_HZ and sample_rate == math.floor(sample_rate):
        return int(sample_rate)
    remedy = ""
    if number and 0 < sample_rate < math.inf and not RATE_MIN_HZ <= sample_rate <= RATE_MAX_HZ:
        nearest = RATE_MIN_HZ if sample_rate < RATE_MIN_HZ else RATE_MAX_HZ
        remedy = f"; resample the signal first, to {nearest} Hz for example"
    shown = f"{shortened(sample_rate)} Hz" if number else shortened(sample_rate)
    raise ConfigError(f"{name}={shown} must be a whole number of Hz from {RATE_MIN_HZ} to {RATE_MAX_HZ}{remedy}")


def passed_hz(sample_rate: float, processing_rate: float) -> float:
    """Highest frequency that comes out of a method that runs at another rate than its stream, between resamplers."""
    lower = min(sample_rate, processing_rate)
    return lower / 2 if sample_rate == processing_rate else _PASSBAND * lower / 2


def resample(signal: Any, rate_hz: int, wanted_hz: int) -> Any:
    """A whole ``(n,)`` or ``(n, channels)`` signal at another rate; streams have `rtdenoise.streaming.resampler`."""
    import soxr

    return soxr.resample(signal, rate_hz, wanted_hz)
