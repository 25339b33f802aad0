"""Spectral networks as they ship, in PyTorch: their arrays as they are in training, and what they teach."""

from __future__ import annotations

import functools
import timeit
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rtdenoise.lab.data.lessons import Teach
from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.network import banded_form
from rtdenoise.lab.pytorch.network import Forward
from rtdenoise.lab.pytorch.operations import DEVICE
from rtdenoise.methods.can.layers import banded, features, fine
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import BESIDE, Network
from rtdenoise.typing import F32


@functools.cache
def fastest_dtype() -> str:
    """What is multiplied fastest, "bfloat16" or "float32": measured in some milliseconds, "bfloat16" on GPUs.

    Many processors compute products of 16-bit floats in 32 bits, several times slower than those of 32-bit ones.
    """
    if DEVICE.type != "cpu":
        return "bfloat16"
    seconds = {}
    for name in ("float32", "bfloat16"):
        matrix = torch.ones(256, 256, dtype=getattr(torch, name))
        matrix @ matrix  # prepares what is compiled for this processor
        seconds[name] = min(timeit.repeat(functools.partial(torch.matmul, matrix, matrix), number=4, repeat=5))
    return min(seconds, key=lambda name: seconds[name])


class Teacher:
    """What a network makes of noisy signals, for another one to learn from.

    Parameters
    ----------
    network : Network
        Over spectra.
    compute_dtype : {"float32", "bfloat16"}, optional
        Of its products; by default 16 bits where they are computed faster (what comes out differs by -37 dB);
        networks with bands compute in 32 bits.
    """

    def __init__(self, network: Network, compute_dtype: str | None = None) -> None:
        self._spec, self._forward = network.spec, Forward(network.spec, compute_dtype or fastest_dtype())
        self._arrays = [torch.from_numpy(a).to(DEVICE) for a in unfolded(network)]

    def __call__(self, noisy: Tensor) -> Tensor:
        """Enhance ``(batch, n_samples)`` float32 with the gain as trained: whole hops, aligned, without the latency."""
        n = noisy.shape[1] // self._spec.hop * self._spec.hop
        with torch.no_grad():
            return self._forward(self._arrays, noisy[:, :n], False)[:, self._spec.latency_samples :]

    def hear(self, noisy: F32) -> F32:
        """The same for arrays."""
        made: F32 = self(torch.from_numpy(noisy).to(DEVICE)).cpu().numpy()
        return made


def mean_of(parts: Sequence[tuple[Teach, float]]) -> Teach:
    """The weighted mean of what several teachers make of noisy signals, as long as the shortest.

    ``(teacher, weight)`` each; weights need not sum to one.
    Networks that differ make different errors, so their mean has fewer than each (Hinton et al. 2015).
    """

    def teach(noisy: F32) -> F32:
        made = [hear(noisy) for hear, _ in parts]
        shortest = min(a.shape[1] for a in made)
        mean = np.average([a[:, :shortest] for a in made], axis=0, weights=[weight for _, weight in parts])
        return np.asarray(mean, np.float32)

    return teach


def weight_names(spec: CanSpec) -> list[str]:
    """Names of the arrays in the file of weights, in Keras' order; of banded networks those of training."""
    if spec.bands:
        return [*banded_form.shapes(spec), "skip"]
    layers = [f"{kind}{i}" for i in range(len(spec.dilations)) for kind in ("kernel", "bias")]
    behind = [f"fine{i}" for i in range(len(fine.shapes(spec.fine_channels)))]
    dense = ["first_kernel", "first_bias", *layers, "last_kernel", "last_bias", "skip", *behind]
    if spec.apart is None:
        return dense
    return [*dense, "share", *(f"{BESIDE}{name}" for name in weight_names(spec.apart))]


def row_scales(spec: CanSpec, name: str, n_in: int) -> F32:
    """What `rtdenoise.methods.can.weights.from_keras` multiplies the rows of a matrix by, (n_in, 1)."""
    scales = np.ones(n_in, np.float32)
    if name == "first_kernel":
        scales[: 3 * spec.n_bins] = features.LOG_SCALE
    elif name.startswith("kernel") and spec.residual:
        scales[:] = features.RESIDUAL_SCALE
    elif name == "fine0":
        scales[:] = np.tile([fine.LOGIT_SCALE, *[features.LOG_SCALE] * (fine.KINDS - 1)], n_in // fine.KINDS)
    return scales[:, np.newaxis]


def folded(spec: CanSpec, arrays: Sequence[F32]) -> dict[str, F32]:
    """Arrays by their names in the file of weights, from those of training, in Keras' order."""
    named = dict(zip(weight_names(spec), arrays, strict=True))
    if spec.bands:
        shared = banded.folded(named, spec.banded_shapes(), spec.gates)
        return {**shared.arrays(), "skip": named["skip"]}
    if spec.apart is not None:
        n_beside = len(weight_names(spec.apart))
        own = folded(replace(spec, beside=None), arrays[: -n_beside - 1])
        beside = folded(spec.apart, arrays[-n_beside:])
        return own | {"share": named["share"]} | {f"{BESIDE}{name}": array for name, array in beside.items()}
    share = np.float32(features.RESIDUAL_SCALE if spec.residual else 1.0)
    now = {}
    for name, array in named.items():
        rows = array.reshape(-1, array.shape[-1])
        now[name] = (rows * row_scales(spec, name, len(rows))).reshape(array.shape)
        if name.startswith("bias"):
            now[name] = array * share
    now["first_bias"] = named["first_bias"] + np.float32(features.LOG_OFFSET) * _of_level(spec, now["first_kernel"])
    return now


def _of_level(spec: CanSpec, kernel: F32) -> F32:
    """What the first layer makes of ones in the log power of all bins."""
    total: F32 = kernel[: spec.n_bins].sum(axis=0)
    return total


def unfolded(network: Network) -> list[F32]:
    """Arrays as they are in training, in Keras' order, of a network over spectra: undoes `folded`."""
    spec = network.spec
    if network.banded is not None and network.skip is not None:
        named = banded.unfolded(network.banded, spec.gates) | {"skip": network.skip}
        return [named[name] for name in weight_names(spec)]
    if network.beside is not None and network.share is not None:
        alone = replace(network, spec=replace(spec, beside=None), share=None, beside=None)
        return [*unfolded(alone), network.share, *unfolded(network.beside)]
    assert network.first is not None and network.last is not None and network.skip is not None
    layers = [a for pair in zip(network.kernels, network.biases, strict=True) for a in pair]
    given = [*network.first, *layers, *network.last, network.skip, *network.fine]
    ones = list(folded(spec, [np.ones_like(a) for a in given]).values())
    bias = given[1] - np.float32(features.LOG_OFFSET) * _of_level(spec, given[0])
    return [given[0] / ones[0], bias, *(a / b for a, b in zip(given[2:], ones[2:], strict=True))]
