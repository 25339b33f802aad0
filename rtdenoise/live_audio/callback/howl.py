"""Acoustic feedback (howl) detection and suppression by lowering the output gain.  Nopython code.

A howl is one loud narrow peak that grows exponentially; so, for a moment, is a whistle.  The loop
tells them apart: a howl follows the output's gain, a whistle does not.  So the output is lowered briefly when a tone is
suspicious, and only a tone that falls with it, and rises again with it, is feedback.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.record import NO_TONE
from rtdenoise.typing import F32, Record

_ZERO, _ONE = np.float32(0), np.float32(1)
_SEGMENT_SECONDS = 0.02
_ANALYSIS_HZ = 16000.0  # the input is averaged down to about this rate
_TONAL = 0.02  # residual of the best single sinusoid, relative to what its frequency makes small by itself
_LOUD = np.float32(3e-4)  # mean square, -35 dBFS: a howl is loud
_DEAFENING = np.float32(0.4)  # -4 dBFS: louder than any voice; an overdriven microphone distorts the sinusoid
_STEADY = np.float32(0.04)  # change of 2 cos(w) from one segment to the next; a long loop has many frequencies
_RISE = np.float32(1.4)  # +1.5 dB a segment: growing
_RISES, _GROWN = 2, np.float32(4.0)  # that often in a row, and +6 dB since it began: exponential growth
_STEADY_SEGMENTS = 20  # 0.4 s of one steady tone are suspicious, too
_TRIAL_SEGMENTS = 12  # within which a tone must follow the gain: longer than any path from speaker to microphone
_FALL, _RETURN = np.float32(0.4), np.float32(2.0)  # -4 dB; +3 dB
_RETURN_SEGMENTS = 75  # a loop near its limit returns slowly
_TRIAL, _DEEP_TRIAL = np.float32(0.5), np.float32(0.125)  # -6 dB; -18 dB where a microphone may be overdriven
_OVERDRIVEN = np.float32(0.2)
_STEP = np.float32(0.7079458)  # -3 dB per segment while a howl lasts
_FLOOR = np.float32(0.01)  # -40 dB
_HOLD_SEGMENTS = 100  # 2 s
_RECOVERY = np.float32(1.0046)  # +2 dB/s
_FORGET_SEGMENTS = 150  # a tone that was not heard for 3 s is a new one
_NO_TONE = np.float32(NO_TONE)

LISTENING, LOWERED, RAISED, HOLDING = range(4)
"""Values of the field ``howl_state``: nothing suspected; a trial's gain down, and up again; feedback is held down."""


@kernel
def guard_against_howl(live: Record, noisy: F32, start: int, n_block: int) -> None:
    """Detect one loud tone that follows the output's gain, and lower ``howl_gain`` while it lasts.

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
                _judge(live)


@kernel
def _judge(live: Record) -> None:
    """Classify a complete segment (a tone? the previous one? growing?) and update the state."""
    sums = live.howl_sums
    energy = np.float32(sums[0] / sums[3])
    cosine = np.float32(sums[1] / max(sums[0], 1e-12))
    residual = (sums[2] - sums[1] * cosine) / max(sums[0], 1e-12)
    scale = (2.0 - abs(cosine)) ** 2  # near 0 Hz and half the rate everything looks like a tone
    tone = energy > _DEAFENING or (energy > _LOUD and residual < _TONAL * scale and abs(cosine) < np.float32(1.9999))
    if tone and live.howl_run > 0 and _same(cosine, live.howl_cosine):
        live.howl_run += 1
        live.howl_rises = live.howl_rises + 1 if energy > _RISE * live.howl_energy else 0
    else:
        live.howl_run = 1 if tone else 0
        live.howl_rises, live.howl_start = 0, energy
    live.howl_quiet = 0 if tone else live.howl_quiet + 1
    if live.howl_quiet > _FORGET_SEGMENTS:
        live.howl_spared = _NO_TONE
    if live.howl_state == LISTENING:
        _listen(live, cosine, energy)
    elif live.howl_state == LOWERED:
        _watch_fall(live, energy)
    elif live.howl_state == RAISED:
        _watch_return(live, tone, cosine, energy)
    else:
        _hold(live, tone)
    live.howl_energy = energy
    if tone:
        live.howl_cosine = cosine
    for k in range(4):
        sums[k] = 0.0


@kernel
def _same(cosine: np.float32, other: np.float32) -> bool:
    """Whether two segments hold the same tone."""
    return bool(abs(cosine - other) < _STEADY * (np.float32(2) - abs(cosine)))


@kernel
def _listen(live: Record, cosine: np.float32, energy: np.float32) -> None:
    """Try the gain on a tone that grows as a loop makes it grow, or that stays."""
    grows = live.howl_rises >= _RISES and energy > _GROWN * live.howl_start
    if not grows and live.howl_run < _STEADY_SEGMENTS:
        return
    if _same(cosine, live.howl_spared) and energy < _GROWN * live.howl_spared_energy:
        return
    live.howl_cycles, live.howl_needed = 0, 1 if grows else 2
    _lower(live, energy)


@kernel
def _lower(live: Record, energy: np.float32) -> None:
    """Begin a trial."""
    live.howl_gain = _DEEP_TRIAL if energy > _OVERDRIVEN else _TRIAL
    live.howl_before, live.howl_left, live.howl_state = energy, _TRIAL_SEGMENTS, LOWERED


@kernel
def _watch_fall(live: Record, energy: np.float32) -> None:
    """The gain is down: a tone that does not fall is not feedback."""
    live.howl_left -= 1
    if energy < _FALL * live.howl_before:
        live.howl_gain, live.howl_lowest = _ONE, energy
        live.howl_left, live.howl_state = _RETURN_SEGMENTS, RAISED
    elif live.howl_left == 0:
        live.howl_gain, live.howl_state = _ONE, LISTENING
        live.howl_spared, live.howl_spared_energy = live.howl_cosine, energy


@kernel
def _watch_return(live: Record, tone: Any, cosine: np.float32, energy: np.float32) -> None:
    """The gain is up again: a tone that returns is a loop."""
    live.howl_left -= 1
    live.howl_lowest = min(live.howl_lowest, energy)
    if tone and _same(cosine, live.howl_cosine) and energy > _RETURN * live.howl_lowest:
        live.howl_cycles += 1
        if live.howl_cycles < live.howl_needed:
            _lower(live, energy)
            return
        live.howls += 1
        live.howl_left, live.howl_state = _HOLD_SEGMENTS, HOLDING
    elif live.howl_left == 0:
        live.howl_state = LISTENING


@kernel
def _hold(live: Record, tone: Any) -> None:
    """Hold the gain down while feedback lasts, then raise it slowly; a tone that returns is the same loop."""
    if tone and live.howl_run > _RISES:
        live.howl_gain = max(live.howl_gain * _STEP, _FLOOR)
        live.howl_left = _HOLD_SEGMENTS
    elif live.howl_left > 0:
        live.howl_left -= 1
    else:
        live.howl_gain = min(live.howl_gain * _RECOVERY, _ONE)
        if live.howl_gain == _ONE:
            live.howl_state = LISTENING
