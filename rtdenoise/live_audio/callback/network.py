"""A compiled network inside the callback: it gives its answers where an engine process would.  Nopython code."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.methods.can.compiled.hop import hops
from rtdenoise.typing import F32, Record


@kernel
def answer(
    live: Record,
    n_block: int,
    noisy: F32,
    answers: F32,
    block: F32,
    weights: np.ndarray,
    streams: np.ndarray,
    frames: np.ndarray,
    listening: np.ndarray,
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
    streams, frames : (channels,) record arrays, read and written
    listening : (channels,) or (0,) record array, read and written
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
            apart = min(channel, listening.size)
            hops(
                block,
                block,
                hop,
                weights,
                streams[channel : channel + 1],
                frames[channel : channel + 1],
                listening[apart : min(channel + 1, listening.size)],
            )
            for n in range(hop):
                answers[(start + n) % capacity, channel] = block[n]
        live.engine_n += hop
        live.engine_steps += 1
