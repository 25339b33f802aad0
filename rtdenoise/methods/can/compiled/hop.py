"""Compiled hop of a spectral network, with the same arithmetic as `rtdenoise.methods.can.tensorflow.graph`."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.clean_speech.clarity import keep_clear
from rtdenoise.kernels.eight_bits import I8, I16, TOGETHER, products, to_numbers
from rtdenoise.kernels.elementary import exponential, logarithm
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.kernels.overlap_add import analyse, synthesise
from rtdenoise.kernels.product import set_product, set_products
from rtdenoise.kernels.sized import opened
from rtdenoise.methods.can.compiled.above import mask_by_head
from rtdenoise.methods.can.compiled.band_end import fill_above, follow_band
from rtdenoise.methods.can.compiled.banded import run_banded
from rtdenoise.methods.can.compiled.grid import mask_above, read_bins, write_bins
from rtdenoise.methods.can.compiled.voiced import follow_voice, keep_voiced
from rtdenoise.methods.can.layers import features, fine
from rtdenoise.typing import C64, F32, Record

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_POWER_FLOOR = np.float32(features.POWER_FLOOR)
_FLOOR_EXPONENT = np.float32(features.FLOOR_EXPONENT)
_SHRINK = np.float32(features.SHRINK)
_ROTATION_FLOOR, _GAIN_TINY = np.float32(features.ROTATION_FLOOR), np.float32(features.GAIN_TINY)
_BINS, _KINDS, _FRAMES, _REACH = fine.BINS, fine.KINDS, fine.FRAMES, fine.REACH
_LAYERS, _N_INPUTS = fine.LAYERS, fine.N_INPUTS


@kernel
def hops(
    signal: F32,
    out: F32,
    hop_samples: int,
    weights: np.ndarray,
    streams: np.ndarray,
    frames: np.ndarray,
    listening: np.ndarray,
) -> None:
    """Enhance ``signal.size // hop_samples`` hops.

    Parameters
    ----------
    signal : (n,) float32, read
    out : (n,) float32, written; may be `signal`
    hop_samples : int
    weights : (1,) record array of `rtdenoise.methods.can.compiled.state.packed_weights`, read
    streams : (1,) record array of `rtdenoise.methods.can.compiled.state.initial_stream`, read and written
    frames : (1,) headers of `rtdenoise.methods.can.compiled.grid.initial_frames`, read and written
        See `rtdenoise.kernels.sized`.
    listening : (1,) or (0,) headers of the same kind, read and written
        The analysis that the network reads if it is not the one that it masks.

    Notes
    -----
    A single hop is processed as a short signal, as in `rtdenoise.methods.spectral.hop.hops`.  Of a longer one, up to
    `rtdenoise.methods.can.compiled.state.hops_together` go through the stack together: each layer needs earlier rows of
    the layer before it and none of its own, so a dense one reads its weights once for all of them.  Products of dense
    layers are computed for four rows at a time, so one hop too many for the last four is processed alone.
    """
    weight, stream, frame = weights[0], streams[0], opened(frames[0])
    n_hops, first = signal.size // hop_samples, 0
    while first < n_hops:
        left = n_hops - first
        n_now = min(stream.inputs.shape[0], left)
        if n_now > TOGETHER and n_now % TOGETHER == 1:
            n_now -= 1
        for n in range(n_now):
            start = (first + n) * hop_samples
            read_block(signal[start : start + hop_samples], stream, frame, listening)
            read_spectrum(stream.spectrum, stream.inputs[n], stream.heights[n], weight, stream)
            if n_now > 1:
                put_aside(stream, frame, n)
        stack(weight, stream, frame.slots, n_now)
        for n in range(n_now):
            start = (first + n) * hop_samples
            if n_now > 1:
                take_back(stream, frame, n)
            stream.newest = n
            decide(weight, stream)
            write_block(out[start : start + hop_samples], weight, stream, frame)
        first += n_now


@kernel
def put_aside(state: Record, frame: Record, n: int) -> None:
    """Keep what `write_block` needs of a hop that has been read, because the next one is read before."""
    frame.spectra[n] = frame.spectrum
    aside = state.aside[n]
    aside[0], aside[1], aside[2] = state.recent, state.lowest, state.noise_floor
    state.shares[n, 0], state.shares[n, 1] = state.clearness, state.voiced


@kernel
def take_back(state: Record, frame: Record, n: int) -> None:
    """Undo `put_aside`; after the last of several hops the state is that of the last one."""
    frame.spectrum[:] = frame.spectra[n]
    aside = state.aside[n]
    state.recent[:], state.lowest[:], state.noise_floor[:] = aside[0], aside[1], aside[2]
    state.clearness, state.voiced = state.shares[n, 0], state.shares[n, 1]


@kernel
def read_block(block: F32, state: Record, frame: Record, listening: np.ndarray) -> None:
    """Analyse a block: leaves what the network reads in ``spectrum``; arguments as `hops` has them."""
    for heard in listening:
        analyse(block, opened(heard))
    analyse(block, frame)
    if listening.size > 0:
        read_bins(opened(listening[0]), state.spectrum)
    else:
        read_bins(frame, state.spectrum)
    follow_voice(state.spectrum, frame.history, frame.n_silent >= frame.history.size, state)
    follow_band(state.spectrum, frame.n_read, state)
    fill_above(state.spectrum, state.band_end, state.band_fold, state.band_slope)


@kernel
def write_block(out: F32, weights: Record, state: Record, frame: Record) -> None:
    """Apply what the network has found, and put the finished samples out; arguments as `hops` has them."""
    read_bins(frame, state.spectrum)
    state.heard[:] = state.spectrum
    mask(state.outputs[state.newest], weights, state)
    keep_clear(state.heard, state.spectrum, state.energies, state.clarity_smoothing, state.gain_min)
    keep_voiced(state.heard, state.spectrum, state)
    write_bins(state.spectrum, frame)
    if weights.has_head != 0:
        mask_by_head(state.heard, state.spectrum, frame, weights, state)
    else:
        mask_above(state.heard, state.spectrum, frame, state.gain_min)
    synthesise(out, frame)


@kernel
def decide(weights: Record, state: Record) -> None:
    """Compute the logits of the gain, in ``gain``, and the rotation from what the layers found for the newest hop."""
    newest = state.newest
    propose(state.outputs[newest], state.heights[newest], weights.skip, state.gain)
    if state.fine_rows.size > 0:
        refine(state.inputs[newest], state.heights[newest], weights, state)
    if weights.share.size > 0:
        join(state.banded_outputs[newest], state.heights[newest], weights, state.outputs[newest], state.gain)


@kernel_apart
def read_spectrum(spectrum: C64, inputs: F32, heights: F32, weights: Record, state: Record) -> None:
    """Compute the network inputs from a spectrum: log power, its heights above running mean and floor, and phase.

    Parameters
    ----------
    spectrum : (n_bins,) complex64, read
    inputs, heights : (n_inputs,) and (2, n_bins) float32, written
    weights : record, read
    state : record, read and written
        Updates ``means`` (of log power; of a negative power of the power) and ``ages`` (the same means of ones).
    """
    mean, floor = state.means[0], state.means[1]
    above_mean, above_floor = heights[0], heights[1]
    n = spectrum.size
    for k in range(n):
        real, imag = spectrum[k].real, spectrum[k].imag
        inputs[k] = logarithm(real * real + imag * imag + _POWER_FLOOR)
    mean_step, floor_step = weights.mean_step, weights.floor_step
    state.ages[0] += mean_step * (_ONE - state.ages[0])
    state.ages[1] += floor_step * (_ONE - state.ages[1])
    mean_share, floor_share = _ONE / state.ages[0], _ONE / state.ages[1]
    for k in range(n):
        mean[k] += mean_step * (inputs[k] - mean[k])
        above_mean[k] = inputs[k] - mean[k] * mean_share
        floor[k] += floor_step * (exponential(_FLOOR_EXPONENT * inputs[k]) - floor[k])
        above_floor[k] = inputs[k] - logarithm(floor[k] * floor_share) * (_ONE / _FLOOR_EXPONENT)
    for k in range(n):
        inputs[n + k], inputs[2 * n + k] = above_mean[k], above_floor[k]
    if weights.complex_mask != 0:
        for k in range(n):
            shrink = exponential(_SHRINK * inputs[k])
            inputs[3 * n + k], inputs[4 * n + k] = spectrum[k].real * shrink, spectrum[k].imag * shrink


@kernel
def stack(weights: Record, state: Record, slots: F32, n_now: int) -> None:
    """Run the layers over consecutive hops: reads ``inputs``, stores the rows of each layer in its ring.

    Parameters
    ----------
    weights : record, read
    state : record, read and written
        Writes ``rows``, those after the last layer, and ``outputs``.
    slots : (n_slots, width) float32, read and written
        The rings of all layers.
    n_now : int
        Number of hops, no more than ``inputs`` has rows.
    """
    if weights.dilations.size == 0:
        for n in range(n_now):
            run_banded(state.inputs[n], state.step + n, weights, state, slots, state.rows[n], state.outputs[n])
        state.step += n_now
        return
    inputs, rows, taps, layer, outputs = state.inputs, state.rows, state.taps, state.layer, state.outputs
    numbers, steps = state.numbers, state.steps
    dense(inputs, weights.first, weights.first_scale, weights.first_bias, rows, numbers, steps, n_now)
    for index in range(weights.dilations.size):
        for n in range(n_now):
            gather(weights, index, state.step + n, slots, rows[n], taps[n])
        table, scale, offset = weights.kernels[index], weights.scales[index], weights.biases[index]
        dense(taps, table, scale, offset, layer, numbers, steps, n_now)
        for n in range(n_now):
            add_layer(weights, layer[n], rows[n])
    dense(rows, weights.last, weights.last_scale, weights.last_bias, outputs, numbers, steps, n_now)
    run_beside(weights, state, n_now)
    state.step += n_now


@kernel
def run_beside(weights: Record, state: Record, n_now: int) -> None:
    """Run the layers beside the stack, if there are any, over the hops in ``inputs``: writes ``banded_outputs``."""
    if weights.share.size > 0:
        for n in range(n_now):
            run_banded(
                state.inputs[n], state.step + n, weights, state, state.banded_slots, state.banded_rows,
                state.banded_outputs[n],
            )  # fmt: skip


@kernel
def dense(inputs: F32, table: I8, scale: F32, offset: F32, outputs: F32, numbers: I16, steps: F32, n_now: int) -> None:
    """A layer for the first `n_now` rows, which are rounded to whole numbers; see `rtdenoise.kernels.eight_bits`."""
    n_in = 2 * table.shape[1]
    for n in range(n_now):
        steps[n] = to_numbers(inputs[n], n_in, numbers[n])
    products(numbers, steps, table, scale, offset, outputs, n_now)


@kernel
def gather(weights: Record, index: int, step: int, slots: F32, rows: F32, taps: F32) -> None:
    """Collect what a layer reads, the rows of some frames before and this one, and store this one in its ring.

    Parameters
    ----------
    weights : record, read
    index, step : int
        Of the layer, and of the frame.
    slots : (n_slots, width) float32, read and written
    rows : (width,) float32, read
    taps : (kernel * width,) float32, written
    """
    base, length, dilation = weights.bases[index], weights.lengths[index], weights.dilations[index]
    width = rows.size
    past = taps.size // width - 1
    for tap in range(past):
        slot = base + (step - (past - tap) * dilation) % length
        for c in range(width):
            taps[tap * width + c] = slots[slot, c]
    taps[past * width :] = rows
    if length > 0:
        slot = base + step % length
        for c in range(width):
            slots[slot, c] = rows[c]


@kernel
def add_layer(weights: Record, layer: F32, rows: F32) -> None:
    """Add what a layer found, ``(width,)`` before its activation, to the rows, or replace them."""
    kept, slope = _ONE if weights.residual != 0 else np.float32(0), weights.slope
    for c in range(rows.size):
        rows[c] = kept * rows[c] + max(layer[c], slope * layer[c])


@kernel_apart
def propose(outputs: F32, heights: F32, skip: F32, gain: F32) -> None:
    """Write the logits of the gain: (n_outputs,) and twice (2, n_bins) float32, read; (n_bins,) float32, written."""
    for k in range(gain.size):
        gain[k] = outputs[k] + heights[0, k] * skip[0, k] + heights[1, k] * skip[1, k]


@kernel_apart
def join(beside: F32, heights: F32, weights: Record, outputs: F32, gain: F32) -> None:
    """Add what the layers beside the stack found to the share that is kept of what the stack did.

    Parameters
    ----------
    beside : (n_outputs,) float32, read
    heights : (2, n_bins) float32, read
    weights : record, read
    outputs : (n_outputs,) float32, read and written
        The rotation alone; what the stack found for the gain stays, for `Reading`.
    gain : (n_bins,) float32, read and written
    """
    n, share, skip = gain.size, weights.share, weights.banded_skip
    for k in range(n):
        gain[k] = share[k] * gain[k] + (beside[k] + heights[0, k] * skip[0, k] + heights[1, k] * skip[1, k])
    for k in range(n, share.size):
        outputs[k] = share[k] * outputs[k] + beside[k]


@kernel_apart
def refine(inputs: F32, heights: F32, weights: Record, state: Record) -> None:
    """Refine the logits in ``gain`` with the layers after the stack (see `fine`); stores the last frames."""
    frames, rows, gain = state.fine_frames, state.fine_rows, state.gain
    for t in range(_FRAMES - 1):
        frames[t] = frames[t + 1]
    newest = frames[_FRAMES - 1]
    for k in range(gain.size):
        at = _REACH * _N_INPUTS + k * _KINDS
        newest[at], newest[at + 1] = gain[k], inputs[k]
        newest[at + 2], newest[at + 3] = heights[0, k], heights[1, k]
    run_fine_first(weights, state)
    for number in range(_LAYERS):
        run_fine(weights, number, rows[number % 2], rows[(number + 1) % 2], state)
    found, last, offset = rows[_LAYERS % 2], weights.fine_last, weights.fine_last_bias
    c = last.shape[0]
    for k in range(gain.size):
        here, b = found[(k // _BINS + _REACH) * c :], k % _BINS
        total = offset[b]
        for j in range(c):
            total += here[j] * last[j, b]
        gain[k] += total


@kernel
def run_fine_first(weights: Record, state: Record) -> None:
    """Run the first of the layers after the stack, which reads the last frames: writes the first of ``fine_rows``."""
    frames, found, rows = state.fine_frames, state.fine_found, state.fine_rows[0]
    set_products(frames.reshape(frames.size), _N_INPUTS, frames.shape[1], weights.fine_first, found)
    rows[:] = _ZERO
    add_groups(rows, found[0], weights.fine_biases[0], fine_groups(state.gain.size), weights.slope, rows)


@kernel
def run_fine(weights: Record, number: int, source: F32, target: F32, state: Record) -> None:
    """Run a later one of these layers: (beside * channels,) read and written, each group `fine.REACH` groups in."""
    found = state.fine_found[0]
    set_product(source, found.shape[1], weights.fine_kernels[number], found)
    add_groups(source, found, weights.fine_biases[1 + number], fine_groups(state.gain.size), weights.slope, target)


@kernel
def fine_groups(n_bins: int) -> int:
    """Number of groups of bins."""
    return (n_bins + _BINS - 1) // _BINS


@kernel
def add_groups(before: F32, found: F32, offsets: F32, groups: int, slope: np.float32, after: F32) -> None:
    """Add what a layer found for each group to what was there; `after` may be `before`."""
    c = offsets.size
    for i in range(groups):
        at, values = (i + _REACH) * c, found[i]
        for j in range(c):
            value = values[j] + offsets[j]
            after[at + j] = before[at + j] + max(value, slope * value)


@kernel_apart
def mask(outputs: F32, weights: Record, state: Record) -> None:
    """Multiply ``spectrum`` by the gain with logits in ``gain``, and rotate it by the rotation in `outputs`."""
    spectrum, gain = state.spectrum, state.gain
    n, power, gain_min = gain.size, -weights.mask_power, state.gain_min
    for k in range(n):
        gain[k] = max(exponential(power * logarithm(_ONE + exponential(-gain[k]))), gain_min)
    if weights.complex_mask == 0:
        for k in range(n):
            spectrum[k] *= gain[k]
        return
    for k in range(n):
        free = _ONE - gain_min / (gain[k] + _GAIN_TINY)
        across = _ONE + free * tangent(outputs[n + k])
        along = free * tangent(outputs[2 * n + k])
        scale = gain[k] / np.sqrt(across * across + along * along + _ROTATION_FLOOR)
        real, imag = spectrum[k].real, spectrum[k].imag
        spectrum[k] = np.complex64(
            complex(scale * (across * real - along * imag), scale * (across * imag + along * real))
        )


@kernel
def tangent(x: np.float32) -> np.float32:
    """Hyperbolic tangent, accurate to 5e-6."""
    return _ONE - _TWO / (_ONE + exponential(_TWO * x))
