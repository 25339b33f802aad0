"""Compiled layers of a banded network: see `rtdenoise.methods.can.layers.banded`.

Bands, or groups of bins, are the rows of small matrices whose columns are the channels, and channels are the lanes of
vectors.  All weights stay in the first two levels of a processor's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels import eight_bits
from rtdenoise.kernels.elementary import exponential
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.kernels.product import ROWS, add_product, padded_width, set_product, set_products
from rtdenoise.methods.can.layers import banded
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32, Record

_STRIDE, _BEFORE, _KINDS, _OUTPUTS = banded.STRIDE, banded.BEFORE, banded.KINDS, banded.OUTPUTS
_WIDTH = 2 * _STRIDE  # bins that a group reads
_REACH = 4  # groups from which the bins of one are written
_INNER, _FIRST, _LAST = range(3)  # decoders: of groups, of the first, and of what the last adds above all of them
_RINGS = ("bases", "lengths", "dilations")
_ZERO, _ONE = np.float32(0), np.float32(1)


def banded_weights(network: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of the weights; of size 0 without bands."""
    spec = network.apart or network
    there, c = int(spec.bands > 0), spec.channels
    shapes = spec.banded_shapes()
    del shapes["gates"]
    shapes["values"] = len(spec.dilations), spec.kernel, c, c
    shapes["gated"] = len(spec.gates), spec.kernel, c, 2 * c
    shapes["entry"] = _KINDS, _WIDTH, c
    shapes["decoder"] = 3, _REACH * c, padded_width(_STRIDE * _OUTPUTS)
    found: list[tuple[Any, ...]] = [(f"banded_{name}", "f4", (there * n[0], *n[1:])) for name, n in shapes.items()]
    tables = [(f"banded_{name}", "i8", (there * len(spec.dilations),)) for name in ("gate", *_RINGS)]
    beside = network.beside is not None
    return [
        *found,
        *tables,
        ("banded_skip", "f4", (beside * 2, spec.n_bins)),
        ("share", "f4", (beside * spec.n_outputs,)),
    ]


def fill_banded(weights: Any, found: Banded, spec: CanSpec) -> None:
    """Set the fields of `banded_weights` but for those that join the layers to a stack; `spec` is of layers apart."""
    plan = plan_rings(spec)
    weights["banded_bases"], weights["banded_lengths"] = plan.bases, plan.lengths
    weights["banded_dilations"] = spec.dilations
    arrays = found.arrays()
    entry, decoder, gates = arrays.pop("entry"), arrays.pop("decoder"), arrays.pop("gates")
    for name, array in arrays.items():
        weights[f"banded_{name}"] = array.reshape(weights[f"banded_{name}"].shape)
    by_kind = entry.reshape(2, _KINDS, _STRIDE, -1).swapaxes(0, 1)  # of each all its bins, as `enter` reads them
    weights["banded_entry"] = by_kind.reshape(weights["banded_entry"].shape)
    gated = np.concatenate([found.values[list(spec.gates)], gates], axis=-1)
    weights["banded_gated"] = gated.reshape(weights["banded_gated"].shape)
    weights["banded_decoder"][..., : _STRIDE * _OUTPUTS] = _decoders(decoder)
    weights["banded_gate"] = [spec.gates.index(n) if n in spec.gates else -1 for n in range(len(spec.dilations))]


def _decoders(decoder: F32) -> F32:
    """What a group's bins take from the two groups below, itself and the one above: (3, 4 c, 12).

    A group writes its own bins and those of the next one (`banded.Banded`): so bins get the lower part of what their
    group writes, and the upper part of what the group below does.
    """
    lower, upper = np.moveaxis(decoder.reshape(_REACH - 1, -1, _OUTPUTS, 2, _STRIDE), 3, 0)
    own, below = np.zeros((2, _REACH, *lower.shape[1:]), np.float32)
    own[1:], below[:-1] = lower, upper
    return np.stack([own + below, own, below]).reshape(3, -1, _OUTPUTS * _STRIDE)


def banded_memory(network: CanSpec, hops: int) -> list[tuple[Any, ...]]:
    """Fields of what the layers remember, ``banded_means`` and, beside a stack, ``banded_slots``, and write.

    `hops`: how many go through the stack together.
    """
    spec, beside = network.apart or network, int(network.beside is not None)
    n, bands, c = banded.groups(spec.n_bins), spec.bands, spec.channels
    slots = beside * plan_rings(spec).n_slots
    there, out = int(bands > 0), padded_width(_STRIDE * _OUTPUTS)
    return [
        ("banded_means", "f4", (there * len(spec.gates), bands * c)),
        ("banded_image", "f4", (there * _KINDS, (n + 1) * _STRIDE)),
        ("banded_groups", "f4", (there, n, c)),
        ("banded_merged", "f4", (there * (n + _REACH), c)),  # two groups of zeros at either end
        ("banded_out", "f4", (there * (n + 1), out)),
        ("banded_edge", "f4", (there * ROWS, out)),
        ("banded_taps", "f4", (there * spec.kernel, bands * c)),
        ("banded_found", "f4", (2, bands, c)),
        ("banded_point", "f4", (bands, c)),
        ("banded_slots", "f4", (slots, beside * bands * c)),
        ("banded_rows", "f4", (beside * bands * c,)),
        ("banded_outputs", "f4", (beside * hops, eight_bits.padded(spec.n_outputs))),
    ]


@kernel
def run_banded(inputs: F32, step: int, weights: Record, state: Record, slots: F32, rows: F32, outputs: F32) -> None:
    """Run the layers for one hop.

    Parameters
    ----------
    inputs : (5 * n_bins,) float32, read
    step : int
        Number of the hop.
    weights : record with `banded_weights`, read
    state : record with `banded_memory`, read and written
    slots : (n_slots, width) float32, read and written
        The rings of all layers.
    rows : (width,) float32, written
        Those after the last layer.
    outputs : (3 * n_bins and more,) float32, written
    """
    enter(inputs, weights, state, rows)
    for index in range(weights.banded_gate.size):
        convolve(weights, index, step, state, slots, rows)
        mix(weights, index, state, rows)
    leave(weights, state, rows, outputs)


@kernel
def enter(inputs: F32, weights: Record, state: Record, rows: F32) -> None:
    """From the inputs of bins, (5 * n_bins,), to groups and to the rows of bands, (width,) float32, written."""
    image, groups = state.banded_image, state.banded_groups
    scale(inputs, weights.banded_scale, weights.banded_offset, image)
    set_products(image.reshape(image.size), _STRIDE, image.shape[1], weights.banded_entry, groups)
    found = groups[0]
    for group in range(found.shape[0]):
        lean(found[group], weights.banded_entry_bias, weights.slope)
    down = weights.banded_down
    bands = rows[: down.shape[0] * found.shape[1]].reshape(down.shape[0], found.shape[1])
    set_product(down.reshape(down.size), down.shape[1], found, bands)


@kernel_apart
def scale(inputs: F32, factors: F32, terms: F32, image: F32) -> None:
    """Scale the inputs: (5 * n_bins,), (5, n_bins) twice; (5, ...) written, where silence comes before and after."""
    kinds, bins = factors.shape
    for kind in range(kinds):
        read, to = inputs[kind * bins : (kind + 1) * bins], image[kind, _BEFORE : _BEFORE + bins]
        for k in range(bins):
            to[k] = read[k] * factors[kind, k] + terms[kind, k]


@kernel
def convolve(weights: Record, index: int, step: int, state: Record, slots: F32, rows: F32) -> None:
    """Add to the rows what a layer's convolution over time gives, and store them in its ring."""
    found, taps, gate = state.banded_found, state.banded_taps, weights.banded_gate[index]
    lanes, c = taps.shape[1], found.shape[2]
    gather(weights, index, step, slots, rows, taps)
    flat, values = taps.reshape(taps.size), found[0].reshape(lanes)
    if gate < 0:
        set_products(flat, c, lanes, weights.banded_values[index], found[:1])
        add_leaning(rows, values, weights.banded_value_offsets[index], weights.slope)
        return
    set_products(flat, c, lanes, weights.banded_gated[gate], found)
    lean(values, weights.banded_value_offsets[index], weights.slope)
    gates, offsets = found[1].reshape(lanes), weights.banded_gate_offsets[gate]
    add_average(rows, values, gates, offsets, state.banded_means[gate])


@kernel_apart
def gather(weights: Record, index: int, step: int, slots: F32, rows: F32, taps: F32) -> None:
    """Collect the rows that a layer reads, oldest first: (kernel, lanes) float32, written; store these in its ring."""
    base, length = weights.banded_bases[index], weights.banded_lengths[index]
    dilation = weights.banded_dilations[index]
    past, lanes = taps.shape[0] - 1, taps.shape[1]
    for tap in range(past):
        source, to = slots[base + (step - (past - tap) * dilation) % length], taps[tap]
        for k in range(lanes):
            to[k] = source[k]
    kept, to = slots[base + step % length], taps[past]
    for k in range(lanes):
        kept[k] = to[k] = rows[k]


@kernel_apart
def add_leaning(rows: F32, values: F32, offsets: F32, slope: np.float32) -> None:
    """Add values plus offsets to the rows, those below zero times the slope."""
    for k in range(values.size):
        value = values[k] + offsets[k]
        rows[k] += max(value, slope * value)


@kernel_apart
def add_average(rows: F32, values: F32, gates: F32, offsets: F32, means: F32) -> None:
    """Add the gated means of values, which are kept, to the rows; `gates`: their logits without offsets."""
    for k in range(values.size):
        gate = _ONE / (_ONE + exponential(-(gates[k] + offsets[k])))
        means[k] = values[k] + gate * (means[k] - values[k])
        rows[k] += means[k]


@kernel
def mix(weights: Record, index: int, state: Record, rows: F32) -> None:
    """Add to the rows what other bands have."""
    point, mixed, mixer = state.banded_point, state.banded_found[0], weights.banded_mixers[index]
    set_product(rows[: point.size], point.shape[1], weights.banded_points[index], point)
    set_product(mixer.reshape(mixer.size), mixer.shape[1], point, mixed)
    add_leaning(rows, mixed.reshape(mixed.size), weights.banded_mixed_offsets[index], weights.slope)


@kernel
def leave(weights: Record, state: Record, rows: F32, outputs: F32) -> None:
    """From the rows of bands and the groups to the outputs of bins, (3 * n_bins and more,) float32, written."""
    padded, out, found = state.banded_merged, state.banded_out, state.banded_groups[0]
    groups, c = found.shape
    up, merge, decoder = weights.banded_up, weights.banded_merge, weights.banded_decoder
    merged, here = padded[2 : 2 + groups], state.banded_found[0]
    set_product(rows[: here.size], c, merge[:c], here)  # what bands give is spread last: they are fewer than groups
    set_product(up.reshape(up.size), up.shape[1], here, merged)
    add_product(found.reshape(found.size), c, merge[c:], merged)
    for group in range(groups):
        lean(merged[group], weights.banded_merge_bias, weights.slope)
    flat, edge = padded.reshape(padded.size), state.banded_edge
    set_product(flat, c, decoder[_INNER], out[:groups])
    set_product(flat, 0, decoder[_FIRST], edge)
    out[0] = edge[0]
    set_product(flat[groups * c :], 0, decoder[_LAST], edge)
    out[groups] = edge[0]
    collect(out, weights.banded_output_offset, outputs)


@kernel_apart
def collect(out: F32, offset: F32, outputs: F32) -> None:
    """Put the bins of groups, and the one above all of them, in order, and add their offsets."""
    groups, bins = (offset.shape[1] - 1) // _STRIDE, offset.shape[1]
    for kind in range(_OUTPUTS):
        to, terms, first = outputs[kind * bins :], offset[kind], _STRIDE * kind
        for group in range(groups):
            here, at = out[group, first:], group * _STRIDE
            for s in range(_STRIDE):
                to[at + s] = terms[at + s] + here[s]
        to[bins - 1] = terms[bins - 1] + out[groups, first]


@kernel_apart
def lean(values: F32, offsets: F32, slope: np.float32) -> None:
    """Add offsets, and scale what is negative then by the slope."""
    for k in range(values.size):
        value = values[k] + offsets[k]
        values[k] = max(value, slope * value)
