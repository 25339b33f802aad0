"""Timing loops for hops: compiled without the GIL, as in the audio callback, and one in Python."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.native import now_ns_at, pause
from rtdenoise.methods.spectral.hop import hop_of_each, hops
from rtdenoise.typing import F32, Denoiser

I64 = npt.NDArray[np.int64]


@kernel
def time_hops(blocks: F32, out: F32, states: Any, first_due_ns: int, period_ns: int, times: I64, scratch: I64) -> None:
    """Run hops when they are due, or back to back.

    Parameters
    ----------
    blocks : (n_blocks, hop) float32, read
        Used in turn.
    out : (hop,) float32, written
    states : (1,) record array, read and written
    first_due_ns, period_ns : int
        Monotonic time of the first block, and interval between blocks; a period of 0 runs back to back.
    times : (n, 2) int64, written
        Start and end of each hop.
    scratch : (2,) int64, written
    """
    for i in range(times.shape[0]):
        if period_ns > 0:
            left = first_due_ns + i * period_ns - now_ns_at(scratch)
            if left > 0:
                pause(left)
        times[i, 0] = now_ns_at(scratch)
        hops(blocks[i % blocks.shape[0]], out, out.size, states)
        times[i, 1] = now_ns_at(scratch)


@kernel
def time_nothing(times: I64, scratch: I64) -> None:
    """Same loop without a hop: the overhead of the timing itself."""
    for i in range(times.shape[0]):
        times[i, 0] = now_ns_at(scratch)
        times[i, 1] = now_ns_at(scratch)


@kernel
def time_streams(blocks: F32, outs: F32, states: Any, times: I64, scratch: I64) -> None:
    """One hop of each of many streams, repeatedly.

    Parameters
    ----------
    blocks, outs : (n_streams, hop) float32
    states : (n_streams,) record array
    times : (n, 2) int64, written
    scratch : (2,) int64, written
    """
    for i in range(times.shape[0]):
        times[i, 0] = now_ns_at(scratch)
        hop_of_each(blocks, outs, states)
        times[i, 1] = now_ns_at(scratch)


def time_calls(denoiser: Denoiser, blocks: F32, first_due_ns: int, period_ns: int, times: I64) -> None:
    """`time_hops` in Python, for engines called from there."""
    out = np.empty(blocks.shape[1], np.float32)
    clock = time.monotonic_ns
    for i in range(times.shape[0]):
        if period_ns:
            left = first_due_ns + i * period_ns - clock()
            if left > 0:
                time.sleep(left * 1e-9)
        block = blocks[i % blocks.shape[0]]
        times[i, 0] = clock()
        denoiser.process(block, out)
        times[i, 1] = clock()
