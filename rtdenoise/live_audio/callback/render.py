"""Render the output block: compiled method, engine output, dry signal and cross-fades.  Nopython code."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.native import fence
from rtdenoise.typing import F32, Record

INAUDIBLE = np.float32(1e-6)
_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def render(live: Record, n_block: int, noisy: F32, wet: F32, answers: F32, clean: F32) -> None:
    """Write the next block of the output to the clean ring: one path, the other, or a cross-fade.

    Each path is wet, time-aligned dry, or a mix of the two.

    Parameters
    ----------
    live : record `LIVE`, read and written
    n_block : int
    noisy, wet, answers : (capacity, channels) float32, read
    clean : (capacity, channels) float32, written
    """
    n_answers = live.engine_n
    fence()
    capacity = noisy.shape[0]
    late = False
    for n in range(n_block):
        p = live.n + n
        live.weight = towards(live.weight, live.wet_target, live.cross_step)
        live.share = towards(live.share, live.share_target, live.cross_step)
        share, weight = live.share, live.weight
        if live.engine_on != 0 or share > _ZERO:
            late = _follow_engine(live, p - live.engine_wait, n_answers) or late
        q = p - live.wait
        for channel in range(clean.shape[1]):
            value = _ZERO
            if share < _ONE:
                age = q - live.latency
                value = noisy[age % capacity, channel] if age >= 0 else _ZERO
                if weight > _ZERO and q >= 0:
                    made = wet[q % capacity, channel]
                    value = made if weight == _ONE else value + weight * (made - value)
            if share > _ZERO or live.engine_on != 0:
                answer = _answer(live, p - live.engine_wait, channel, noisy, answers)
                value = answer if share == _ONE else value + share * (answer - value)
            clean[p % capacity, channel] = value
    if late:
        live.dry_blocks += 1


@kernel
def towards(value: np.float32, target: np.float32, step: np.float32) -> Any:
    """One sample of a cross-fade."""
    if value < target:
        return min(value + step, target)
    return max(value - step, target)


@kernel
def _follow_engine(live: Record, q: int, n_answers: int) -> bool:
    """Move the share of the engine's answers by one sample; True if the answer for this sample is late.

    Where an answer is not there, the dry signal takes over; the step between the two fades exponentially, so that
    nothing clicks; when answers come again, they fade in.
    """
    if q < 0:
        return False
    if q < n_answers and q >= live.engine_from:
        if live.was_wet == 0:
            live.was_wet, live.engine_weight = 1, _ZERO
        live.engine_weight = towards(live.engine_weight, live.wet_target, live.cross_step)
        return False
    if live.was_wet == 1:
        live.was_wet = 0
        for channel in range(live.channels):
            live.offset[channel] += live.difference[channel]
    if live.share_target > _ZERO and live.engine_steps > 0:  # before its first answer it is starting, not late
        live.dry_samples += 1
        return True
    return False


@kernel
def _answer(live: Record, q: int, channel: int, noisy: F32, answers: F32) -> Any:
    """Output of the engine's path: its answer, the time-aligned dry signal, or a mix."""
    capacity = noisy.shape[0]
    age = q - live.engine_latency
    dry = noisy[age % capacity, channel] if age >= 0 else _ZERO
    value = dry
    if live.was_wet == 1 and q >= 0 and live.engine_weight > _ZERO:
        share = live.engine_weight * live.mix
        if live.engine_limits == 0:
            share *= _ONE - live.engine_gain_min
        made = answers[q % capacity, channel]
        value = made if share == _ONE else dry + share * (made - dry)
    live.difference[channel] = value - dry
    offset = live.offset[channel]
    if offset != _ZERO:
        live.offset[channel] = offset * live.offset_decay if abs(offset) > INAUDIBLE else _ZERO
    return value + offset
