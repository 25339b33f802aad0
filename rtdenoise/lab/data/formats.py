"""Describe recordings whose format differs from the network's: another rate, several channels."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

_LOG = logging.getLogger(__name__)


class Form(NamedTuple):
    """Storage format of a recording."""

    sample_rate: int
    channels: int


def tell_adapted(forms: Sequence[Form], count: int, sample_rate: int) -> None:
    """One line for files below the rate (their upper band stays empty), one above it, one for several channels.

    Parameters
    ----------
    forms
        Of the files that can be read.
    count : int
        All files.
    sample_rate : int
        The network's.
    """
    low: Counter[int] = Counter(form.sample_rate for form in forms if form.sample_rate < sample_rate)
    high: Counter[int] = Counter(form.sample_rate for form in forms if form.sample_rate > sample_rate)
    for rates, what in ((low, "nothing is in their upper band"), (high, "what is above half of that is left out")):
        if rates:
            named = ", ".join(f"{n} at {rate} Hz" for rate, n in sorted(rates.items()))
            _LOG.warning("of %d files %s: resampled to %d Hz, %s", count, named, sample_rate, what)
    several = sum(form.channels > 1 for form in forms)
    if several:
        _LOG.warning("%d of %d files have several channels: their mean is used", several, count)
