"""State record of a compiled network: weights, past rows and step counter."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.kernels.clarity import SMOOTHING_SECONDS
from rtdenoise.kernels.half import PANEL, padded, panels, table_dtype
from rtdenoise.methods.can import features, fine
from rtdenoise.methods.can.rings import plan_rings
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.overlap_add import Framing, fill_windows, overlap_add_fields
from rtdenoise.units import amplitude_from_db, smoothing_per_hop


@lru_cache(maxsize=16)
def network_dtype(spec: CanSpec) -> np.dtype[Any]:
    """Record dtype of one stream of a spectral network; equal specifications return the same object.

    Widths are padded to whole panels (`rtdenoise.kernels.half`): the padding stays zero.  ``gain_min`` may be
    written while audio runs; it is read once per hop.
    """
    n, layers = spec.n_bins, len(spec.dilations)
    wide, out = padded(spec.channels), padded(spec.n_outputs)
    plan, table = plan_rings(spec), table_dtype()
    fields = np.dtype(
        [
            ("step", "i8"),  # first: numba confuses a record with another whose fields are its leading fields
            *overlap_add_fields(_framing(spec, spec.span)),
            ("first", table, (wide // PANEL, spec.n_inputs, PANEL)),
            ("first_bias", "f4", (wide,)),
            ("kernels", table, (layers, wide // PANEL, spec.kernel * wide, PANEL)),
            ("biases", "f4", (layers, wide)),
            ("last", table, (out // PANEL, wide, PANEL)),
            ("last_bias", "f4", (out,)),
            ("skip", "f4", (2, n)),
            ("slots", "f4", (plan.n_slots, wide)),
            ("bases", "i8", (layers,)),
            ("lengths", "i8", (layers,)),
            ("dilations", "i8", (layers,)),
            ("means", "f4", (2, n)),
            ("ages", "f4", (2,)),
            ("inputs", "f4", (spec.n_inputs,)),
            ("heights", "f4", (2, n)),
            ("rows", "f4", (wide,)),
            ("taps", "f4", (spec.kernel * wide,)),
            ("layer", "f4", (wide,)),
            ("outputs", "f4", (out,)),
            ("gain", "f4", (n,)),
            ("heard", "c8", (n,)),
            ("energies", "f4", (2,)),
            ("clarity_smoothing", "f4"),
            *_fine_fields(spec),
            ("mean_step", "f4"),
            ("floor_step", "f4"),
            ("slope", "f4"),
            ("residual", "i8"),
            ("complex_mask", "i8"),
            ("mask_power", "f4"),
            ("gain_min", "f4"),
        ],
        align=True,
    )
    return fields


def _fine_fields(spec: CanSpec) -> list[tuple[Any, ...]]:
    """Fields of the layers after the stack, groups of bins zero-padded at both ends; of size 0 without them."""
    c = spec.fine_channels
    there = int(c > 0)
    beside = there * (fine.groups(spec.n_bins) + 2 * fine.REACH)
    wide, table = padded(c), table_dtype()
    return [
        ("fine_first", table, (wide // PANEL, fine.FRAMES * fine.WIDTH * fine.N_INPUTS, PANEL)),
        ("fine_kernels", table, (there * fine.LAYERS, wide // PANEL, fine.WIDTH * c, PANEL)),
        ("fine_biases", "f4", (there * (1 + fine.LAYERS), wide)),
        ("fine_last", "f4", (c, there * fine.BINS)),
        ("fine_last_bias", "f4", (there * fine.BINS,)),
        ("fine_frames", "f4", (fine.FRAMES, beside * fine.N_INPUTS)),
        ("fine_taps", "f4", (there * fine.FRAMES * fine.WIDTH * fine.N_INPUTS,)),
        ("fine_layer", "f4", (wide,)),
        ("fine_rows", "f4", (2, beside * c)),
    ]


@lru_cache(maxsize=16)
def listening_dtype(spec: CanSpec) -> np.dtype[Any]:
    """Record dtype of the separate analysis for a network that reads another spectrum than it masks."""
    return np.dtype([("unused", "i4"), *overlap_add_fields(_framing(spec, spec.listening_span))], align=True)


def _framing(spec: CanSpec, span: int) -> Framing:
    return Framing(sample_rate=spec.sample_rate, frame=spec.frame, span=span, hop=spec.hop)


def initial_state(network: Network, gain_min_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the initial records of a stream.

    Returns
    -------
    states : (1,) record array of `network_dtype`
    listening : record array of `listening_dtype`
        (1,), or (0,) if the network reads the spectrum that it masks.
    """
    spec = network.spec
    states = np.zeros(1, network_dtype(spec))
    state = states[0]
    fill_windows(state, _framing(spec, spec.span))
    assert network.first is not None and network.skip is not None  # spectral networks have them
    state["first"], state["first_bias"] = panels(network.first[0]), _padded(network.first[1])
    for layer, (kernel, bias) in enumerate(zip(network.kernels, network.biases, strict=True)):
        wide = np.zeros((spec.kernel, padded(spec.channels), spec.channels), np.float32)
        wide[:, : spec.channels] = kernel
        state["kernels"][layer] = panels(wide.reshape(-1, spec.channels))
        state["biases"][layer] = _padded(bias)
    last = np.zeros((padded(spec.channels), spec.n_outputs), np.float32)
    last[: spec.channels] = network.last[0]
    state["last"], state["last_bias"] = panels(last), _padded(network.last[1])
    state["skip"] = network.skip
    plan = plan_rings(spec)
    state["bases"], state["lengths"], state["dilations"] = plan.bases, plan.lengths, spec.dilations
    state["slope"], state["residual"] = spec.slope, spec.residual
    state["complex_mask"], state["mask_power"] = spec.mask == "complex", spec.mask_power
    state["clarity_smoothing"] = smoothing_per_hop(SMOOTHING_SECONDS, spec.hop / spec.sample_rate)
    state["gain_min"] = amplitude_from_db(gain_min_db)
    state["mean_step"] = features.MEAN_STEP / spec.mean_rows
    state["floor_step"] = features.FLOOR_STEP / spec.mean_rows
    if network.fine:
        _fill_fine(state, network)
    listening = np.zeros(1 if spec.listens_apart else 0, listening_dtype(spec))
    for record in listening:
        fill_windows(record, _framing(spec, spec.listening_span))
    return states, listening


def _fill_fine(state: Any, network: Network) -> None:
    c = network.spec.fine_channels
    layers, last = network.fine[:-2], network.fine[-2:]
    for number, (kernel, bias) in enumerate(zip(layers[::2], layers[1::2], strict=True)):
        state["fine_biases"][number] = _padded(bias)
        if number == 0:
            state["fine_first"] = panels(kernel.reshape(-1, c))
        else:
            state["fine_kernels"][number - 1] = panels(kernel.reshape(-1, c))
    state["fine_last"], state["fine_last_bias"] = last


def _padded(bias: np.ndarray) -> np.ndarray:
    return np.pad(bias, (0, padded(bias.size) - bias.size))
