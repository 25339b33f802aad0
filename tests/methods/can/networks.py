"""Small networks with random weights, one of each kind, and how to stream through them."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from rtdenoise.methods.can.layers import above, fine
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.spec import Beside, CanSpec
from rtdenoise.methods.can.weights import Network, rounded

SMALL = {
    "wave": CanSpec(name="wave", domain="wave", channels=8, dilations=(1, 2, 64, 128, 512, 1)),
    "wave 4 ms": CanSpec(name="wave 4 ms", domain="wave", channels=8, dilations=(1, 32, 64, 256, 1), hop=64),
    "framed": CanSpec(
        name="framed", domain="framed", channels=24, dilations=(1, 2, 4, 8, 16, 1), residual=True, frame=32, stride=16
    ),
    "framed 4 ms": CanSpec(
        name="framed 4 ms", domain="framed", channels=8, dilations=(1, 4, 8), frame=64, stride=16, hop=64
    ),
    "magnitude": CanSpec(
        name="magnitude", domain="spectral", channels=12, dilations=(1, 2, 4, 1), residual=True, mask="magnitude"
    ),
    "complex": CanSpec(
        name="complex", domain="spectral", channels=12, dilations=(1, 2, 4, 8), residual=True, mask="complex"
    ),
    "8 ms": CanSpec(
        name="8 ms", domain="spectral", channels=12, dilations=(1, 3), mask="complex", hop=64, span=128, mask_power=0.75
    ),
    "no overlap": CanSpec(
        name="no overlap", domain="spectral", channels=12, dilations=(1, 2), residual=True, mask="complex", span=128
    ),
    "no overlap, magnitude": CanSpec(
        name="no overlap, magnitude",
        domain="spectral",
        channels=8,
        dilations=(1, 2),
        mask="magnitude",
        hop=64,
        span=64,
    ),
    "fine": CanSpec(
        name="fine",
        domain="spectral",
        channels=12,
        dilations=(2, 4),
        residual=True,
        mask="magnitude",
        hop=64,
        mean_rows=2,
        fine_channels=12,
    ),
    "fine, complex": CanSpec(
        name="fine, complex", domain="spectral", channels=8, dilations=(1, 2), mask="complex", fine_channels=70
    ),
    "wide overlap": CanSpec(
        name="wide overlap",
        domain="spectral",
        channels=8,
        dilations=(1, 2),
        mask="magnitude",
        hop=64,
        gain_min_db=-20.0,
    ),
}

BANDED = {
    "banded": CanSpec(
        name="banded",
        domain="spectral",
        channels=16,
        bands=8,
        dilations=(1, 2, 3),
        gates=(1,),
        residual=True,
        mask="complex",
        mask_power=0.8,
    ),
    "banded, three vectors": CanSpec(
        name="banded, three vectors",
        domain="spectral",
        channels=48,
        bands=4,
        kernel=2,
        dilations=(1, 4),
        gates=(0, 1),
        residual=True,
        mask="complex",
    ),
    "banded, no gates": CanSpec(
        name="banded, no gates",
        domain="spectral",
        channels=16,
        bands=12,
        dilations=(2,),
        residual=True,
        mask="complex",
        hop=64,
        span=64,
    ),
}
"""Networks whose weights all bands share."""

BESIDE = {
    "beside": CanSpec(
        name="beside",
        domain="spectral",
        channels=12,
        dilations=(1, 2),
        residual=True,
        mask="complex",
        mask_power=0.8,
        fine_channels=12,
        beside=Beside(channels=16, bands=8, dilations=(1, 2, 3), gates=(1,)),
    ),
    "beside, no overlap": CanSpec(
        name="beside, no overlap",
        domain="spectral",
        channels=8,
        dilations=(4,),
        residual=True,
        mask="complex",
        span=128,
        beside=Beside(channels=48, bands=4, dilations=(1,)),
    ),
}
"""Networks with layers over bands beside a dense stack."""

ALL = SMALL | BANDED | BESIDE


def noise(n: int, seed: int = 0) -> np.ndarray:
    """White noise, (n,) float32."""
    return np.random.default_rng(seed).normal(0, 0.1, n).astype(np.float32)


@functools.cache
def random_network(name: str) -> Network:
    """Weights that keep the signal's size; exactly representable in 16 bits, as stored ones are."""
    spec = ALL[name]
    if spec.bands:
        return random_banded(spec)
    rng = np.random.default_rng(len(name))

    def matrix(*shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[:-1]))
        return (rng.normal(0, 1 / np.sqrt(fan_in), shape)).astype(np.float16).astype(np.float32)

    def bias(n: int) -> np.ndarray:
        return rng.normal(0, 0.1, n).astype(np.float16).astype(np.float32)

    c = spec.channels
    widths = [1 if spec.domain == "wave" and i == 0 else c for i in range(len(spec.dilations))]
    first = (matrix(spec.n_inputs, c) / 4, bias(c)) if spec.domain != "wave" else None
    kernels = tuple(matrix(spec.kernel, w, c) for w in widths)
    skip = matrix(2, spec.n_bins) if spec.domain == "spectral" else None
    last = (matrix(c, spec.n_outputs), bias(spec.n_outputs))
    behind = tuple(bias(*shape) if len(shape) == 1 else matrix(*shape) for shape in fine.shapes(spec.fine_channels))
    share, beside = None, None
    if spec.apart is not None:
        share = rng.uniform(0.3, 0.7, spec.n_outputs).astype(np.float32)
        beside = random_banded(spec.apart)
    biases = tuple(bias(c) for _ in widths)
    return rounded(Network(spec, first, kernels, biases, last, skip, behind, share=share, beside=beside))


def random_banded(spec: CanSpec) -> Network:
    """As `random_network`; log powers, of -16 to 5, and their heights are scaled as in training."""
    rng, arrays = np.random.default_rng(len(spec.name)), {}
    for key, shape in spec.banded_shapes().items():
        spread = 0.1 if key.endswith(("offset", "offsets", "bias")) else 0.5 / np.sqrt(shape[-2])
        arrays[key] = rng.normal(0, spread, shape).astype(np.float32)
    arrays["scale"] = rng.uniform(0.05, 0.2, arrays["scale"].shape).astype(np.float32)
    skip = rng.normal(0, 0.3, (2, spec.n_bins)).astype(np.float32)
    return rounded(Network(spec, None, (), (), None, skip, banded=Banded(**arrays)))


@functools.cache
def network_with_head(name: str) -> Network:
    """The random network with a random head, whose gains are anything from 0 to 1 in the bursts of `lively`."""
    network = random_network(name)
    rng = np.random.default_rng(len(name))
    arrays = {
        key: rng.normal(0, 0.7 / np.sqrt(shape[0]), shape).astype(np.float16).astype(np.float32)
        for key, shape in above.shapes(network.spec.width).items()
    }
    return replace(network, above=above.Head(**arrays))


def lively(n: int, seed: int = 0) -> np.ndarray:
    """Bursts of harmonics in noise at 16 kHz."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / 16000
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12)) * (np.sin(2 * np.pi * 5 * t) > 0)
    return (0.1 * voice + rng.normal(0, 0.02, n)).astype(np.float32)


def stream(denoiser, signal: np.ndarray) -> np.ndarray:
    out = np.full_like(signal, np.nan)
    for start in range(0, len(signal), denoiser.hop):
        denoiser.process(signal[start : start + denoiser.hop], out[start : start + denoiser.hop])
    return out
