"""Pairs of a sample rate and samples, as gradio and FastRTC pass audio."""

from __future__ import annotations

import numbers
from typing import Any

from rtdenoise.errors import SignalError, shortened
from rtdenoise.rates import check_rate


def split_pair(value: Any) -> tuple[int | None, Any]:
    """Return the rate and the samples of a pair ``(rate, samples)``, or None and the value itself.

    Raises
    ------
    SignalError
        If it is a pair the other way round.
    ConfigError
        If the rate is out of range.
    """
    if not isinstance(value, tuple) or len(value) != 2:
        return None, value
    first, second = value
    numeric = isinstance(first, numbers.Real), isinstance(second, numbers.Real)
    if numeric == (True, False):
        return check_rate(first), second
    if numeric == (False, True):
        raise SignalError(
            f"a pair of samples and rate: give the rate first, ({shortened(second)}, samples), or the samples alone"
        )
    return None, value
