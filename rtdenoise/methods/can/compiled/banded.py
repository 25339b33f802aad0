"""Compiled layers of a banded network: see `rtdenoise.methods.can.layers.banded`.

Bands, or groups of bins, are the rows of small matrices whose columns are the channels, and channels are the lanes of
vectors.  All weights stay in the first two levels of a processor's cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.elementary import exponential
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.kernels.product import add_product, padded_width
from rtdenoise.methods.can.layers import banded
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32, Record

_STRIDE, _BEFORE, _KINDS, _OUTPUTS = banded.STRIDE, banded.BEFORE, banded.KINDS, banded.OUTPUTS
_WIDTH = 2 * _STRIDE  # bins that a group reads
_ZERO, _ONE = np.float32(0), np.float32(1)


def banded_weights(spec: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of the weights; of size 0 without bands."""
    there = int(spec.bands > 0)
    found: list[tuple[Any, ...]] = []
    shapes = spec.banded_shapes()
    shapes["decoder"] = shapes["decoder"][0], padded_width(shapes["decoder"][1])
    for name, shape in shapes.items():
        found.append((f"banded_{name}", "f4", (there * shape[0], *shape[1:])))
    return [*found, ("banded_gate", "i8", (there * len(spec.dilations),))]


def fill_banded(weights: Any, found: Banded, spec: CanSpec) -> None:
    """Set the fields of `banded_weights`."""
    for name, array in found.arrays().items():
        weights[f"banded_{name}"][..., : array.shape[-1]] = array  # the decoder's padding stays zero
    by_kind = found.entry.reshape(2, _KINDS, _STRIDE, -1).swapaxes(0, 1)  # of each all its bins, as `enter` reads them
    weights["banded_entry"] = by_kind.reshape(found.entry.shape)
    weights["banded_gate"] = [spec.gates.index(n) if n in spec.gates else -1 for n in range(len(spec.dilations))]


def banded_memory(spec: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of what the layers remember, ``banded_means``, and write."""
    n, bands, c = banded.groups(spec.n_bins), spec.bands, spec.channels
    there = int(bands > 0)
    return [
        ("banded_means", "f4", (there * len(spec.gates), bands * c)),
        ("banded_image", "f4", (there * _KINDS, (n + 1) * _STRIDE)),
        ("banded_groups", "f4", (there * n, c)),
        ("banded_merged", "f4", (there * (n + 2), c)),  # a group of zeros at either end
        ("banded_out", "f4", (there * n, padded_width(2 * _STRIDE * _OUTPUTS))),
        ("banded_value", "f4", (bands, c)),
        ("banded_opening", "f4", (bands, c)),
        ("banded_point", "f4", (bands, c)),
    ]


@kernel
def run_banded(weights: Record, state: Record, slots: F32, n: int) -> None:
    """Run the network for one hop.

    Parameters
    ----------
    weights : record with `banded_weights`, read
    state : record with `banded_memory`, read and written
        Reads row `n` of ``inputs``; writes row `n` of ``rows``, those after the last layer, and of ``outputs``; counts
        ``step``.
    slots : (n_slots, width) float32, read and written
        The rings of all layers.
    n : int
    """
    rows = state.rows[n]
    enter(state.inputs[n], weights, state, rows)
    for index in range(weights.banded_gate.size):
        convolve(weights, index, state, slots, rows)
        mix(weights, index, state, rows)
    leave(weights, state, rows, state.outputs[n])
    state.step += 1


@kernel
def enter(inputs: F32, weights: Record, state: Record, rows: F32) -> None:
    """From the inputs of bins, (5 * n_bins,), to groups and to the rows of bands, (width,) float32, written."""
    image, found = state.banded_image, state.banded_groups
    scale(inputs, weights.banded_scale, weights.banded_offset, image)
    bias, slope = weights.banded_entry_bias, weights.slope
    found[:] = _ZERO
    for kind in range(_KINDS):  # bins are read where they are: the next group begins four of them further
        add_product(image[kind], _STRIDE, weights.banded_entry[kind * _WIDTH : (kind + 1) * _WIDTH], found)
    for group in range(found.shape[0]):
        lean(found[group], bias, slope)
    bands = state.banded_value
    down = weights.banded_down
    to = rows[: bands.size].reshape(bands.shape)
    to[:] = _ZERO
    add_product(down.reshape(down.size), down.shape[1], found, to)


@kernel_apart
def scale(inputs: F32, factors: F32, terms: F32, image: F32) -> None:
    """Scale the inputs: (5 * n_bins,), (5, n_bins) twice; (5, ...) written, where silence comes before and after."""
    kinds, bins = factors.shape
    for kind in range(kinds):
        read, to = inputs[kind * bins : (kind + 1) * bins], image[kind, _BEFORE : _BEFORE + bins]
        for k in range(bins):
            to[k] = read[k] * factors[kind, k] + terms[kind, k]


@kernel
def convolve(weights: Record, index: int, state: Record, slots: F32, rows: F32) -> None:
    """Add to the rows what a layer's convolution over time gives, and store them in its ring."""
    value, gate = state.banded_value, weights.banded_gate[index]
    lanes, c = value.size, value.shape[1]
    base, length, dilation, step = (
        weights.bases[index],
        weights.lengths[index],
        weights.dilations[index],
        state.step,
    )
    taps = weights.banded_values[index].shape[0] // c
    value[:] = _ZERO
    opening = state.banded_opening
    opening[:] = _ZERO
    for tap in range(taps):
        source = rows if tap == taps - 1 else slots[base + (step - (taps - 1 - tap) * dilation) % length]
        add_product(source[:lanes], c, weights.banded_values[index, tap * c : (tap + 1) * c], value)
        if gate >= 0:
            add_product(source[:lanes], c, weights.banded_gates[gate, tap * c : (tap + 1) * c], opening)
    slots[base + step % length, :lanes] = rows[:lanes]
    flat = value.reshape(lanes)
    lean(flat, weights.banded_value_offsets[index], weights.slope)
    if gate >= 0:
        average(flat, opening.reshape(lanes), weights.banded_gate_offsets[gate], state.banded_means[gate])
    for k in range(lanes):
        rows[k] += flat[k]


@kernel_apart
def average(values: F32, gates: F32, offsets: F32, means: F32) -> None:
    """Replace values by their gated means, which are kept; `gates` before their offsets and sigmoid, overwritten."""
    for k in range(values.size):
        gates[k] = _ONE / (_ONE + exponential(-(gates[k] + offsets[k])))
    for k in range(values.size):
        means[k] = values[k] + gates[k] * (means[k] - values[k])
        values[k] = means[k]


@kernel
def mix(weights: Record, index: int, state: Record, rows: F32) -> None:
    """Add to the rows what other bands have."""
    point, mixed = state.banded_point, state.banded_value
    mixer = weights.banded_mixers[index]
    point[:] = _ZERO
    mixed[:] = _ZERO
    add_product(rows[: point.size], point.shape[1], weights.banded_points[index], point)
    add_product(mixer.reshape(mixer.size), mixer.shape[1], point, mixed)
    flat = mixed.reshape(mixed.size)
    lean(flat, weights.banded_mixed_offsets[index], weights.slope)
    for k in range(flat.size):
        rows[k] += flat[k]


@kernel
def leave(weights: Record, state: Record, rows: F32, outputs: F32) -> None:
    """From the rows of bands and the groups to the outputs of bins, (3 * n_bins and more,) float32, written."""
    padded, out = state.banded_merged, state.banded_out
    groups, c = state.banded_groups.shape
    up, merge, slope = weights.banded_up, weights.banded_merge, weights.slope
    merged = padded[1 : 1 + groups]
    merged[:] = _ZERO
    out[:] = _ZERO
    here = state.banded_value  # what bands give is spread last: there are fewer of them than of groups
    here[:] = _ZERO
    add_product(rows[: here.size], c, merge[:c], here)
    add_product(up.reshape(up.size), up.shape[1], here, merged)
    add_product(state.banded_groups.reshape(groups * c), c, merge[c:], merged)
    for group in range(groups):
        lean(merged[group], weights.banded_merge_bias, slope)
    add_product(padded.reshape(padded.size), c, weights.banded_decoder, out)
    collect(out, weights.banded_output_offset, outputs)


@kernel_apart
def collect(out: F32, offset: F32, outputs: F32) -> None:
    """Add the lower bins of each group to the upper ones of the group below, and their offset."""
    groups, bins = out.shape[0], offset.shape[1]
    for kind in range(_OUTPUTS):
        lower, upper = 2 * _STRIDE * kind, 2 * _STRIDE * kind + _STRIDE
        to, terms = outputs[kind * bins :], offset[kind]
        for s in range(_STRIDE):
            to[s] = terms[s] + out[0, lower + s]
        for group in range(1, groups):
            here, below, at = out[group, lower:], out[group - 1, upper:], group * _STRIDE
            for s in range(_STRIDE):
                to[at + s] = terms[at + s] + here[s] + below[s]
        to[groups * _STRIDE] = terms[groups * _STRIDE] + out[groups - 1, upper]


@kernel_apart
def lean(values: F32, offsets: F32, slope: np.float32) -> None:
    """Add offsets, and scale what is negative then by the slope."""
    for k in range(values.size):
        value = values[k] + offsets[k]
        values[k] = max(value, slope * value)
