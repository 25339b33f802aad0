"""Rational sample-rate conversion with a polyphase filter bank, one output sample at a time."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32


@kernel
def resample(
    bank: F32, recent: F32, first_input: int, first_output: int, ticks_in: int, ticks_out: int, shift: int, out: F32
) -> None:
    """Compute consecutive output samples of a polyphase interpolator.

    Time is counted in ticks at the least common multiple of both rates.  Output ``j`` is the input, low-passed, at
    ``j * ticks_out + shift - half`` where ``half`` is half the filter length; its newest input is
    ``(j * ticks_out + shift) // ticks_in``.

    Parameters
    ----------
    bank : (ticks_in, n_taps) float32, read
        ``bank[phase, m]`` weighs the input `m` samples before the newest.
    recent : (n,) float32, read
        Inputs from number `first_input` on; inputs before the first count as 0 and may be missing.
    first_input, first_output : int
        Sample numbers of ``recent[0]`` and ``out[0]``.
    ticks_in, ticks_out : int
        Ticks per input and output sample.
    shift : int
        Ticks by which outputs are early (negative: late).
    out : (m,) float32, written
    """
    n_taps = bank.shape[1]
    for j in range(out.size):
        position = (first_output + j) * ticks_out + shift
        newest = position // ticks_in
        phase = position - newest * ticks_in
        last = newest - first_input
        total = np.float32(0)
        for m in range(min(n_taps, last + 1)):
            total += bank[phase, m] * recent[last - m]
        out[j] = total
