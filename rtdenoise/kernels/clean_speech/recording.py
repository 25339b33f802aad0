"""Estimate how clean a recording is: the level of the voice over noise and bursts, from the power of whole frames.

The noise PSD per bin is unsuitable for this: any speech that leaks into it lowers the ratio.  Whole-frame levels need
no decision per bin: the loudest voiced frames are the voice, the quietest frames of the last seconds are the noise, and
loud frames with no voice nearby are bursts of noise (a clap, a keystroke, a door).
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import logarithm
from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)
_QUIET = np.float32(4)  # a frame below this power ratio to the quietest one is noise
_QUIET_MEAN = np.float32(8)  # limit of the mean of such frames, for a stream that starts inside a word
_DB = np.float32(10.0 / np.log(10.0))

RANGE = np.float32(0.01)
"""Of the loudest voice: quieter frames are not accepted as voice."""

PEAK, NOISE, BURST, NEW, PENDING, LOWEST, N_LEVELS = 0, 1, 2, 3, 4, 5, 17
"""Indices into ``levels``; the entries after `LOWEST` are the smallest powers of the last windows."""

SINCE, STEP = 0, 1
"""Indices into ``counts``."""


@kernel
def frame_level(recent: F32, first: int, end: int) -> np.float32:
    """Sum of bins `first` to ``end - 1``, in four independent partial sums to shorten the dependency chain."""
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
    level: np.float32,
    voicing: np.float32,
    levels: F32,
    counts: np.ndarray,
    fall: np.float32,
    smoothing: np.float32,
    rise: np.float32,
    voiced: np.float32,
    edges_db: F32,
    near: int,
    starting: bool,
    window: int,
) -> np.float32:
    """Track the levels of voice, noise and bursts, and derive from their ratios how clean the recording is.

    A burst is a frame with no voice in the `near` steps before it and after it; consonants are always close to a vowel.
    It therefore takes effect `near` to ``2 * near`` steps after it occurs.

    Parameters
    ----------
    level : float32
        Power of the frame, smoothed over some tens of milliseconds.
    voicing : float32
        `rtdenoise.kernels.clean_speech.voicing.voicing` at the end of the frame.
    levels : (17,) float32, read and written
        Loudest voice, decaying slowly; mean of the quiet frames; loudest burst, decaying as slowly; loudest burst
        candidates of the current and of the previous `near` steps; lowest level of this window and of the last eleven.
    counts : (2,) int64, read and written
        Steps since the last voiced frame; steps in the current period of `near`.
    fall, smoothing, rise : float32
        Per step: decay of the loudest levels, smoothing of the mean, and smoothing of the loudest voice where it rises,
        because one burst on top of a vowel does not say how loud the voice is.
    voiced : float32
        Threshold of `voicing`: most vowels are above it, most claps, clicks and knocks below.
    edges_db : (4,) float32, read
        Level of the voice over the noise at which a recording begins to count as clean and counts as clean altogether,
        and the same over its bursts.
    near : int
        In steps.
    starting : bool
        Whether this is still the start of the stream, where `level` has no history.
    window : int
        Number of the window that begins with this frame, counted from the start; negative if none begins.

    Returns
    -------
    float32
        Minimum of two scores, each 0 below its first edge and 1 above its second, linear in dB in between.
    """
    if starting:
        levels[:] = level
        levels[PEAK] = levels[BURST] = levels[NEW] = levels[PENDING] = _ZERO
        counts[SINCE], counts[STEP] = near, 0
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
    levels[NOISE] = min(max(levels[NOISE], lowest), _QUIET_MEAN * lowest)
    levels[PEAK] *= fall
    levels[BURST] *= fall
    if voicing > voiced and level > RANGE * levels[PEAK]:
        levels[PEAK] = max(levels[PEAK], rise * levels[PEAK] + (_ONE - rise) * level)
        levels[NEW] = levels[PENDING] = _ZERO
        counts[SINCE] = counts[STEP] = 0
    else:
        counts[SINCE] += 1
        counts[STEP] += 1
        if counts[SINCE] > near:
            levels[NEW] = max(levels[NEW], level)
        if counts[STEP] >= near:
            levels[BURST] = max(levels[BURST], levels[PENDING])
            levels[PENDING], levels[NEW] = levels[NEW], _ZERO
            counts[STEP] = 0
    over_noise = _DB * logarithm(max(levels[PEAK] / max(levels[NOISE], _TINY), _ONE))
    if over_noise <= edges_db[0]:
        return _ZERO
    over_bursts = _DB * logarithm(max(levels[PEAK] / max(levels[BURST], levels[NOISE]), _ONE))
    clear = min((over_noise - edges_db[0]) / (edges_db[1] - edges_db[0]), _ONE)
    return max(min(clear, (over_bursts - edges_db[2]) / (edges_db[3] - edges_db[2])), _ZERO)
