"""Records of a compiled network: its weights, and what it remembers of a stream."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.kernels import eight_bits
from rtdenoise.kernels.clean_speech.clarity import SMOOTHING_SECONDS
from rtdenoise.kernels.eight_bits import PANEL, TOGETHER, padded
from rtdenoise.kernels.product import ROWS, padded_width
from rtdenoise.kernels.sized import record_dtype
from rtdenoise.methods.can.compiled.above import fill_head, head_memory, head_weights, recent_step
from rtdenoise.methods.can.compiled.band_end import band_fields, fill_band
from rtdenoise.methods.can.compiled.banded import banded_memory, banded_weights, fill_banded
from rtdenoise.methods.can.compiled.voiced import fill_voiced, voiced_fields
from rtdenoise.methods.can.layers import features, fine
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.units import amplitude_from_db, smoothing_per_hop

HOPS = 16
"""Hops of a dense network that go through the stack together, at most: 20 ms are two or three of `can-live`, ten of
`can-ultra`."""


def weights_dtype(spec: CanSpec) -> np.dtype[Any]:
    """Record dtype of a network's weights and constants, which all its streams share and none writes.

    Widths are padded to whole panels (`rtdenoise.kernels.eight_bits`): the padding stays zero.  Specifications that
    differ in the gain's exponent alone return the same object, here and below: comparing two dtypes at the call of a
    compiled function takes long.
    """
    return _weights_dtype(replace(spec, mask_power=1.0))


@lru_cache(maxsize=16)
def _weights_dtype(spec: CanSpec) -> np.dtype[Any]:
    n, layers, dense = spec.n_bins, len(spec.dilations), int(not spec.bands)
    wide, out = padded(spec.width), padded(spec.n_outputs)
    return record_dtype(
        [
            ("slope", "f4"),  # first: numba confuses a record with another whose fields are its leading fields
            ("first", "i1", (dense * wide // PANEL, eight_bits.paired(spec.n_inputs) // 2, PANEL, 2)),
            ("first_scale", "f4", (dense * wide,)),
            ("first_bias", "f4", (dense * wide,)),
            ("kernels", "i1", (dense * layers, wide // PANEL, spec.kernel * wide // 2, PANEL, 2)),
            ("scales", "f4", (dense * layers, wide)),
            ("biases", "f4", (dense * layers, wide)),
            ("last", "i1", (dense * out // PANEL, wide // 2, PANEL, 2)),
            ("last_scale", "f4", (dense * out,)),
            ("last_bias", "f4", (dense * out,)),
            ("skip", "f4", (2, n)),
            ("bases", "i8", (dense * layers,)),
            ("lengths", "i8", (dense * layers,)),
            ("dilations", "i8", (dense * layers,)),
            *_fine_weights(spec),
            *banded_weights(spec),
            *head_weights(wide),
            ("mean_step", "f4"),
            ("floor_step", "f4"),
            ("residual", "i8"),
            ("complex_mask", "i8"),
            ("mask_power", "f4"),
        ]
    )


def hops_together(spec: CanSpec) -> int:
    """Most hops that go through the stack together: so many read its weights once, if those outgrow the near caches."""
    return TOGETHER if spec.bands else HOPS


def stream_dtype(spec: CanSpec) -> np.dtype[Any]:
    """Record dtype of what a network remembers of one stream, at any rate, but for its past rows.

    ``gain_min`` may be written while audio runs; it is read once per hop.
    """
    return _stream_dtype(replace(spec, mask_power=1.0))


@lru_cache(maxsize=16)
def _stream_dtype(spec: CanSpec) -> np.dtype[Any]:
    n, wide, out = spec.n_bins, padded(spec.width), padded(spec.n_outputs)
    dense, hops = int(not spec.bands), hops_together(spec)
    return record_dtype(
        [
            ("step", "i8"),
            ("means", "f4", (2, n)),
            ("ages", "f4", (2,)),
            ("newest", "i8"),  # row of the newest hop in the arrays of the hops that the stack computes together
            ("inputs", "f4", (hops, spec.n_inputs)),
            ("heights", "f4", (hops, 2, n)),
            ("rows", "f4", (hops, wide)),
            ("taps", "f4", (hops, dense * spec.kernel * wide)),
            ("numbers", "i2", (hops, dense * most_inputs(spec))),
            ("steps", "f4", (dense * hops,)),
            ("layer", "f4", (hops, dense * wide)),
            ("outputs", "f4", (hops, out)),
            ("aside", "f4", (hops, 3, n)),
            ("shares", "f4", (hops, 2)),
            ("gain", "f4", (n,)),
            ("spectrum", "c8", (n,)),
            ("heard", "c8", (n,)),
            ("energies", "f4", (2,)),
            *voiced_fields(n),
            *band_fields(n),
            *_fine_memory(spec),
            *banded_memory(spec, hops),
            *head_memory(),
            ("clarity_smoothing", "f4"),
            ("gain_min", "f4"),
        ]
    )


def most_inputs(spec: CanSpec) -> int:
    """Inputs of the dense layer that has most of them, rounded up to whole pairs."""
    return eight_bits.paired(max(spec.n_inputs, spec.kernel * padded(spec.width)))


def slots_shape(spec: CanSpec) -> tuple[int, int]:
    """Rows and columns of the rings of past rows, which are in the record of `grid.frames_dtype`."""
    return plan_rings(spec).n_slots, padded(spec.width)


def _wide_groups(spec: CanSpec) -> int:
    """Groups of bins, zero-padded at both ends, of the layers after the stack; 0 without them."""
    return int(spec.fine_channels > 0) * (_fine_groups(spec) + 2 * fine.REACH)


def _fine_groups(spec: CanSpec) -> int:
    """Groups of bins as products compute them."""
    return -(-fine.groups(spec.n_bins) // ROWS) * ROWS


def _fine_weights(spec: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of the weights of the layers after the stack; of size 0 without them."""
    c = padded_width(spec.fine_channels)
    there = int(c > 0)
    return [
        ("fine_first", "f4", (there * fine.FRAMES, fine.WIDTH * fine.N_INPUTS, c)),
        ("fine_kernels", "f4", (there * fine.LAYERS, fine.WIDTH * c, c)),
        ("fine_biases", "f4", (there * (1 + fine.LAYERS), c)),
        ("fine_last", "f4", (c, there * fine.BINS)),
        ("fine_last_bias", "f4", (there * fine.BINS,)),
    ]


def _fine_memory(spec: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of what those layers remember and write."""
    c, wide = padded_width(spec.fine_channels), _wide_groups(spec)
    return [
        ("fine_frames", "f4", (fine.FRAMES, wide * fine.N_INPUTS)),
        ("fine_found", "f4", (int(c > 0), _fine_groups(spec), c)),
        ("fine_rows", "f4", (2, wide * c)),
    ]


def packed_weights(network: Network) -> np.ndarray:
    """Return the weights for the compiled hop: (1,) record array of `weights_dtype`."""
    spec = network.spec
    packed = np.zeros(1, weights_dtype(spec))
    weights = packed[0]
    assert network.skip is not None  # spectral networks have it
    weights["skip"] = network.skip
    if network.banded is None:
        _fill_dense(weights, network)
    else:
        fill_banded(weights, network.banded, spec)
    if network.beside is not None:
        _fill_beside(weights, network.beside)
        weights["share"] = network.share
    weights["slope"], weights["residual"] = spec.slope, spec.residual
    weights["complex_mask"], weights["mask_power"] = spec.mask == "complex", spec.mask_power
    weights["mean_step"] = features.MEAN_STEP / spec.mean_rows
    weights["floor_step"] = features.FLOOR_STEP / spec.mean_rows
    if network.fine:
        _fill_fine(weights, network)
    if network.above is not None:
        fill_head(weights, network.above, spec)
    return packed


def _fill_beside(weights: Any, beside: Network) -> None:
    assert beside.banded is not None  # it has nothing else
    fill_banded(weights, beside.banded, beside.spec)
    weights["banded_skip"] = beside.skip


def _fill_dense(weights: Any, network: Network) -> None:
    spec, plan = network.spec, plan_rings(network.spec)
    weights["bases"], weights["lengths"], weights["dilations"] = plan.bases, plan.lengths, spec.dilations
    assert network.first is not None and network.last is not None  # such networks have them
    weights["first"], weights["first_scale"] = eight_bits.panels(network.first[0])
    weights["first_bias"] = _padded(network.first[1])
    for layer, (kernel, bias) in enumerate(zip(network.kernels, network.biases, strict=True)):
        wide = np.zeros((spec.kernel, padded(spec.channels), spec.channels), kernel.dtype)
        wide[:, : spec.channels] = kernel
        weights["kernels"][layer], weights["scales"][layer] = eight_bits.panels(wide.reshape(-1, spec.channels))
        weights["biases"][layer] = _padded(bias)
    last = np.zeros((padded(spec.channels), spec.n_outputs), network.last[0].dtype)
    last[: spec.channels] = network.last[0]
    weights["last"], weights["last_scale"] = eight_bits.panels(last)
    weights["last_bias"] = _padded(network.last[1])


def initial_stream(spec: CanSpec, framing: Framing, gain_min_db: float) -> np.ndarray:
    """Return what a network remembers at the beginning of a stream: (1,) record array of `stream_dtype`."""
    stream = np.zeros(1, stream_dtype(spec))
    stream["clarity_smoothing"] = smoothing_per_hop(SMOOTHING_SECONDS, framing.hop_seconds)
    stream["head_step"] = recent_step(framing.hop_seconds)
    stream["gain_min"] = amplitude_from_db(gain_min_db)
    fill_voiced(stream[0], spec, framing)
    fill_band(stream[0], spec, framing)
    return stream


def _fill_fine(weights: Any, network: Network) -> None:
    c = network.spec.fine_channels
    layers, last = network.fine[:-2], network.fine[-2:]
    for number, (kernel, bias) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        weights["fine_biases"][number, :c] = bias
        if number == 0:
            weights["fine_first"][..., :c] = kernel.reshape(fine.FRAMES, -1, c)
        else:
            weights["fine_kernels"][number - 1].reshape(fine.WIDTH, -1, padded_width(c))[:, :c, :c] = kernel[0]
    weights["fine_last"][:c], weights["fine_last_bias"] = last


def _padded(bias: np.ndarray) -> np.ndarray:
    return np.pad(bias, (0, padded(bias.size) - bias.size))
