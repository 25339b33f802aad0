"""A network whose weights all bands share: small kernels over time, a mixer over frequency, gated means for memory.

The two-dimensional form of context aggregation (Chen, Xu, Koltun 2017, "Fast image processing with fully-convolutional
networks", arXiv:1709.00643) on spectra.  In place of recurrent units some layers end in a gated mean over time, as in
quasi-recurrent networks (Bradbury et al. 2017, arXiv:1611.01576, "f-pooling"): the recursion multiplies no matrix, so
that it costs next to nothing in training and at run time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rtdenoise.errors import ConfigError
from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch import operations
from rtdenoise.lab.pytorch.banded_ends import GROUPS, OUTPUTS, STRIDE, Entry, Exit
from rtdenoise.lab.pytorch.banded_layers import STEP, Layer
from rtdenoise.lab.pytorch.network import add_frames, cut_frames, running_mean_over_time
from rtdenoise.lab.pytorch.products import SLOPE
from rtdenoise.methods.can.layers import banded, features
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network, rounded
from rtdenoise.streaming.windows import window_pair

_INPUTS = 5  # log power, its heights above mean and floor, real and imaginary part
_LONGEST_FRAMES = 250.0  # of the gated means at the start of training: 2 s
_WARP = 1.6  # of the bands at the start: narrow below, wide above


@dataclass(frozen=True, slots=True, kw_only=True)
class BandedSpec:
    """Sizes of a banded network; `layers`: dilation of each, in frames, negative if a gated mean follows."""

    channels: int = 32
    bands: int = 32
    layers: tuple[int, ...] = (1, -2, 4, -8, 1, -2, 4, -8)
    frame: int = 512
    span: int = 256
    hop: int = 128

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, excluding the time to collect a hop."""
        return self.span - self.hop


class Banded(nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """``Banded(spec)(noisy)``: signals (batch, n) float32, n whole hops, to enhanced ones, `latency_samples` later."""

    def __init__(self, spec: BandedSpec) -> None:
        super().__init__()
        self.spec, c, bins = spec, spec.channels, spec.frame // 2 + 1
        for name, window in zip(("analysis", "synthesis"), window_pair(spec.frame, spec.span, spec.hop), strict=True):
            self.register_buffer(name, torch.from_numpy(window.astype(np.float32)))
        self.input_scale = nn.Parameter(torch.ones(_INPUTS, bins))
        self.input_offset = nn.Parameter(torch.zeros(_INPUTS, bins))
        self.encoder = nn.Conv2d(_INPUTS, c, (1, 2 * STRIDE), stride=(1, STRIDE))
        down = torch.from_numpy(_triangles(spec.bands))
        self.down, self.up = nn.Parameter(down), nn.Parameter(down.T.clone())
        self.convolutions = nn.ModuleList(
            nn.Conv2d(c, c if d > 0 else 2 * c, (3, 1), dilation=(abs(d), 1)) for d in spec.layers
        )
        self.places = nn.ParameterList(nn.Parameter(torch.zeros(1, c, 1, spec.bands)) for _ in spec.layers)
        self.points = nn.ModuleList(nn.Conv2d(c, c, 1) for _ in spec.layers)
        self.mixers = nn.ParameterList(
            nn.Parameter(torch.randn(spec.bands, spec.bands) / math.sqrt(spec.bands)) for _ in spec.layers
        )
        self.merge = nn.Conv2d(2 * c, c, 1)
        self.decoder = nn.Conv2d(c, STRIDE * OUTPUTS * 2, (1, 3), padding=(0, 1))  # twice as wide as its stride
        self.skip = nn.Parameter(torch.stack([torch.zeros(bins), torch.full((bins,), features.FLOOR_SKIP_START)]))
        offset = [torch.full((1, bins), features.GAIN_START), torch.zeros(OUTPUTS - 1, bins)]
        self.output_offset = nn.Parameter(torch.cat(offset))
        self._start()

    def _start(self) -> None:
        nn.init.normal_(self.decoder.weight, std=0.02)
        nn.init.zeros_(self.decoder.bias)
        for convolution in (*self.convolutions, *self.points):
            nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
            nn.init.zeros_(convolution.bias)
        c = self.spec.channels
        frames = torch.exp(torch.linspace(0.0, math.log(_LONGEST_FRAMES), c))
        for convolution in self.convolutions:
            if convolution.out_channels > c:  # means over one frame to two seconds
                with torch.no_grad():
                    convolution.weight[c:] *= STEP
                    convolution.bias[c:] = torch.log(frames - 0.7)

    def forward(self, noisy: Tensor) -> Tensor:
        """Enhance; see the class."""
        spec = self.spec
        real, imag = operations.rfft(cut_frames(noisy, spec.frame, spec.hop) * self.analysis)
        image, heights = self._inputs(real, imag)
        groups, rows = self._entered(image)
        layers = zip(self.convolutions, self.places, self.points, self.mixers, strict=True)
        for convolution, place, point, mixer in layers:
            rows = _layer(convolution, place, point, mixer, rows)
        real, imag = self._masked(real, imag, self._outputs(rows, groups), heights)
        frames = operations.irfft((real, imag), spec.frame)[..., spec.frame - spec.span :]
        return add_frames(frames * self.synthesis, spec.hop)

    def _inputs(self, real: Tensor, imag: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        power = (real * real + imag * imag + features.POWER_FLOOR).log()
        per_hop = self.spec.hop / 128  # the steps are those of a hop of 8 ms
        mean = running_mean_over_time(operations, power.detach(), features.MEAN_STEP * per_hop)
        root = torch.exp(features.FLOOR_EXPONENT * power.detach())
        floor = running_mean_over_time(operations, root, features.FLOOR_STEP * per_hop).log() / features.FLOOR_EXPONENT
        heights = (power - mean, power - floor)
        shrink = torch.exp(features.SHRINK * power)
        scale = features.LOG_SCALE
        parts = [(power + features.LOG_OFFSET) * scale, *(h * scale for h in heights), real * shrink, imag * shrink]
        return torch.stack(parts), heights

    def _entered(self, image: Tensor) -> tuple[Tensor, Tensor]:
        c = self.spec.channels
        halves = self.encoder.weight.view(c, _INPUTS, 2, STRIDE).permute(2, 1, 3, 0).flatten(1, 2)
        answer: tuple[Tensor, Tensor] = Entry.apply(
            image, self.input_scale, self.input_offset, halves, self.encoder.bias, self.down
        )
        return answer

    def _outputs(self, rows: Tensor, groups: Tensor) -> Tensor:
        c, bins = self.spec.channels, self.spec.frame // 2 + 1
        merge = self.merge.weight.view(c, 2, c).permute(1, 2, 0)
        decoder = self.decoder.weight[:, :, 0].permute(2, 1, 0)
        out = Exit.apply(rows, groups, self.up, merge, self.merge.bias, decoder)
        below, above = self.decoder.bias.view(OUTPUTS, 2, STRIDE).repeat(1, 1, GROUPS).unbind(1)
        offset = functional.pad(below, (0, STRIDE)) + functional.pad(above, (STRIDE, 0))
        return out + (self.output_offset + offset[:, :bins])[:, None]

    def _masked(self, real: Tensor, imag: Tensor, out: Tensor, heights: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        gain = torch.sigmoid(out[:, 0] + self.skip[0] * heights[0] + self.skip[1] * heights[1])
        across, along = 1.0 + torch.tanh(out[:, 1]), torch.tanh(out[:, 2])
        gain = gain * torch.rsqrt(across * across + along * along + features.ROTATION_FLOOR)
        return gain * (across * real - along * imag), gain * (across * imag + along * real)


def _layer(convolution: Any, place: Tensor, point: Any, mixer: Tensor, rows: Tensor) -> Tensor:
    c = rows.shape[3]
    parts = convolution.out_channels // c
    taps = convolution.weight.view(parts, c, c, 3).permute(0, 3, 2, 1)
    offsets = functional.pad(place[0, :, 0].T[None], (0, 0, 0, 0, 0, parts - 1)) + convolution.bias.view(parts, 1, c)
    mixed = torch.outer(mixer.sum(0), point.bias)
    answer: Tensor = Layer.apply(rows, taps, offsets, point.weight[:, :, 0, 0].T, mixer, mixed, convolution.dilation[0])
    return answer


def grown(network: Banded, spec: BandedSpec) -> Banded:
    """Return a network with more channels or more layers at the end, whose output is still that of `network`.

    Weights from new channels to old ones are zero, those into new channels random, so training changes both at once.
    (Chen, Goodfellow, Shlens 2016, "Net2Net", arXiv:1511.05641, without copies of channels.)

    Raises
    ------
    ConfigError
        If `spec` has fewer of them, other bands or windows, or other layers before the new ones.
    """
    old, n = network.spec, len(network.spec.layers)
    same = replace(spec, channels=old.channels, layers=old.layers) == old
    if not same or spec.layers[:n] != old.layers or spec.channels < old.channels:
        raise ConfigError(f"{spec} does not grow from {old}: only channels and layers at the end can be added")
    new = Banded(spec)
    c = old.channels
    with torch.no_grad():
        for name, value in new.state_dict().items():
            kind, *rest = name.split(".")
            if kind in ("convolutions", "points", "mixers", "places") and int(rest[0]) >= n:
                if kind in ("convolutions", "points"):
                    value[: spec.channels] = 0.0  # not the gates
                continue
            former = network.state_dict()[name]
            if kind in ("convolutions", "points", "merge", "decoder") and rest[-1] == "weight":
                _quiet_inputs(value, c, spec.channels, whole=kind == "decoder")
            _copy_into(value, former, c, spec.channels)
    return new


def _quiet_inputs(weight: Tensor, c: int, wider: int, whole: bool) -> None:
    """Let the old outputs of a weight read nothing of the new inputs; `whole`: all outputs are old."""
    new_inputs = torch.arange(weight.shape[1]) % wider >= c
    old_outputs = torch.arange(weight.shape[0]) % wider < c
    weight[(old_outputs | whole)[:, None] & new_inputs] = 0.0


def _copy_into(value: Tensor, former: Tensor, c: int, wider: int) -> None:
    """Copy blocks of `c` channels to the beginnings of blocks of more, along every axis that has such blocks."""
    places: list[Tensor] = []
    for length, was in zip(value.shape, former.shape, strict=True):
        if length == was:
            places.append(torch.arange(was))
        else:
            places.append(torch.cat([torch.arange(c) + block * wider for block in range(was // c)]))
    value[torch.meshgrid(*places, indexing="ij")] = former


def as_network(trained: Banded, name: str, mask_power: float) -> Network:
    """The weights as the product runs them, the constants of training folded in, exact in 16 bits."""
    sizes, c = trained.spec, trained.spec.channels
    w = {key: value.detach().numpy() for key, value in trained.state_dict().items()}
    gated = tuple(n for n, dilation in enumerate(sizes.layers) if dilation < 0)
    taps, offsets = [], []
    for n in range(len(sizes.layers)):
        parts = w[f"convolutions.{n}.weight"].reshape(-1, c, c, 3).transpose(0, 3, 2, 1)
        taps.append(parts.reshape(len(parts), 3 * c, c))
        offset = np.tile(w[f"convolutions.{n}.bias"].reshape(-1, 1, c), (1, sizes.bands, 1))
        offset[0] += w[f"places.{n}"][0, :, 0].T
        offsets.append(offset.reshape(len(parts), -1))
    points = np.stack([w[f"points.{n}.weight"][:, :, 0, 0].T for n in range(len(taps))])
    mixers = np.stack([w[f"mixers.{n}"].T for n in range(len(taps))])
    mixed = [np.outer(mixer.sum(1), w[f"points.{n}.bias"]).ravel() for n, mixer in enumerate(mixers)]
    scale, offset = w["input_scale"].copy(), w["input_offset"].copy()
    offset[0] += features.LOG_SCALE * features.LOG_OFFSET * scale[0]
    scale[:3] *= features.LOG_SCALE
    halves = w["encoder.weight"].reshape(c, _INPUTS, 2, STRIDE).transpose(2, 1, 3, 0)
    bias = w["decoder.bias"].reshape(OUTPUTS, 2, STRIDE)
    below, above = (np.tile(bias[:, half], (1, GROUPS)) for half in range(2))
    added = np.pad(below, ((0, 0), (0, STRIDE))) + np.pad(above, ((0, 0), (STRIDE, 0)))
    spec = CanSpec(
        name=name,
        domain="spectral",
        channels=c,
        bands=sizes.bands,
        dilations=tuple(abs(d) for d in sizes.layers),
        gates=gated,
        residual=True,
        slope=SLOPE,
        mask="complex",
        mask_power=mask_power,
        hop=sizes.hop,
        frame=sizes.frame,
        span=sizes.span,
    )
    arrays = {
        "scale": scale,
        "offset": offset,
        "entry": halves.reshape(-1, c),
        "entry_bias": w["encoder.bias"],
        "down": w["down"].T,
        "up": w["up"].T,
        "values": STEP * np.stack([t[0] for t in taps]),
        "value_offsets": STEP * np.stack([o[0] for o in offsets]),
        "gates": np.stack([taps[n][1] for n in gated]),
        "gate_offsets": np.stack([offsets[n][1] for n in gated]),
        "points": STEP * points,
        "mixers": mixers,
        "mixed_offsets": STEP * np.stack(mixed),
        "merge": w["merge.weight"][:, :, 0, 0].T,
        "merge_bias": w["merge.bias"],
        "decoder": w["decoder.weight"][:, :, 0].transpose(2, 1, 0).reshape(3 * c, -1),
        "output_offset": w["output_offset"] + added[:, : scale.shape[1]],
    }
    weights = banded.Banded(**{key: np.ascontiguousarray(a, np.float32) for key, a in arrays.items()})
    return rounded(Network(spec, None, (), (), None, w["skip"], banded=weights))


def _triangles(n_bands: int) -> np.ndarray:
    """Shares of groups of bins in bands at the start of training, (64, n_bands) float32, each of length 1."""
    edges = np.linspace(0.0, 1.0, n_bands + 1) ** _WARP * GROUPS
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.maximum(1.0, np.diff(edges))
    shares = np.maximum(0.0, 1.0 - np.abs(np.arange(GROUPS)[:, np.newaxis] + 0.5 - centres) / widths)
    normal: np.ndarray = (shares / np.linalg.norm(shares, axis=0)).astype(np.float32)
    return normal
