"""Weights of a trained network as plain arrays, shared by all engines, and their file format."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import ModelError
from rtdenoise.kernels import eight_bits
from rtdenoise.methods.can.layers import banded, features, fine
from rtdenoise.methods.can.layers.above import Head
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.layers.low_rates import Changes
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32

BESIDE = "beside_"
"""Before the names of arrays of layers beside a stack."""


@dataclass(frozen=True, slots=True)
class Network:
    """Weights ready for inference, normalisation folded into the convolutions.

    Attributes
    ----------
    spec : CanSpec
    first : tuple of (n_inputs, channels) and (channels,) float32, or None
        The layer before a stack over spectra or frames.
    kernels : tuple of (kernel, n_in, channels) float32
        One per dilation of the specification; the last tap is the current row of a causal network.
    biases : tuple of (channels,) float32
    last : tuple of (channels, n_outputs) and (n_outputs,) float32, or None
    skip : (2, n_bins) float32, or None
        Weights with which the heights of a bin above its running mean and floor bypass the stack to its gain logit.
    fine : tuple of float32 arrays
        Layers after the stack, see `rtdenoise.methods.can.layers.fine.shapes`; empty without them.
    banded : Banded, or None
        The weights of a network whose weights all bands share, but for `skip`: it has none of the layers above.
    share : (n_outputs,) float32, or None
        What is kept of the outputs of a stack that has layers over bands beside it.
    beside : Network, or None
        These layers, as a network of their own (`CanSpec.apart`).
    above : Head, or None
        What decides about bins above the network's; kept in a file of its own, and not among the `arrays`.
    """

    spec: CanSpec
    first: tuple[F32, F32] | None
    kernels: tuple[F32, ...]
    biases: tuple[F32, ...]
    last: tuple[F32, F32] | None
    skip: F32 | None = None
    fine: tuple[F32, ...] = ()
    banded: Banded | None = None
    above: Head | None = None
    share: F32 | None = None
    beside: Network | None = None

    def __post_init__(self) -> None:
        spec = self.spec
        if spec.bands:
            self._check([*spec.banded_shapes().values(), (2, spec.n_bins)])
            return
        c, n = spec.channels, len(spec.dilations)
        widths = [1 if spec.domain == "wave" and i == 0 else c for i in range(n)]
        expected = [(spec.kernel, w, c) for w in widths] + [(c,)] * n + [(c, spec.n_outputs), (spec.n_outputs,)]
        expected += [(spec.n_inputs, c), (c,)] if spec.domain != "wave" else []
        expected += [(2, spec.n_bins)] if spec.domain == "spectral" else []
        expected += fine.shapes(spec.fine_channels)
        if spec.apart is not None:
            expected += [(spec.n_outputs,), *spec.apart.banded_shapes().values(), (2, spec.n_bins)]
        self._check(expected)

    def _check(self, expected: list[tuple[int, ...]]) -> None:
        found = [a.shape for a in self.arrays()]
        if sorted(found) != sorted(expected):
            raise ModelError(
                f"weights do not fit the specification {self.spec.name!r}: shapes {_difference(found, expected)}"
            )

    def arrays(self) -> list[F32]:
        """All weights in a fixed order."""
        skip = [] if self.skip is None else [self.skip]
        shared = [] if self.banded is None else list(self.banded.arrays().values())
        dense = [*self.kernels, *self.biases, *(self.last or ()), *(self.first or ())]
        beside = [] if self.share is None or self.beside is None else [self.share, *self.beside.arrays()]
        return [*dense, *skip, *self.fine, *shared, *beside]

    @property
    def n_weights(self) -> int:
        """Number of weights in all arrays."""
        return sum(a.size for a in self.arrays())


def _difference(found: list[Any], expected: list[Any]) -> str:
    for a in found:
        if a not in expected:
            return f"{a} where one of {sorted(set(expected))} is expected"
    return f"{len(found)} arrays where {len(expected)} are expected"


def from_keras(spec: CanSpec, model: Any) -> Network:
    """Extract the weights of a Keras network; folds in running statistics, offsets and residual scale.

    ``w0 x + w1 ((x - mean) / sqrt(var + eps) + beta) = g x + w1 (beta - mean / sqrt(var + eps))``, ``g = w0 + w1 /
    sqrt(var + eps)``.
    """

    def arrays(name: str) -> list[F32]:
        return [w.numpy().astype(np.float32) for w in model.get_layer(name).weights]

    if spec.bands:
        return _with_bands(spec, arrays("banded"))
    kernels: list[F32] = []
    biases: list[F32] = []
    for index in range(len(spec.dilations)):
        kernel, *bias = arrays(f"conv{index}")
        if spec.normalisation == "adaptive":
            w0, w1, beta, mean, variance = (a.astype(np.float64) for a in _normalisation_arrays(model, index))
            scale = 1.0 / np.sqrt(variance + features.BATCHNORM_EPSILON)
            kernel = (kernel * (w0 + w1 * scale)).astype(np.float32)
            bias = [(w1 * (beta - mean * scale)).astype(np.float32)]
        # the leaky rectifier is positively homogeneous: scaling its output equals scaling its input
        share = np.float32(features.RESIDUAL_SCALE if spec.residual else 1.0)
        kernels.append(kernel * share)
        biases.append(bias[0] * share)
    first = _first(spec, *arrays("input")) if spec.domain != "wave" else None
    kernel, bias_ = arrays("output")
    skip = arrays("skip")[0] if spec.domain == "spectral" else None
    behind = _fine(spec, [a for name in _fine_names(spec) for a in arrays(name)])
    network = Network(replace(spec, beside=None), first, tuple(kernels), tuple(biases), (kernel, bias_), skip, behind)
    if spec.apart is None:
        return network
    beside = _with_bands(spec.apart, arrays("beside"))
    return replace(network, spec=spec, share=arrays("share")[0], beside=beside)


def _with_bands(spec: CanSpec, arrays: list[F32]) -> Network:
    """A network whose weights all bands share, from its arrays of training and the skip connection's."""
    shapes = spec.banded_shapes()
    trained = dict(zip(banded.trained_shapes(shapes, spec.gates), arrays[:-1], strict=True))
    return Network(spec, None, (), (), None, arrays[-1], banded=banded.folded(trained, shapes, spec.gates))


def _fine_names(spec: CanSpec) -> list[str]:
    return [*(f"fine{k}" for k in range(1 + fine.LAYERS)), "fine_output"] if spec.fine_channels else []


def _fine(spec: CanSpec, arrays: list[F32]) -> tuple[F32, ...]:
    """Layers after the stack, with the scales used in training folded in, so that they read unscaled inputs."""
    if not arrays:
        return ()
    scales = np.tile(np.array([fine.LOGIT_SCALE, *[features.LOG_SCALE] * (fine.KINDS - 1)], np.float32), fine.BINS)
    return arrays[0] * scales[:, None], *arrays[1:]


def _first(spec: CanSpec, kernel: F32, bias: F32) -> tuple[F32, F32]:
    """First layer; over spectra with the offset and scale used in training folded in."""
    kernel = kernel.copy()
    if spec.domain == "framed":
        return kernel, bias
    kernel[: 3 * spec.n_bins] *= np.float32(features.LOG_SCALE)
    return kernel, bias + np.float32(features.LOG_OFFSET) * kernel[: spec.n_bins].sum(axis=0)


def _normalisation_arrays(model: Any, index: int) -> list[F32]:
    layer = model.get_layer(f"norm{index}")
    batchnorm = layer.batchnorm
    variables = (layer.w0, layer.w1, batchnorm.beta, batchnorm.moving_mean, batchnorm.moving_variance)
    return [v.numpy().astype(np.float32) for v in variables]


def rounded(network: Network) -> Network:
    """Round every weight as it is stored: to a 16-bit float; kernels of dense layers over spectra also to eight bits.

    The compiled hop multiplies these kernels with eight bits (`rtdenoise.kernels.eight_bits`), and what they are is
    exact in 16-bit floats.
    """
    is_dense = network.spec.domain == "spectral" and network.banded is None

    def weights(array: F32) -> F32:
        if not is_dense:
            return _round(array)
        return eight_bits.rounded(array.reshape(-1, array.shape[-1])).reshape(array.shape)

    def pair(arrays: tuple[F32, F32] | None) -> tuple[F32, F32] | None:
        return None if arrays is None else (weights(arrays[0]), _round(arrays[1]))

    first, last = pair(network.first), pair(network.last)
    kernels = tuple(weights(a) for a in network.kernels)
    skip = None if network.skip is None else _round(network.skip)
    spec = replace(network.spec, mask_power=float(np.float16(network.spec.mask_power)))  # also a constant of the graph
    behind = tuple(_round(a) for a in network.fine)
    biases = tuple(_round(a) for a in network.biases)
    shared = None if network.banded is None else network.banded.rounded()
    share = None if network.share is None else _round(network.share)
    beside = None if network.beside is None else rounded(network.beside)
    return Network(spec, first, kernels, biases, last, skip, behind, shared, network.above, share, beside)


def _round(array: F32) -> F32:
    return array.astype(np.float16).astype(np.float32)


def weights_as_bytes(network: Network) -> bytes:
    """Return an ``.npz`` file with 16-bit weights; exact for a `rounded` network."""
    file = io.BytesIO()
    np.savez(file, **{name: a.astype(np.float16) for name, a in _named(network).items()})  # type: ignore[arg-type]  # numpy stubs
    return file.getvalue()


def _named(network: Network) -> dict[str, F32]:
    """All weights by their names in the file."""
    named = {f"kernel{i}": a for i, a in enumerate(network.kernels)}
    named |= {f"bias{i}": a for i, a in enumerate(network.biases)}
    if network.last is not None:
        named |= {"last_kernel": network.last[0], "last_bias": network.last[1]}
    if network.first is not None:
        named |= {"first_kernel": network.first[0], "first_bias": network.first[1]}
    if network.skip is not None:
        named["skip"] = network.skip
    named |= {f"fine{i}": a for i, a in enumerate(network.fine)}
    named |= {} if network.banded is None else network.banded.arrays()
    if network.share is not None and network.beside is not None:
        named |= {"share": network.share}
        named |= {f"{BESIDE}{name}": array for name, array in _named(network.beside).items()}
    return named


def load_weights(
    content: bytes,
    spec: CanSpec,
    path: Path,
    dtype: npt.DTypeLike = np.float32,
    changes: Changes | None = None,
) -> Network:
    """Read weights written by `weights_as_bytes`.

    Parameters
    ----------
    content : bytes
    spec : CanSpec
    path : Path
        For messages.
    dtype : dtype
        As 16-bit floats, which they are in the file, they can only be packed.
    changes : Changes, optional
        Of these weights at low rates; the network's specification then has their exponent of the gain.

    Raises
    ------
    ModelError
        If the file cannot be read or does not fit `spec`, or the changes do not fit it.
    """
    try:
        with np.load(io.BytesIO(content)) as file:
            named = {name: file[name].astype(dtype, copy=False) for name in file.files}
        if changes is not None:
            named, spec = changes.applied_to(named), changes.specified(spec)
        skip = named["skip"] if spec.domain == "spectral" else None
        if spec.bands:
            return _over_bands(spec, named)
        n = len(spec.dilations)
        first = (named["first_kernel"], named["first_bias"]) if spec.domain != "wave" else None
        kernels = tuple(named[f"kernel{i}"] for i in range(n))
        biases = tuple(named[f"bias{i}"] for i in range(n))
        behind = tuple(named[f"fine{i}"] for i in range(len(fine.shapes(spec.fine_channels))))
        share, beside = None, None
        if spec.apart is not None:
            share, beside = named["share"], _over_bands(spec.apart, named, BESIDE)
        last = named["last_kernel"], named["last_bias"]
        return Network(spec, first, kernels, biases, last, skip, behind, share=share, beside=beside)
    except KeyError as error:
        raise ModelError(f"{path}: does not fit the specification {spec.name!r} (no array {error})") from error
    except ModelError:
        raise
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error


def _over_bands(spec: CanSpec, named: Mapping[str, F32], prefix: str = "") -> Network:
    shared = Banded(**{name: named[prefix + name] for name in spec.banded_shapes()})
    return Network(spec, None, (), (), None, named[f"{prefix}skip"], banded=shared)
