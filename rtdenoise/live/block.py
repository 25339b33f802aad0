"""One callback's work in nopython code: take the input, enhance whole hops, render and deliver the output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray

from rtdenoise.kernels.jit import kernel
from rtdenoise.live.howl import guard_against_howl
from rtdenoise.live.meters import count_end, count_levels, count_start
from rtdenoise.live.native import fence, floats_at, flush_denormals, now_ns_at, pause, thread_id
from rtdenoise.live.record import FINISHED, STOPPING
from rtdenoise.spectral.hop import hop_linked
from rtdenoise.typing import F32, Record

_ZERO, _ONE = np.float32(0), np.float32(1)
_INAUDIBLE = np.float32(1e-6)


@kernel
def begin(live: Record, times: np.ndarray, flags: int, n_block: int) -> Any:
    """Count the start of a callback, and set up its thread in the first; returns the time in ns.

    Parameters
    ----------
    live : record `LIVE`, read and written
    times : (3,) float64, read
        PortAudio's times of the block's input, of now and of the block's output, in seconds.
    flags, n_block : int
    """
    started = now_ns_at(live.scratch)
    if live.callbacks == 0:
        flush_denormals()
        live.thread_id = thread_id(live)
    count_start(live, started, n_block, flags)
    live.adc_seconds, live.now_seconds, live.dac_seconds = times[0], times[1], times[2]
    if live.stall_ns > 0:
        pause(live.stall_ns)
        live.stall_ns = 0
    return started


@kernel
def hold_back(live: Record, n_block: int) -> None:
    """Decide in the first callback how long wet samples wait, so that every later block finds its samples.

    ``hop - gcd(hop, block)`` for a compiled hop; an engine process has the larger of `queue` and a block on top.
    """
    if live.wait < 0:
        a, b = live.hop, n_block
        while b:
            a, b = b, a % b
        live.wait = live.hop - a
        if live.queue > 0:
            live.wait += max(live.queue, n_block)
    elif live.queue > 0 and live.wait < live.hop - 1 + max(live.queue, n_block) and live.block != n_block:
        grown = live.hop - 1 + max(live.queue, n_block) - live.wait
        live.wait += grown
        live.inserted += grown
    elif live.queue == 0 and live.n + n_block - live.wait > live.n_in // live.hop * live.hop:
        grown = live.n + n_block - live.wait - live.n_in // live.hop * live.hop
        live.wait += grown
        live.inserted += grown


@kernel
def take_device(live: Record, block: F32, noisy: F32) -> None:
    """Copy a device's block, (n_block, channels_in) float32, to the noisy ring; what is not a number counts as 0."""
    at = live.n_in % noisy.shape[0]
    share = _ONE / np.float32(block.shape[1])
    last = block.shape[1] - 1
    for n in range(block.shape[0]):
        for channel in range(noisy.shape[1]):
            if noisy.shape[1] == 1 and last > 0:
                sample = _ZERO
                for other in range(block.shape[1]):
                    sample += block[n, other]
                sample *= share
            else:
                sample = block[n, min(channel, last)]
            if not np.isfinite(sample):
                sample = _ZERO
                live.bad_samples += 1
            noisy[at, channel] = sample
        at = at + 1 if at + 1 < noisy.shape[0] else 0
    fence()
    live.n_in += block.shape[0]


@kernel
def take_source(live: Record, n_block: int, source: F32, noisy: F32) -> None:
    """Move the next samples from the source ring to the noisy ring; zeros where there are none yet."""
    there = min(n_block, live.n_source - live.n_taken)
    at = live.n_in % noisy.shape[0]
    for n in range(n_block):
        for channel in range(noisy.shape[1]):
            taken = _ZERO
            if n < there:
                taken = source[(live.n_taken + n) % source.shape[0], channel]
            noisy[at, channel] = taken if np.isfinite(taken) else _ZERO
        at = at + 1 if at + 1 < noisy.shape[0] else 0
    live.n_taken += there
    if live.source_end >= 0 and live.n_taken >= live.source_end:
        live.drained += n_block - there
    elif live.n_taken > 0:
        live.missing += n_block - there
    fence()
    live.n_in += n_block


@kernel
def enhance(live: Record, states: np.ndarray, noisy: F32, wet: F32) -> None:
    """Run the compiled hop over every whole hop that came in; rings hold whole hops, so none is cut."""
    hop = live.hop
    first = states[0]
    first.rule = live.rule
    first.gain_min = live.gain_min
    first.mix = live.mix
    while live.n_in - live.n_wet >= hop:
        at = live.n_wet % noisy.shape[0]
        hop_linked(noisy[at : at + hop], wet[at : at + hop], states)
        live.n_wet += hop


@kernel
def render(live: Record, n_block: int, noisy: F32, wet: F32, clean: F32) -> None:
    """Write the next block of the output to the clean ring: wet, dry of equal age, or the way from one to the other.

    Where the engine's answer is not there, the dry signal takes over; the step between the two fades exponentially, so
    that nothing clicks; when answers come again, they fade in.

    Parameters
    ----------
    live : record `LIVE`, read and written
    n_block : int
    noisy, wet : (capacity, channels) float32, read
    clean : (capacity, channels) float32, written
    """
    n_wet = live.n_wet
    fence()
    wet_from = live.wet_from
    mix = live.mix if live.queue > 0 else _ONE
    capacity = noisy.shape[0]
    late = False
    for n in range(n_block):
        q = live.n + n - live.wait
        ready = q < n_wet and q >= wet_from
        if q >= 0:
            late = _follow(live, ready) or late
        weight = live.weight if ready else _ZERO
        for channel in range(clean.shape[1]):
            age = q - live.latency
            dry = noisy[age % capacity, channel] if age >= 0 else _ZERO
            value = dry
            if ready and q >= 0 and weight > _ZERO:
                answer = wet[q % capacity, channel]
                value = answer if weight * mix == _ONE else dry + weight * mix * (answer - dry)
            live.difference[channel] = value - dry
            clean[(live.n + n) % capacity, channel] = value + _step_left(live, channel)
    if late:
        live.dry_blocks += 1


@kernel
def _follow(live: Record, ready: bool) -> bool:
    """Move the share of wet by one sample; True if the answer for this sample is late."""
    if ready:
        if live.was_wet == 0:
            live.was_wet, live.weight = 1, _ZERO
        if live.weight < live.wet_target:
            live.weight = min(live.weight + live.cross_step, live.wet_target)
        elif live.weight > live.wet_target:
            live.weight = max(live.weight - live.cross_step, live.wet_target)
        return False
    if live.was_wet == 1:
        live.was_wet = 0
        for channel in range(live.channels):
            live.offset[channel] += live.difference[channel]
    live.dry_samples += 1
    return True


@kernel
def _step_left(live: Record, channel: int) -> Any:
    """What is left of the step between the last wet sample and the dry signal, one sample further."""
    offset = live.offset[channel]
    if offset != _ZERO:
        live.offset[channel] = offset * live.offset_decay if abs(offset) > _INAUDIBLE else _ZERO
    return offset


@kernel
def protect(live: Record, n_block: int, clean: F32) -> None:
    """Fade in at the start and out at the end, apply the gain, and keep every sample under the ceiling.

    The limiter takes hold at once and lets go slowly; below the ceiling it multiplies by nothing, so the signal stays
    what it is to the bit.
    """
    at = live.n % clean.shape[0]
    level = live.loudness * live.howl_gain
    for _ in range(n_block):
        if live.phase == STOPPING:
            live.fade = max(live.fade - np.float32(5) * live.fade_step, _ZERO)
        elif live.fade < _ONE:
            live.fade = min(live.fade + live.fade_step, _ONE)
        gain = level * live.fade
        peak = _ZERO
        for channel in range(clean.shape[1]):
            if gain != _ONE:
                clean[at, channel] *= gain
            peak = max(peak, abs(clean[at, channel]))
        if peak * live.limiter > live.ceiling:
            live.limiter = live.ceiling / peak
        elif live.limiter < _ONE:
            live.limiter += (_ONE - live.limiter) * live.limiter_release
            live.limiter = (
                _ONE if live.limiter > np.float32(0.9999) else min(live.limiter, live.ceiling / max(peak, _INAUDIBLE))
            )
        if live.limiter != _ONE:
            live.limited += 1
            for channel in range(clean.shape[1]):
                clean[at, channel] *= live.limiter
        at = at + 1 if at + 1 < clean.shape[0] else 0


@kernel
def deliver(live: Record, clean: F32, block: F32) -> None:
    """Hand the rendered block to the device: (n_block, channels_out) float32, written.

    Mono goes to every channel; more channels than the device has are mixed if it has one, and left out otherwise.
    """
    at = live.n % clean.shape[0]
    channels = clean.shape[1]
    for n in range(block.shape[0]):
        for channel in range(block.shape[1]):
            if channels == 1:
                block[n, channel] = clean[at, 0]
            elif block.shape[1] == 1:
                total = _ZERO
                for other in range(channels):
                    total += clean[at, other]
                block[n, channel] = total / np.float32(channels)
            else:
                block[n, channel] = clean[at, channel] if channel < channels else _ZERO
        at = at + 1 if at + 1 < clean.shape[0] else 0


@kernel
def output_block(live: Record, n_block: int, noisy: F32, wet: F32, clean: F32) -> None:
    """Everything between the last whole hop and the device: render, protect, count."""
    render(live, n_block, noisy, wet, clean)
    protect(live, n_block, clean)
    count_levels(live, noisy, clean, live.n, n_block)
    guard_against_howl(live, noisy, live.n, n_block)


@kernel
def finish(live: Record, started: int, n_block: int) -> int:
    """Publish the block and count its time; returns PortAudio's 0 to go on or 1 when the stream is complete."""
    fence()
    live.n += n_block
    played = live.source_end >= 0 and live.drained >= live.wait + live.latency
    if played or (live.phase == STOPPING and live.fade == _ZERO):
        live.phase = FINISHED
    count_end(live, started, now_ns_at(live.scratch), n_block)
    return 1 if live.phase == FINISHED else 0


@kernel
def ring(address: int, live: Record) -> Any:
    """The ring at an address: (capacity, channels) float32."""
    return carray(floats_at(address), (live.capacity, live.channels))
