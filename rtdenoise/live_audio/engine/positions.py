"""Positions in the rings that two processes share, read and written in an order that every processor keeps.

Python has no memory fence, and a lock is none for what was stored before it was taken: ARM may show another processor
the new position before the samples.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.native import fence
from rtdenoise.live_audio.record import LIVE


@kernel
def samples_in(live: np.ndarray) -> int:
    """How many noisy samples are in the ring; those before are seen whole.

    Parameters
    ----------
    live : (1,) record `LIVE`, read
    """
    n_in = live[0].n_in
    fence()
    return int(n_in)


@kernel
def publish(live: np.ndarray, position: int) -> None:
    """Say that answers are in the ring up to `position`, after they are.

    Parameters
    ----------
    live : (1,) record `LIVE`, written
    position : int
    """
    fence()
    live[0].engine_n = position


def prepare_positions() -> None:
    """Compile both, or load them, before audio runs."""
    live = np.zeros(1, LIVE)
    publish(live, samples_in(live))
