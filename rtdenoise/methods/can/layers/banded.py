"""Weights and shapes of a banded network: small kernels whose weights all bands of frequency share.

The two-dimensional form of context aggregation (Chen, Xu, Koltun 2017, "Fast image processing with fully-convolutional
networks", arXiv:1709.00643) on spectra.  Bins become groups of four, groups become bands; each layer is a causal
dilated convolution over time, the same for every band, and a mixer that joins the bands; then bands become bins again.
Some layers end in a gated mean over time, as in quasi-recurrent networks (Bradbury et al. 2017, arXiv:1611.01576,
"f-pooling"), which remembers for seconds and multiplies no matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from rtdenoise.methods.can.layers import features
from rtdenoise.typing import F32

STRIDE = 4
"""Bins of a group; a group reads and writes those of the next one as well."""
BEFORE = 2
"""Bins of silence below the first."""
KINDS = 5
"""Inputs of a bin: log power, its heights above mean and floor, and the compressed spectrum, real and imaginary."""
OUTPUTS = 3
"""Outputs of a bin: the gain's logit, and two of the rotation."""
_APART = ("values", "value_offsets", "gates", "gate_offsets", "points", "mixers", "mixed_offsets")
"""Arrays whose first axis is that of layers, or of those that are gated."""
_STEPPED = ("values", "value_offsets", "points", "mixed_offsets")
_STEP = np.float32(features.RESIDUAL_SCALE)
_LOGS = 3  # of the inputs of a bin
_LOG_SCALE, _LOG_OFFSET = np.float32(features.LOG_SCALE), np.float32(features.LOG_OFFSET)


@dataclass(frozen=True, slots=True)
class Banded:
    """Weights of a banded network, constants of training folded in; float32, exact in 16 bits when `rounded`.

    With ``x[k]`` the inputs of bin `k` times `scale` plus `offset`, ``n`` groups and ``c`` channels:

    ``g = leaky(entry_bias + x[4 i - 2 ... 4 i + 5] . entry)`` for group `i`; ``r = g`` through `down`;

    per layer ``v = leaky(values * r + value_offsets)``, over three frames; where it is gated
    ``z = sigmoid(gates * r + gate_offsets)`` and ``v = z v' + (1 - z) v``, with ``v'`` the `v` of the frame before;
    ``y = r + v``; ``r = y + leaky(mixers . (y . points) + mixed_offsets)``;

    ``m = leaky(merge_bias + [r through up, g] . merge)``;
    ``w = [m of the groups below, here and above] . decoder``, of which the lower four bins of each output are this
    group's and the upper four the next one's; their sum plus `output_offset` is the output.

    Attributes
    ----------
    scale, offset : (5, n_bins)
    entry, entry_bias : (40, c), (c,)
        Bins in fours, of each the five kinds one after the other.
    down, up : (bands, n), (n, bands)
    values, value_offsets : (layers, 3 c, c), (layers, bands * c)
        The oldest frame first.
    gates, gate_offsets : (gated layers, 3 c, c), (gated layers, bands * c)
    points, mixers, mixed_offsets : (layers, c, c), (layers, bands, bands), (layers, bands * c)
        Rows of a mixer are the bands that it writes.
    merge, merge_bias : (2 c, c), (c,)
    decoder : (3 c, 24)
        Columns: three outputs, of each the lower four bins and the upper four.
    output_offset : (3, n_bins)
    """

    scale: F32
    offset: F32
    entry: F32
    entry_bias: F32
    down: F32
    up: F32
    values: F32
    value_offsets: F32
    gates: F32
    gate_offsets: F32
    points: F32
    mixers: F32
    mixed_offsets: F32
    merge: F32
    merge_bias: F32
    decoder: F32
    output_offset: F32

    def arrays(self) -> dict[str, F32]:
        """All weights by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def rounded(self) -> Banded:
        """The same with every weight rounded to a 16-bit float."""
        return Banded(**{name: a.astype(np.float16).astype(np.float32) for name, a in self.arrays().items()})


def groups(n_bins: int) -> int:
    """Number of groups of bins: the last group reads and writes the last bin, of half the sample rate."""
    return (n_bins - 1) // STRIDE


def shapes(n_bins: int, bands: int, channels: int, taps: int, layers: int, gated: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of `Banded`."""
    c, n, lanes = channels, groups(n_bins), bands * channels
    return {
        "scale": (KINDS, n_bins),
        "offset": (KINDS, n_bins),
        "entry": (2 * STRIDE * KINDS, c),
        "entry_bias": (c,),
        "down": (bands, n),
        "up": (n, bands),
        "values": (layers, taps * c, c),
        "value_offsets": (layers, lanes),
        "gates": (gated, taps * c, c),
        "gate_offsets": (gated, lanes),
        "points": (layers, c, c),
        "mixers": (layers, bands, bands),
        "mixed_offsets": (layers, lanes),
        "merge": (2 * c, c),
        "merge_bias": (c,),
        "decoder": (3 * c, 2 * STRIDE * OUTPUTS),
        "output_offset": (OUTPUTS, n_bins),
    }


def multiplications(n_bins: int, bands: int, channels: int, taps: int, layers: int, gated: int) -> int:
    """Multiply-adds per frame."""
    c, n = channels, groups(n_bins)
    ends = n * c * (2 * STRIDE * KINDS + 2 * bands + 2 * c + 3 * 2 * STRIDE * OUTPUTS)
    return ends + bands * c * ((layers + gated) * taps * c + layers * (c + bands))


def trained_shapes(shapes: Mapping[str, tuple[int, ...]], gates: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of training, in their order: as `shapes`, but each layer's apart, ``values0`` and on."""
    return {
        part: shape[1:] if name in _APART else shape
        for name, shape in shapes.items()
        for part in _parts(name, shape, gates)
    }


def folded(trained: Mapping[str, F32], shapes: Mapping[str, tuple[int, ...]], gates: tuple[int, ...]) -> Banded:
    """The weights from arrays of training, named as in `trained_shapes`, the constants of training folded in."""
    arrays = {}
    for name, shape in shapes.items():
        parts = np.array([trained[part] for part in _parts(name, shape, gates)], np.float32)
        arrays[name] = parts.reshape(shape) * (_STEP if name in _STEPPED else np.float32(1))
    arrays["offset"][0] += _LOG_SCALE * _LOG_OFFSET * arrays["scale"][0]
    arrays["scale"][:_LOGS] *= _LOG_SCALE
    return Banded(**arrays)


def unfolded(weights: Banded, gates: tuple[int, ...]) -> dict[str, F32]:
    """Arrays of training from the weights: undoes `folded`."""
    arrays = {name: array / (_STEP if name in _STEPPED else 1) for name, array in weights.arrays().items()}
    arrays["scale"][:_LOGS] /= _LOG_SCALE
    arrays["offset"][0] -= _LOG_SCALE * _LOG_OFFSET * arrays["scale"][0]
    return {
        part: values
        for name, array in arrays.items()
        for part, values in zip(_parts(name, array.shape, gates), array if name in _APART else [array], strict=True)
    }


def _parts(name: str, shape: tuple[int, ...], gates: tuple[int, ...]) -> list[str]:
    """Names in training of what makes an array of `Banded`."""
    if name not in _APART:
        return [name]
    return [f"{name}{n}" for n in (gates if name.startswith("gate") else range(shape[0]))]
