"""What is said of recordings that are not as the network hears them: another rate, several channels."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from rtdenoise.errors import MissingExtraError

_LOG = logging.getLogger(__name__)


def tell_adapted(paths: list[Path], sample_rate: int) -> None:
    """One line for files below the rate (their upper band stays empty), one above it, one for several channels."""
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("reading audio files needs soundfile: pip install soundfile") from error
    low: Counter[int] = Counter()
    high: Counter[int] = Counter()
    several = 0
    for path in paths:
        try:
            found = soundfile.info(path)
        except (OSError, RuntimeError):  # told of as unreadable
            continue
        if found.samplerate != sample_rate:
            (low if found.samplerate < sample_rate else high)[found.samplerate] += 1
        several += found.channels > 1
    for rates, what in ((low, "nothing is in their upper band"), (high, "what is above half of that is left out")):
        if rates:
            named = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(rates.items()))
            _LOG.warning("of %d files %s: resampled to %d Hz, %s", len(paths), named, sample_rate, what)
    if several:
        _LOG.warning("%d of %d files have several channels: their mean is used", several, len(paths))
