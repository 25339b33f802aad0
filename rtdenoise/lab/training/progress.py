"""Progress of a training run."""

from __future__ import annotations

import dataclasses

LAST = "last.npz"
"""Checkpoint a run resumes from."""
BEST = "best.npz"
"""Checkpoint with the best validation score; missing until the first validation."""
STOPPED = "asked to stop"
"""Reason recorded when a signal ended the run."""


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
