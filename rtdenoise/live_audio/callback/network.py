"""A compiled network inside the callback: it gives its answers where an engine process would.  Nopython code."""

from __future__ import annotations

import numba
import numpy as np
from numba import carray

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.native import pointer_to
from rtdenoise.methods.can.compiled.grid import frames_header
from rtdenoise.methods.can.compiled.hop import hops
from rtdenoise.typing import F32, Record

_frames_at = pointer_to(numba.from_dtype(frames_header()))


@kernel
def answer(
    live: Record,
    n_block: int,
    noisy: F32,
    answers: F32,
    block: F32,
    weights: np.ndarray,
    streams: np.ndarray,
    frames: tuple[int, int],
    listening: tuple[int, int, int],
) -> None:
    """Run the network over every whole hop that came in.

    Where it was switched off meanwhile, it skips to the newest hop; its first ``engine_latency`` samples after that are
    not valid.

    Parameters
    ----------
    live : record `LIVE`, read and written
    n_block : int
    noisy : (capacity, channels) float32, read
    answers : (capacity, channels) float32, written
    block : (engine_hop,) float32, scratch
    weights : (1,) record array, read
    streams : (channels,) record array, read and written
    frames : tuple
        Address of the records of the channels, read and written, and bytes of one.
    listening : tuple
        The same of the records of the analysis that the network reads, and their number, which may be 0.
    """
    hop, capacity = live.engine_hop, noisy.shape[0]
    if live.n_in - live.engine_n >= hop + n_block:
        position = live.n_in // hop * hop
        live.engine_skipped += position - live.engine_n
        live.engine_from, live.engine_n = position + live.engine_latency, position
    while live.n_in - live.engine_n >= hop:
        start = live.engine_n % capacity
        for channel in range(streams.size):
            for n in range(hop):
                block[n] = noisy[(start + n) % capacity, channel]
            streams[channel].gain_min = live.engine_gain_min
            apart = min(1, listening[2])
            hops(
                block,
                block,
                hop,
                weights,
                streams[channel : channel + 1],
                carray(_frames_at(frames[0] + channel * frames[1]), (1,)),
                carray(_frames_at(listening[0] + channel * listening[1]), (apart,)),
            )
            for n in range(hop):
                answers[(start + n) % capacity, channel] = block[n]
        live.engine_n += hop
        live.engine_steps += 1
