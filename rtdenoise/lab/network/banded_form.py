"""A network whose weights all bands share, for whole signals, in any backend's operations.

See `rtdenoise.methods.can.layers.banded` for what it computes.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rtdenoise.methods.can.layers import banded, features
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32

Tensor = Any
LAYER, BESIDE, SHARE = "banded", "beside", "share"
"""Names of Keras layers: with all weights, those of `shapes`, then the skip connection's; the same beside a dense
stack; and with what is kept of the stack's outputs then."""
_STRIDE, _BEFORE, _KINDS, _OUTPUTS = banded.STRIDE, banded.BEFORE, banded.KINDS, banded.OUTPUTS
_LONGEST_FRAMES = 250.0  # of the gated means at the start of training: 2 s at a hop of 8 ms
_HOPS_MAX = 1 << 14  # of signals whose length a graph does not know
_ACROSS = ("down", "up", "mixers")  # matrices that multiply bands or groups: rows are written, columns read
_ADDED = ("values", "mixers")  # what a layer adds to the rows is made with these
_WARP = 1.6  # of the bands at the start: narrow below, wide above


def shapes(spec: CanSpec) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights but the skip connection's, in their order."""
    return banded.trained_shapes(spec.banded_shapes(), spec.gates)


def outputs(ops: Any, spec: CanSpec, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    """What the network makes of its inputs.

    Parameters
    ----------
    ops : module
        Of functions like those of `keras.ops`.
    spec : CanSpec
    weights : mapping
        Tensors of `shapes`.
    rows : (batch, n_hops, n_inputs) tensor
        See `rtdenoise.lab.network.spectral_form.spectral_inputs`.

    Returns
    -------
    (batch, n_hops, n_outputs) tensor
        Without the skip connection.
    """
    groups = _entered(ops, spec, weights, rows)
    bands = _across(ops, groups, weights["down"])
    for index in range(len(spec.dilations)):
        bands = _layer(ops, spec, weights, index, bands)
    return _left(ops, spec, weights, bands, groups)


def _across(ops: Any, values: Tensor, matrix: Tensor) -> Tensor:
    """``(bands out, bands in)`` times the last axis but one of ``(batch, n_hops, bands in, channels)``."""
    return ops.matmul(matrix, values)


def _entered(ops: Any, spec: CanSpec, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    """Groups of bins, ``(batch, n_hops, groups, channels)``."""
    n, bins, hops = banded.groups(spec.n_bins), spec.n_bins, ops.shape(rows)[1]
    inputs = ops.reshape(rows, (-1, hops, _KINDS, bins)) * weights["scale"] + weights["offset"]
    inputs = ops.pad(inputs, [[0, 0], [0, 0], [0, 0], [_BEFORE, (n + 1) * _STRIDE - _BEFORE - bins]])
    fours = ops.swapaxes(ops.reshape(inputs, (-1, hops, _KINDS, n + 1, _STRIDE)), 2, 3)
    fours = ops.reshape(fours, (-1, hops, n + 1, _KINDS * _STRIDE))
    eights = ops.concatenate([fours[:, :, :-1], fours[:, :, 1:]], -1)
    return ops.leaky_relu(ops.matmul(eights, weights["entry"]) + weights["entry_bias"], spec.slope)


def _layer(ops: Any, spec: CanSpec, weights: Mapping[str, Tensor], index: int, rows: Tensor) -> Tensor:
    """A convolution over time, and a mixer over bands; ``(batch, n_hops, bands, channels)`` in and out."""
    shape = spec.bands, spec.channels
    heard = _past(ops, rows, spec.kernel, spec.dilations[index])
    values = ops.matmul(heard, weights[f"values{index}"]) + ops.reshape(weights[f"value_offsets{index}"], shape)
    values = ops.leaky_relu(values, spec.slope)
    if index in spec.gates:
        keep = ops.matmul(heard, weights[f"gates{index}"]) + ops.reshape(weights[f"gate_offsets{index}"], shape)
        values = gated_mean(ops, values, ops.sigmoid(keep))
    rows = rows + features.RESIDUAL_SCALE * values
    mixed = _across(ops, ops.matmul(rows, weights[f"points{index}"]), weights[f"mixers{index}"])
    mixed = ops.leaky_relu(mixed + ops.reshape(weights[f"mixed_offsets{index}"], shape), spec.slope)
    return rows + features.RESIDUAL_SCALE * mixed


def _past(ops: Any, rows: Tensor, taps: int, dilation: int) -> Tensor:
    """Rows of this hop and of those before, the oldest first, joined along the channels; silence before the first."""
    hops, reach = ops.shape(rows)[1], (taps - 1) * dilation
    padded = ops.pad(rows, [[0, 0], [reach, 0], [0, 0], [0, 0]])
    return ops.concatenate([padded[:, k * dilation : k * dilation + hops] for k in range(taps)], -1)


def gated_mean(ops: Any, values: Tensor, keep: Tensor) -> Tensor:
    """``m[t] = keep[t] m[t - 1] + (1 - keep[t]) values[t]`` along the second axis, from zero on.

    By doubling: after round k each hop has heard those up to ``2**k`` before it.
    """
    hops, mean, reach = ops.shape(values)[1], (1.0 - keep) * values, 1
    while reach < (values.shape[1] or _HOPS_MAX):
        before = [[0, 0], [reach, 0], *[[0, 0]] * (len(values.shape) - 2)]
        mean = mean + keep * ops.pad(mean, before)[:, :hops]
        keep = keep * ops.pad(keep, before)[:, :hops]
        reach *= 2
    return mean


def _left(ops: Any, spec: CanSpec, weights: Mapping[str, Tensor], bands: Tensor, groups: Tensor) -> Tensor:
    """Outputs of bins."""
    n, hops = banded.groups(spec.n_bins), ops.shape(groups)[1]
    both = ops.concatenate([_across(ops, bands, weights["up"]), groups], -1)
    merged = ops.leaky_relu(ops.matmul(both, weights["merge"]) + weights["merge_bias"], spec.slope)
    padded = ops.pad(merged, [[0, 0], [0, 0], [1, 1], [0, 0]])
    around = ops.concatenate([padded[:, :, k : k + n] for k in range(3)], -1)
    found = ops.reshape(ops.matmul(around, weights["decoder"]), (-1, hops, n, _OUTPUTS, 2 * _STRIDE))
    found = ops.swapaxes(found, 2, 3)
    lower, upper = (
        ops.reshape(half, (-1, hops, _OUTPUTS, n * _STRIDE)) for half in (found[..., :_STRIDE], found[..., _STRIDE:])
    )
    above = ops.pad(upper, [[0, 0], [0, 0], [0, 0], [_STRIDE, 0]])[..., : spec.n_bins]
    below = ops.pad(lower, [[0, 0], [0, 0], [0, 0], [0, spec.n_bins - n * _STRIDE]])
    return ops.reshape(below + above + weights["output_offset"], (-1, hops, spec.n_outputs))


def starts(spec: CanSpec, rng: np.random.Generator) -> dict[str, F32]:
    """Weights before training, of `shapes`."""
    found = {name: _start(name, shape, spec, rng) for name, shape in shapes(spec).items()}
    down = _triangles(spec.bands, banded.groups(spec.n_bins)).T
    return found | {"down": down, "up": down.T.copy()}


def _start(name: str, shape: tuple[int, ...], spec: CanSpec, rng: np.random.Generator) -> F32:
    """Initial values of an array: Gaussian in matrices, narrower where more is summed."""
    values = np.zeros(shape, np.float32)
    frames = np.exp(np.linspace(0.0, math.log(_LONGEST_FRAMES), spec.channels)).astype(np.float32)
    if name == "scale":
        values[:] = 1.0
    elif name == "output_offset":
        values[0] = features.GAIN_START
    elif name.startswith("gate_offsets"):  # means over one frame to two seconds
        values[:] = np.tile(np.log(frames - 0.7), spec.bands)
    elif name == "decoder":
        values[:] = 0.02 * rng.standard_normal(shape)
    elif len(shape) == 2 and name not in ("offset", "down", "up"):
        n_heard = shape[1] if name.startswith("mixers") else shape[0]
        values[:] = _spread(name, spec) / math.sqrt(n_heard) * rng.standard_normal(shape)
    return values


def _spread(name: str, spec: CanSpec) -> float:
    """Standard deviation of what a matrix makes of inputs of unit power."""
    if name.startswith("gates"):
        return features.RESIDUAL_SCALE
    if name.startswith(("mixers", "merge")):
        return 1.0
    return math.sqrt(2.0 / (1.0 + spec.slope**2))  # kept by the rectifier: He et al. 2015, arXiv:1502.01852


def grown(spec: CanSpec, arrays: Sequence[F32], rng: np.random.Generator) -> list[F32]:
    """Weights of a network with fewer channels, bands or layers, made those of a larger one that computes the same.

    What new channels and bands hear is random, and what old ones hear of them zero, so that training changes both at
    once (Chen, Goodfellow, Shlens 2016, "Net2Net", arXiv:1511.05641, without copies).  New bands are narrow, at the
    low end of the spectrum; new layers follow the old ones, and add nothing at first.

    Parameters
    ----------
    spec : CanSpec
        Of the larger network.
    arrays : sequence of arrays
        Of `shapes` with fewer channels, bands or layers, then the skip connection's; others are returned as they are.
    rng : numpy Generator
    """
    names = _names(spec, len(arrays) - 1)
    former = dict(zip(names, arrays, strict=False))
    c, bands = int(np.size(former.get("entry_bias", ()))), np.shape(former.get("down", ()))[:1]
    if not bands or not 0 < c <= spec.channels or bands[0] > spec.bands:
        return list(arrays)
    fresh, growth = starts(spec, rng), _Growth((bands[0], c), (spec.bands, spec.channels))
    if not all(growth.fits(each.shape, fresh[name].shape) for name, each in former.items()):
        return list(arrays)
    fresh["down"][bands[0] :] = fresh["down"][: spec.bands - bands[0]]
    for name in set(fresh) - set(former):
        if name.startswith(_ADDED):
            fresh[name][:] = 0.0
    found = {name: growth.applied(name, fresh[name], each) for name, each in former.items()}
    return [*(found.get(name, new) for name, new in fresh.items()), arrays[-1]]


def _names(spec: CanSpec, n_arrays: int) -> list[str]:
    """Names of the arrays of a network with the first layers of `spec`; none if it has no such number of arrays."""
    for n in range(1, len(spec.dilations) + 1):
        shallower = replace(spec, dilations=spec.dilations[:n], gates=tuple(g for g in spec.gates if g < n))
        names = list(shapes(shallower))
        if len(names) == n_arrays:
            return names
    return []


@dataclass(frozen=True, slots=True)
class _Growth:
    """From one number of bands and of channels to another."""

    was: tuple[int, int]
    now: tuple[int, int]

    def fits(self, was: tuple[int, ...], now: tuple[int, ...]) -> bool:
        """Whether an array of one shape becomes one of the other."""
        return len(was) == len(now) and all(self._places(a, b).size == a for a, b in zip(was, now, strict=True))

    def applied(self, name: str, fresh: F32, former: F32) -> F32:
        """`fresh` with `former` where the old channels and bands are."""
        places = [self._places(was, now) for was, now in zip(former.shape, fresh.shape, strict=True)]
        found, reads = fresh.copy(), int(name.startswith(_ACROSS))  # reads: the axis of what is read
        if fresh.ndim == 2 and len(places[reads]) < fresh.shape[reads]:
            new = list(places)
            new[reads] = np.setdiff1d(np.arange(fresh.shape[reads]), places[reads])
            found[np.ix_(*new)] = 0.0
        found[np.ix_(*places)] = former
        return found

    def _places(self, was: int, now: int) -> np.ndarray:
        """Where the elements of an axis go: channels in blocks, bands, both or neither; none if it cannot be."""
        (bands, c), (more_bands, more_c) = self.was, self.now
        if was == now or (was, now) == (bands, more_bands):
            return np.arange(was)
        blocks = was // c
        if was == blocks * c and now in (blocks * more_c, blocks // bands * more_bands * more_c):
            return (np.arange(blocks)[:, None] * more_c + np.arange(c)).ravel()
        return np.arange(0)


def _triangles(n_bands: int, n_groups: int) -> F32:
    """Shares of groups of bins in bands at the start of training, ``(n_groups, n_bands)``, each of length 1."""
    edges = np.linspace(0.0, 1.0, n_bands + 1) ** _WARP * n_groups
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.maximum(1.0, np.diff(edges))
    shares = np.maximum(0.0, 1.0 - np.abs(np.arange(n_groups)[:, np.newaxis] + 0.5 - centres) / widths)
    normal: F32 = (shares / np.linalg.norm(shares, axis=0)).astype(np.float32)
    return normal


@functools.cache
def layer_class(keras: Any) -> Any:
    """The class of the Keras layer with all weights; a factory, because Keras is imported late."""

    class BandedLayers(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """``(rows, heights)`` of `spectral_form.spectral_inputs` to ``(batch, n_hops, n_outputs)``: see `outputs`."""

        def __init__(self, spec: CanSpec, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.spec = spec

        def build(self, rows_shape: Any, heights_shape: Any) -> None:
            first = starts(self.spec, np.random.default_rng(random.getrandbits(64)))  # seeded by set_random_seed
            self.named = {name: self._weight(name, values) for name, values in first.items()}
            skip = np.zeros((2, self.spec.n_bins), np.float32)
            skip[1] = features.FLOOR_SKIP_START
            self.skip = self._weight("skip", skip)
            self.built = True

        def _weight(self, name: str, values: F32) -> Any:
            return self.add_weight(
                shape=values.shape,
                initializer=lambda shape, dtype=None: keras.ops.convert_to_tensor(values, dtype),
                name=name,
            )

        def call(self, rows: Tensor, heights: Tensor) -> Tensor:
            ops = keras.ops
            gain = ops.sum(heights * self.skip, 2)
            around = ops.pad(gain, [[0, 0], [0, 0], [0, self.spec.n_outputs - self.spec.n_bins]])
            return outputs(ops, self.spec, self.named, rows) + around

        def compute_output_shape(self, rows_shape: Any, heights_shape: Any) -> Any:
            return (*rows_shape[:-1], self.spec.n_outputs)

    return BandedLayers


@functools.cache
def share_class(keras: Any) -> Any:
    """The class of the Keras layer that multiplies each output by what is kept of it; a factory, as above."""

    class Share(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """``(batch, n_hops, n_outputs)`` in and out; all is kept at first."""

        def build(self, shape: Any) -> None:
            self.share = self.add_weight(shape=(shape[-1],), initializer="ones", name="share")
            self.built = True

        def call(self, outputs: Tensor) -> Tensor:
            return outputs * self.share

    return Share


def silent(spec: CanSpec, arrays: Sequence[F32]) -> list[F32]:
    """Arrays of `shapes`, then the skip connection's, of layers that add nothing to what they stand beside."""
    none = {"decoder", "output_offset"}
    kept = [np.zeros_like(a) if name in none else a for name, a in zip(shapes(spec), arrays, strict=False)]
    return [*kept, np.zeros_like(arrays[-1])]
