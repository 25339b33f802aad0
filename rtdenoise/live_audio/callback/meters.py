"""Measurements in the audio thread: time histograms, levels, zeros and lost samples.  Nopython code."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.record import BINS_PER_OCTAVE, FLAGS, HISTOGRAM_BINS, HISTOGRAM_FLOOR_NS
from rtdenoise.typing import Record

_N_FLAGS = len(FLAGS)
_ZERO = np.float32(0)


@kernel
def histogram_index(nanoseconds: int) -> int:
    """The bin a time belongs to; the ends take everything beyond them."""
    if nanoseconds <= HISTOGRAM_FLOOR_NS:
        return 0
    return min(int(np.log2(nanoseconds / HISTOGRAM_FLOOR_NS) * BINS_PER_OCTAVE), HISTOGRAM_BINS - 1)


@kernel
def count_start(live: Record, now: int, n_block: int, flags: int) -> None:
    """At the start of a callback: status flags and jitter, the difference between its interval and its block.

    Parameters
    ----------
    live : record `LIVE`, read and written
    now : int
        Monotonic time, ns.
    n_block : int
        Samples of this callback.
    flags : int
        PortAudio's status.
    """
    for bit in range(_N_FLAGS):
        if flags & (1 << bit):
            live.flag_counts[bit] += 1
    if live.callbacks == 0:
        live.first_ns = now
    else:
        interval = now - live.last_ns
        expected = int(live.block * 1e9 / live.rate)
        jitter = abs(interval - expected)
        live.jitter_histogram[histogram_index(jitter)] += 1
        live.jitter_max_ns = max(live.jitter_max_ns, jitter)
    live.last_ns = now
    live.block = n_block
    live.callbacks += 1


@kernel
def count_end(live: Record, started: int, ended: int, n_block: int) -> None:
    """At the end of a callback: the time it took, against the time its block lasts; times in ns."""
    spent = ended - started
    live.compute_histogram[histogram_index(spent)] += 1
    live.compute_max_ns = max(live.compute_max_ns, spent)
    live.compute_sum_ns += spent
    if spent * live.rate > n_block * 1e9:
        live.late_blocks += 1


@kernel
def count_levels(live: Record, noisy: np.ndarray, clean: np.ndarray, start: int, n_block: int) -> None:
    """Energy and peak of a block that came in and of the one that went out, and exact zeros in a row.

    Parameters
    ----------
    live : record `LIVE`, read and written
    noisy, clean : (capacity, channels) float32, read
        Rings.
    start, n_block : int
        Position of the block's first sample, and its length.
    """
    fall = np.float32(1.0 - min(0.5, 1.5 * n_block / live.rate))
    peak_in, peak_out = live.peak_in * fall, live.peak_out * fall
    energy_in = energy_out = 0.0
    at = start % noisy.shape[0]
    for _ in range(n_block):
        silent = True
        for channel in range(noisy.shape[1]):
            before, after = noisy[at, channel], clean[at, channel]
            silent = silent and before == _ZERO
            energy_in += before * before
            energy_out += after * after
            peak_in = max(peak_in, abs(before))
            peak_out = max(peak_out, abs(after))
        live.zero_run = live.zero_run + 1 if silent else 0
        at = at + 1 if at + 1 < noisy.shape[0] else 0
    live.energy_in += energy_in
    live.energy_out += energy_out
    live.peak_in, live.peak_out = peak_in, peak_out
