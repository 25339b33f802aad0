"""Clock-drift compensation: an adaptive resampler between two device clocks.  Nopython code."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.interpolator import PHASES, TAPS
from rtdenoise.typing import F32, Record

_SETTLE_SECONDS = 6.0  # within which a step of the lead is made up for
_SMOOTH_SECONDS = 0.5
_DRIFT_MAX = 2e-3  # clocks differ by some 1e-4; more would be heard as pitch
_JUMP_SECONDS = 0.03  # further from its target than this the position jumps, cross-faded
_FADE_SECONDS = 0.005
_DECAY = np.float32(0.98)
_GROW_SECONDS, _GROW_MAX = 0.005, 0.1  # more lead after a starved block, at most once in _GROW_NS
_GROW_NS = 500_000_000
_SHRINK_SECONDS = 0.001  # less of it every _SHRINK_EVERY_NS once nothing starved for _SHRINK_NS
_SHRINK_NS, _SHRINK_EVERY_NS = 60_000_000_000, 5_000_000_000
_ZERO = np.float32(0)


@kernel
def follow_clock(live: Record, now: int, n_block: int) -> None:
    """Set the ratio of the next output block so that the lead stays on its target.

    A controller of proportional and integral part, critically damped; the integral is the drift of the clocks.

    Parameters
    ----------
    live : record `LIVE`, read and written
    now : int
        Monotonic time, ns.
    n_block : int
        Output samples.
    """
    seconds = n_block / live.play_rate
    since = min(max((now - live.last_ns) * 1e-9, 0.0), 0.1)
    lead = live.n + since * live.rate - live.play_position
    error = lead - live.play_target
    live.play_error += (error - live.play_error) * min(1.0, seconds / _SMOOTH_SECONDS)
    proportional = live.play_error / (live.rate * _SETTLE_SECONDS)
    live.play_drift += proportional * seconds / (4.0 * _SETTLE_SECONDS)
    live.play_drift = min(max(live.play_drift, -_DRIFT_MAX), _DRIFT_MAX)
    correction = min(max(proportional, -_DRIFT_MAX), _DRIFT_MAX)
    live.play_ratio = live.rate / live.play_rate * (1.0 + live.play_drift + correction)


@kernel
def play_block(live: Record, now: int, table: F32, clean: F32, out: F32) -> None:
    """Fill one block of the output device from the clean ring.

    Parameters
    ----------
    live : record `LIVE`, read and written
    now : int
        Monotonic time, ns.
    table : (PHASES + 1, TAPS) float32, read
    clean : (capacity, channels) float32, read
    out : (n_block, play_channels) float32, written
    """
    n_block = out.shape[0]
    live.play_callbacks += 1
    if live.play_target == 0.0:
        live.play_target = live.block + n_block * live.rate / live.play_rate + TAPS + 0.004 * live.rate
        live.play_base = live.play_target
    if live.play_position == 0.0:
        if live.n < live.play_target:
            out[:] = _ZERO
            return
        live.play_position = live.n - live.play_target
    follow_clock(live, now, n_block)
    _adapt_target(live, now)
    starved = live.play_starved
    fresh = live.play_position
    if abs(live.play_error) > _JUMP_SECONDS * live.rate:
        fresh = live.play_position + live.play_error
        live.play_error = 0.0
        live.play_jumps += 1
    n_fade = int(_FADE_SECONDS * live.play_rate)
    for n in range(n_block):
        share = np.float32(min(1.0, (n + 1) / n_fade))
        there = fresh + TAPS < live.n
        for channel in range(min(out.shape[1], clean.shape[1])):
            value = _at(fresh, channel, table, clean) if there else live.play_last[channel] * _DECAY
            if fresh != live.play_position and share < np.float32(1) and live.play_position + TAPS < live.n:
                value = share * value + (np.float32(1) - share) * _at(live.play_position, channel, table, clean)
            live.play_last[channel] = value
            out[n, channel] = value
        if there:
            fresh += live.play_ratio
            live.play_position += live.play_ratio
        else:
            live.play_starved += 1
        for channel in range(clean.shape[1], out.shape[1]):
            out[n, channel] = out[n, 0] if clean.shape[1] == 1 else _ZERO
    live.play_position = fresh
    if live.play_starved > starved and now - live.play_grown_ns > _GROW_NS:
        live.play_target = min(live.play_target + _GROW_SECONDS * live.rate, live.play_base + _GROW_MAX * live.rate)
        live.play_grown_ns = now


@kernel
def _adapt_target(live: Record, now: int) -> None:
    """Shrink a lead that grew because a device delivers in bursts, after a while without starvation."""
    if live.play_target > live.play_base and now - live.play_grown_ns > _SHRINK_NS:
        live.play_target = max(live.play_target - _SHRINK_SECONDS * live.rate, live.play_base)
        live.play_grown_ns = now - _SHRINK_NS + _SHRINK_EVERY_NS


@kernel
def _at(position: float, channel: int, table: F32, clean: F32) -> np.float32:
    """The clean stream between its samples."""
    whole = int(position)
    phase = (position - whole) * PHASES
    row = int(phase)
    weight = np.float32(phase - row)
    at = (whole - (TAPS // 2 - 1)) % clean.shape[0]
    total = _ZERO
    for tap in range(TAPS):
        coefficient = table[row, tap] + weight * (table[row + 1, tap] - table[row, tap])
        total += coefficient * clean[at, channel]
        at = at + 1 if at + 1 < clean.shape[0] else 0
    return total
