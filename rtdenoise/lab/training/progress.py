"""Progress of a training run."""

from __future__ import annotations

import dataclasses

LAST = "last.npz"
"""The checkpoint a run goes on from."""
BEST = "best.npz"
"""The checkpoint with the best validation; missing until one was made."""
STOPPED = "asked to stop"
"""Why a run ended that a signal ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """Progress figures of a run.

    Attributes
    ----------
    step, steps : int
        Steps taken, and total steps.
    loss : float
        Of the last steps.
    audio_hours : float
        Audio processed so far, with repetition.
    audio_seconds_per_second, seconds_left : float
    """

    step: int
    steps: int
    loss: float
    audio_hours: float
    audio_seconds_per_second: float
    seconds_left: float
