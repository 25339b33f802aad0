"""Ring positions shared by two processes, read and written with memory fences.

Python has no memory fence, and acquiring a lock does not order earlier stores: on ARM another processor may see the
new position before the samples.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.native import fence
from rtdenoise.live_audio.record import LIVE


@kernel
def samples_in(live: np.ndarray) -> int:
    """Number of noisy samples in the ring; all samples before it are visible.

    Parameters
    ----------
    live : (1,) record `LIVE`, read
    """
    n_in = live[0].n_in
    fence()
    return int(n_in)


@kernel
def publish(live: np.ndarray, position: int) -> None:
    """Publish that the ring holds output up to `position`; call after writing it.

    Parameters
    ----------
    live : (1,) record `LIVE`, written
    position : int
    """
    fence()
    live[0].engine_n = position


def prepare_positions() -> None:
    """Compile both kernels, or load them from the cache, before audio runs."""
    live = np.zeros(1, LIVE)
    publish(live, samples_in(live))
