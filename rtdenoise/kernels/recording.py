"""How clear a recording is: the level of its voice over that of its noise, from the power of whole frames.

The noise estimate of single bins cannot tell: what it learns from a voice it takes off this ratio.  Levels of whole
frames need no decision bin by bin: the loudest frames are the voice, the quietest of some seconds are the noise.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import logarithm
from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)
_QUIET = np.float32(4)  # power over the quietest frame up to which a frame is noise
_CLEAR_FROM = np.float32(27.0)  # dB; mixtures at 15 dB SNR have less
_CLEAR_TO = np.float32(31.0)  # dB; mixtures at 24 dB SNR have more
_DB = np.float32(10.0 / np.log(10.0))

PEAK, NOISE, LOWEST, N_LEVELS = 0, 1, 2, 14
"""Places in ``levels``; behind `LOWEST` stand the smallest powers of the last windows."""


@kernel
def frame_level(recent: F32, first: int, end: int) -> np.float32:
    """Sum of bins `first` to before `end`; four sums at a time, so that none waits for another."""
    a, b, c, d = _TINY, _ZERO, _ZERO, _ZERO
    last = first + (end - first) // 4 * 4
    for k in range(first, last, 4):
        a += recent[k]
        b += recent[k + 1]
        c += recent[k + 2]
        d += recent[k + 3]
    for k in range(last, end):
        a += recent[k]
    return (a + b) + (c + d)


@kernel
def follow_recording(
    level: np.float32, levels: F32, fall: np.float32, smoothing: np.float32, starting: bool, window: int
) -> np.float32:
    """Loudest and quietest frames so far, and from their ratio how clear the recording is.

    Parameters
    ----------
    level : float32
        Power of the frame, smoothed over some tens of milliseconds.
    levels : (14,) float32, read and written
        Loudest, falling slowly; mean of the quiet ones; lowest of this window and of the last eleven.
    fall, smoothing : float32
        Per hop: of the loudest and of the mean.
    starting : bool
        `level` has no past yet.
    window : int
        Place of the window that begins with this frame, counted for ever; negative if none begins.

    Returns
    -------
    float32
        0 for a voice up to 27 dB over its noise, at its loudest, 1 from 31 dB on, linear in dB between.
    """
    if starting:
        levels[:] = level
        return _ZERO
    if window >= 0:
        levels[LOWEST + 1 + window % (N_LEVELS - LOWEST - 1)] = levels[LOWEST]
        levels[LOWEST] = level
    levels[LOWEST] = min(levels[LOWEST], level)
    lowest = levels[LOWEST]
    for j in range(LOWEST + 1, N_LEVELS):
        lowest = min(lowest, levels[j])
    if level < _QUIET * lowest:
        levels[NOISE] = smoothing * levels[NOISE] + (_ONE - smoothing) * level
    levels[NOISE] = max(levels[NOISE], lowest)
    levels[PEAK] = max(level, fall * levels[PEAK])
    snr_db = _DB * logarithm(max(levels[PEAK] / levels[NOISE], _ONE))
    return min(max((snr_db - _CLEAR_FROM) / (_CLEAR_TO - _CLEAR_FROM), _ZERO), _ONE)
