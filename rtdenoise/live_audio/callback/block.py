"""One callback's work in nopython code: take the input, enhance whole hops, protect and deliver the output."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import carray
from numpy.lib.stride_tricks import as_strided

from rtdenoise.kernels.jit import kernel
from rtdenoise.live_audio.callback.howl import guard_against_howl
from rtdenoise.live_audio.callback.meters import count_end, count_levels, count_start
from rtdenoise.live_audio.callback.native import fence, floats_at, flush_denormals, now_ns_at, pointer_to, thread_id
from rtdenoise.live_audio.callback.render import INAUDIBLE, render, towards
from rtdenoise.live_audio.record import FINISHED, STOPPING
from rtdenoise.methods.spectral.hop import hops_linked
from rtdenoise.methods.spectral.state import spectral_header
from rtdenoise.typing import F32, Record

_ZERO, _ONE = np.float32(0), np.float32(1)
_states_at = pointer_to(numba.from_dtype(spectral_header()))


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
    live.adc_seconds = times[0]
    return started


@kernel
def hold_back(live: Record, n_block: int) -> None:
    """Decide in the first callback how long wet samples wait, so that every later block finds its samples.

    ``hop - gcd(hop, block)`` for the compiled hop and for a network in the callback, and more for one that joins after
    blocks of other lengths; an engine process has the larger of its queue and a block on top.
    """
    if live.wait < 0:
        live.wait = live.hop - _common(live.hop, n_block)
    elif live.n + n_block - live.wait > live.n_in // live.hop * live.hop:
        grown = live.n + n_block - live.wait - live.n_in // live.hop * live.hop
        live.wait += grown
        live.inserted += grown
    if live.engine_on == 0:
        return
    queue = max(live.engine_queue, n_block) if live.engine_inside == 0 else 0
    past_hop = live.n_in % live.engine_hop  # samples after the last whole hop
    if live.engine_wait < 0:
        common = _common(live.engine_hop, n_block)
        live.engine_wait = live.engine_hop - common + past_hop % common + queue
        live.engine_block = n_block
    elif (live.engine_block != n_block or live.engine_wait < past_hop + queue) and (
        live.engine_wait < live.engine_hop - 1 + queue
    ):
        live.inserted += live.engine_hop - 1 + queue - live.engine_wait
        live.engine_wait = live.engine_hop - 1 + queue


@kernel
def _common(a: int, b: int) -> int:
    """The greatest common divisor."""
    while b:
        a, b = b, a % b
    return a


@kernel
def take_device(live: Record, block: F32, noisy: F32) -> None:
    """Copy a device's block, (n_block, channels_in) float32, to the noisy ring; NaN and infinite samples count as 0."""
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
        hops_linked(noisy[at : at + hop], wet[at : at + hop], hop, states)
        live.n_wet += hop


@kernel
def protect(live: Record, n_block: int, clean: F32) -> None:
    """Fade in at the start and out at the end, apply the gain, and keep every sample under the ceiling.

    The limiter takes hold at once and lets go slowly; below the ceiling it multiplies by nothing, so the signal stays
    what it is to the bit.  The gain of the howl detector comes after it: the limiter would make up for it.
    """
    at = live.n % clean.shape[0]
    level = live.loudness
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
                _ONE if live.limiter > np.float32(0.9999) else min(live.limiter, live.ceiling / max(peak, INAUDIBLE))
            )
        if live.limiter != _ONE:
            live.limited += 1
            for channel in range(clean.shape[1]):
                clean[at, channel] *= live.limiter
        live.howl_now = towards(live.howl_now, live.howl_gain, live.cross_step)
        if live.howl_now != _ONE:
            for channel in range(clean.shape[1]):
                clean[at, channel] *= live.howl_now
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
def output_block(live: Record, n_block: int, noisy: F32, wet: F32, answers: F32, clean: F32) -> None:
    """Everything between the last whole hop and the device: render, protect, count."""
    render(live, n_block, noisy, wet, answers, clean)
    protect(live, n_block, clean)
    count_levels(live, noisy, clean, live.n, n_block)
    guard_against_howl(live, noisy, live.n, n_block)


@kernel
def finish(live: Record, started: int, n_block: int) -> int:
    """Publish the block and count its time; returns PortAudio's 0 to go on or 1 when the stream is complete."""
    fence()
    live.n += n_block
    delay = live.wait + live.latency
    if live.share_target > _ZERO:
        delay = live.engine_wait + live.engine_latency
    played = live.source_end >= 0 and live.drained >= delay
    if played or (live.phase == STOPPING and live.fade == _ZERO):
        live.phase = FINISHED
    count_end(live, started, now_ns_at(live.scratch), n_block)
    return 1 if live.phase == FINISHED else 0


@kernel
def ring(address: int, live: Record) -> Any:
    """The ring at an address: (capacity, channels) float32."""
    return carray(floats_at(address), (live.capacity, live.channels))


@kernel
def records_at(address: int, channels: int, record_bytes: int) -> Any:
    """The records of a compiled hop at an address: (channels,) headers, `record_bytes` apart."""
    return as_strided(carray(_states_at(address), (1,)), (channels,), (record_bytes,))
