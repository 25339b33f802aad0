"""Notice that the microphone hears the speaker, and turn the output down before it howls.  Nopython code."""

from __future__ import annotations

import math

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32, Record

_ZERO, _ONE = np.float32(0), np.float32(1)
_SEGMENT_SECONDS = 0.02
_ANALYSIS_HZ = 16000.0  # the input is averaged down to about this rate
_TONAL = 0.02  # residual of the best single sinusoid, relative to what its frequency makes small by itself
_LOUD = np.float32(3e-4)  # mean square, -35 dBFS: a howl is loud
_SEGMENTS = 20  # 0.4 s of one steady tone
_STEADY = np.float32(0.01)  # change of 2 cos(w) from one segment to the next
_STEP = np.float32(0.7079458)  # -3 dB per segment while it lasts
_FLOOR = np.float32(0.01)  # -40 dB
_RECOVERY = np.float32(1.0046)  # +2 dB/s


@kernel
def guard_against_howl(live: Record, noisy: F32, start: int, n_block: int) -> None:
    """Listen for one loud steady tone, as feedback is, and lower ``howl_gain`` while it lasts.

    A sinusoid obeys ``x[n] + x[n-2] = 2 cos(w) x[n-1]``; the least-squares ``2 cos(w)`` of a segment and what it leaves
    over tell a tone from speech and noise in four multiplications a sample, without a transform, for every method.

    Parameters
    ----------
    live : record `LIVE`, read and written
    noisy : (capacity, channels) float32, read
    start, n_block : int
        The block's position and length.
    """
    if live.howl_guard == 0:
        return
    factor = max(1, int(live.rate / _ANALYSIS_HZ))
    sums = live.howl_sums
    at = start % noisy.shape[0]
    for _ in range(n_block):
        live.howl_mean += noisy[at, 0]
        live.howl_count += 1
        at = at + 1 if at + 1 < noisy.shape[0] else 0
        if live.howl_count == factor:
            sample = live.howl_mean / np.float32(factor)
            live.howl_mean, live.howl_count = _ZERO, 0
            ends, middle = sample + live.howl_recent[1], live.howl_recent[0]
            sums[0] += middle * middle
            sums[1] += middle * ends
            sums[2] += ends * ends
            sums[3] += 1.0
            live.howl_recent[1], live.howl_recent[0] = middle, sample
            if sums[3] >= _SEGMENT_SECONDS * live.rate / factor:
                _judge(live, factor)


@kernel
def _judge(live: Record, factor: int) -> None:
    """One segment is complete: decide whether it is the same loud tone as the last."""
    sums = live.howl_sums
    energy = sums[0] / sums[3]
    cosine = np.float32(sums[1] / max(sums[0], 1e-12))
    residual = (sums[2] - sums[1] * cosine) / max(sums[0], 1e-12)
    scale = (2.0 - abs(cosine)) ** 2  # near 0 Hz and half the rate everything looks like a tone
    tone = energy > _LOUD and residual < _TONAL * scale and abs(cosine) < np.float32(1.9999)
    steady = abs(cosine - live.howl_cosine) < _STEADY * (np.float32(2) - abs(cosine))
    live.howl_run = live.howl_run + 1 if tone and (steady or live.howl_run == 0) else 0
    live.howl_cosine = cosine
    if live.howl_run >= _SEGMENTS:
        if live.howl_run == _SEGMENTS:
            live.howls += 1
            live.howl_hz = np.float32(math.acos(cosine / 2.0) * live.rate / factor / (2.0 * math.pi))
        live.howl_gain = max(live.howl_gain * _STEP, _FLOOR)
    elif live.howl_gain < _ONE:
        live.howl_gain = min(live.howl_gain * _RECOVERY, _ONE)
    for k in range(4):
        sums[k] = 0.0
