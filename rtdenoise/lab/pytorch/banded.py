"""A network whose weights all bands share: small kernels over time, a mixer over frequency, gated means for memory.

The two-dimensional form of context aggregation (Chen, Xu, Koltun 2017, "Fast image processing with fully-convolutional
networks", arXiv:1709.00643) on spectra.  In place of recurrent units some layers end in a gated mean over time, as in
quasi-recurrent networks (Bradbury et al. 2017, arXiv:1611.01576, "f-pooling"): the recursion multiplies no matrix, so
that it costs next to nothing in training and at run time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch import operations
from rtdenoise.lab.pytorch.network import add_frames, cut_frames, running_mean_over_time
from rtdenoise.methods.can import features
from rtdenoise.streaming.windows import window_pair

_GROUPS = 64  # of bins, from the encoder
_STRIDE, _WIDTH = 4, 8  # of the encoder, in bins
_INPUTS = 5  # log power, its heights above mean and floor, real and imaginary part
_OUTPUTS = 3  # gain and two of rotation
_SLOPE, _STEP = 0.2, 0.3
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
        self.encoder = nn.Conv2d(_INPUTS, c, (1, _WIDTH), stride=(1, _STRIDE))
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
        self.decoder = nn.Conv2d(c, _STRIDE * _OUTPUTS * 2, (1, 3), padding=(0, 1))  # twice as wide as its stride
        self.skip = nn.Parameter(torch.stack([torch.zeros(bins), torch.full((bins,), features.FLOOR_SKIP_START)]))
        offset = [torch.full((1, bins), features.GAIN_START), torch.zeros(_OUTPUTS - 1, bins)]
        self.output_offset = nn.Parameter(torch.cat(offset))
        self._start()

    def _start(self) -> None:
        nn.init.normal_(self.decoder.weight, std=0.02)
        nn.init.zeros_(self.decoder.bias)
        for convolution in (*self.convolutions, *self.points):
            nn.init.kaiming_normal_(convolution.weight, a=_SLOPE)
            nn.init.zeros_(convolution.bias)
        c = self.spec.channels
        frames = torch.exp(torch.linspace(0.0, math.log(_LONGEST_FRAMES), c))
        for convolution in self.convolutions:
            if convolution.out_channels > c:  # means over one frame to two seconds
                with torch.no_grad():
                    convolution.weight[c:] *= _STEP
                    convolution.bias[c:] = torch.log(frames - 0.7)

    def forward(self, noisy: Tensor) -> Tensor:
        """Enhance; see the class."""
        spec = self.spec
        real, imag = operations.rfft(cut_frames(noisy, spec.frame, spec.hop) * self.analysis)
        image, heights = self._inputs(real, imag)
        groups = functional.leaky_relu(self.encoder(functional.pad(image, (2, 1, 0, 0))), _SLOPE)
        rows = torch.matmul(groups, self.down)
        for convolution, place, point, mixer in zip(
            self.convolutions, self.places, self.points, self.mixers, strict=True
        ):
            rows = rows + _STEP * _layer(convolution, place, rows)
            rows = rows + _STEP * functional.leaky_relu(torch.matmul(point(rows), mixer), _SLOPE)
        merged = functional.leaky_relu(self.merge(torch.cat([torch.matmul(rows, self.up), groups], 1)), _SLOPE)
        real, imag = self._masked(real, imag, self._outputs(merged), heights)
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
        return torch.stack(parts, 1) * self.input_scale[:, None] + self.input_offset[:, None], heights

    def _outputs(self, merged: Tensor) -> Tensor:
        """From groups to bins: each group writes eight bins, half of them shared with its neighbour."""
        wide = self.decoder(merged)
        batch, _, frames, groups = wide.shape
        wide = wide.view(batch, _OUTPUTS, 2, _STRIDE, frames, groups).permute(0, 1, 2, 4, 5, 3)
        wide = wide.reshape(batch, _OUTPUTS, 2, frames, _STRIDE * groups)
        bins = self.spec.frame // 2 + 1
        below, above = (
            functional.pad(wide[:, :, 0], (0, 4))[..., :bins],
            functional.pad(wide[:, :, 1], (4, 0))[..., :bins],
        )
        return below + above + self.output_offset[:, None]

    def _masked(self, real: Tensor, imag: Tensor, out: Tensor, heights: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        gain = torch.sigmoid(out[:, 0] + self.skip[0] * heights[0] + self.skip[1] * heights[1])
        across, along = 1.0 + torch.tanh(out[:, 1]), torch.tanh(out[:, 2])
        gain = gain * torch.rsqrt(across * across + along * along + features.ROTATION_FLOOR)
        return gain * (across * real - along * imag), gain * (across * imag + along * real)


def _layer(convolution: Any, place: Tensor, rows: Tensor) -> Tensor:
    reach = 2 * convolution.dilation[0]
    found = convolution(functional.pad(rows, (0, 0, reach, 0)))
    if found.shape[1] == rows.shape[1]:
        return functional.leaky_relu(found + place, _SLOPE)
    values, gates = found.chunk(2, 1)
    return gated_mean(functional.leaky_relu(values + place, _SLOPE), torch.sigmoid(gates))


def gated_mean(values: Tensor, keep: Tensor) -> Tensor:
    """``m[t] = keep[t] m[t - 1] + (1 - keep[t]) values[t]`` along the last axis but one, from zero."""
    answer: Tensor = _GatedMean.apply(values, keep)
    return answer


class _GatedMean(torch.autograd.Function):  # type: ignore[misc]  # as above
    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: Tensor) -> Tensor:
        values, keep = values.contiguous(), keep.contiguous()
        means = torch.empty_like(values)
        _means(*(_flat(t) for t in (values, keep, means)))
        ctx.save_for_backward(values, keep, means)
        return means

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        values, keep, means = ctx.saved_tensors
        for_values, for_keep = torch.empty_like(values), torch.empty_like(keep)
        _gradients(*(_flat(t) for t in (values, keep, means, gradients[0].contiguous(), for_values, for_keep)))
        return for_values, for_keep


def _flat(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().view(-1, *tensor.shape[-2:]).numpy()
    return array


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _means(values: np.ndarray, keep: np.ndarray, means: np.ndarray) -> None:
    n, frames, bands = values.shape
    for k in range(n):
        for b in range(bands):
            means[k, 0, b] = (1 - keep[k, 0, b]) * values[k, 0, b]
        for t in range(1, frames):
            for b in range(bands):
                means[k, t, b] = values[k, t, b] + keep[k, t, b] * (means[k, t - 1, b] - values[k, t, b])


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _gradients(
    values: np.ndarray,
    keep: np.ndarray,
    means: np.ndarray,
    given: np.ndarray,
    for_values: np.ndarray,
    for_keep: np.ndarray,
) -> None:
    n, frames, bands = values.shape
    for k in range(n):
        carried = np.zeros(bands, values.dtype)
        for t in range(frames - 1, -1, -1):
            for b in range(bands):
                carried[b] += given[k, t, b]
                for_values[k, t, b] = carried[b] * (1 - keep[k, t, b])
                before = means[k, t - 1, b] if t > 0 else values.dtype.type(0)
                for_keep[k, t, b] = carried[b] * (before - values[k, t, b])
                carried[b] *= keep[k, t, b]


def _triangles(n_bands: int) -> np.ndarray:
    """Shares of groups of bins in bands at the start of training, (64, n_bands) float32, each of length 1."""
    edges = np.linspace(0.0, 1.0, n_bands + 1) ** _WARP * _GROUPS
    centres, widths = (edges[1:] + edges[:-1]) / 2, np.maximum(1.0, np.diff(edges))
    shares = np.maximum(0.0, 1.0 - np.abs(np.arange(_GROUPS)[:, np.newaxis] + 0.5 - centres) / widths)
    normal: np.ndarray = (shares / np.linalg.norm(shares, axis=0)).astype(np.float32)
    return normal
