"""The network's forward pass over whole signals, on the Keras network's variables in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy import signal
from torch.nn import functional

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.network import banded_form
from rtdenoise.lab.network.spectral_form import apply_mask, fine_inputs, running_mean, spectral_inputs
from rtdenoise.lab.pytorch import banded_on_cpu, operations
from rtdenoise.lab.pytorch.normalisation import adaptive_rectified
from rtdenoise.methods.can.layers import features, fine
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.streaming.windows import window_pair

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Forward:
    """``forward(variables, noisy, training) -> estimate``, as `keras_network.build_network` computes it.

    Parameters
    ----------
    spec : CanSpec
    compute_dtype : {"float32", "bfloat16"}
        Of the convolutions' inputs and kernels.
    read : callable, optional
        Called with the real and imaginary parts of the spectra that a spectral network reads,
        ``(batch, n_hops, n_bins)``; returns those that it reads in their place.
    """

    def __init__(
        self,
        spec: CanSpec,
        compute_dtype: str = "float32",
        read: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    ) -> None:
        self._spec, self._dtype, self._read = spec, _TYPES[compute_dtype], read
        if spec.domain == "spectral":
            pair = window_pair(spec.frame, spec.span, spec.hop)
            listening, _ = window_pair(spec.frame, spec.listening_span, spec.hop)
            self._analysis, self._synthesis, self._listening = (
                operations.convert_to_tensor(w.astype(np.float32)) for w in (*pair, listening)
            )

    def __call__(self, variables: Sequence[Tensor], noisy: Tensor, training: bool) -> Tensor:
        """Enhanced signals, float32.

        Parameters
        ----------
        variables : sequence of tensor
            In Keras' order; running statistics are written when training.
        noisy : (batch, n_samples) float32
        training : bool

        Returns
        -------
        (batch, n_samples) float32
            Lags the input by `CanSpec.latency_samples`.
        """
        spec, left = self._spec, iter(variables)
        if spec.domain == "wave":
            return self._stack(left, noisy.unsqueeze(-1), training).squeeze(-1)
        if spec.domain == "framed":
            frames = self._stack(left, cut_frames(noisy, spec.frame, spec.stride), training)
            return add_frames(frames, spec.stride)
        cut = cut_frames(noisy, spec.frame, spec.hop)
        real, imag = operations.rfft(cut * self._analysis)
        heard = operations.rfft(cut * self._listening) if spec.listens_apart else (real, imag)
        if self._read is not None:
            heard = self._read(*heard)
        rows, heights = spectral_inputs(operations, spec, *heard, running_mean_over_time)
        if spec.bands:
            outputs = self._over_bands(spec, left, rows, heights)
        else:
            outputs = self._dense_outputs(left, rows, heights, training)
        if spec.apart is not None:
            kept = next(left) * outputs  # before the other layers take what is left
            outputs = kept + self._over_bands(spec.apart, left, rows, heights)
        real, imag = apply_mask(operations, spec, outputs, real, imag)
        frames = operations.irfft((real, imag), spec.frame)[..., spec.frame - spec.span :]
        return add_frames(frames * self._synthesis, spec.hop)

    def _dense_outputs(self, left: Iterator[Tensor], rows: Tensor, heights: Tensor, training: bool) -> Tensor:
        """Outputs of a dense stack over spectra, and of what is around and behind it."""
        spec = self._spec
        outputs = self._around(left, self._stack(left, rows, training), heights)
        if not spec.fine_channels:
            return outputs
        added = self._fine(left, fine_inputs(operations, spec, outputs, rows, heights))
        return outputs + functional.pad(added, (0, spec.n_outputs - spec.n_bins))

    def _over_bands(self, spec: CanSpec, left: Iterator[Tensor], rows: Tensor, heights: Tensor) -> Tensor:
        """Outputs of layers whose weights all bands share."""
        weights = {name: next(left) for name in banded_form.shapes(spec)}
        if rows.device.type == "cpu" and banded_on_cpu.fits(spec):
            outputs = banded_on_cpu.outputs(spec, weights, rows)
        else:
            outputs = banded_form.outputs(operations, spec, weights, rows)
        return self._around(left, outputs, heights)

    def _around(self, left: Iterator[Tensor], outputs: Tensor, heights: Tensor) -> Tensor:
        """Add to the gains what the skip connection gives them."""
        around = torch.einsum("btkf,kf->btf", heights, next(left))
        return outputs + functional.pad(around, (0, self._spec.n_outputs - self._spec.n_bins))

    def _stack(self, left: Iterator[Tensor], rows: Tensor, training: bool) -> Tensor:
        """The layers between the first and the last, ``(batch, n_rows, n)`` in and out."""
        spec = self._spec
        if spec.domain != "wave":
            rows = self._dense(left, rows)
        for dilation in spec.dilations:
            layer = self._convolution(left, rows, dilation)
            if spec.normalisation == "adaptive":
                layer = adaptive_rectified(layer, tuple(next(left) for _ in range(5)), spec.slope, training)
            else:
                layer = functional.leaky_relu(layer, spec.slope)
            rows = torch.add(rows, layer, alpha=features.RESIDUAL_SCALE) if spec.residual else layer
        return self._dense(left, rows)

    def _fine(self, left: Iterator[Tensor], rows: Tensor) -> Tensor:
        """Contribution of the fine layers to the gain's logits, ``(batch, n_hops, n_bins)``."""
        spec = self._spec
        image = functional.leaky_relu(self._image(left, rows.to(self._dtype).permute(0, 3, 1, 2)), spec.slope)
        for _ in range(fine.LAYERS):
            image = image + functional.leaky_relu(self._image(left, image, fine.REACH), spec.slope)
        added = self._dense(left, image.permute(0, 2, 3, 1))
        return added.flatten(2)[..., : spec.n_bins]

    def _image(self, left: Iterator[Tensor], image: Tensor, reach: int = 0) -> Tensor:
        """A convolution over frames and groups, ``(batch, channels, ...)`` with the channels last in memory.

        `reach`: groups of zeros on both sides.
        """
        kernel, bias = (next(left).to(self._dtype) for _ in range(2))
        return functional.conv2d(image, kernel.permute(3, 2, 0, 1), bias, padding=(0, reach))

    def _dense(self, left: Iterator[Tensor], rows: Tensor) -> Tensor:
        kernel, bias = (next(left).to(self._dtype) for _ in range(2))
        return (rows.to(self._dtype) @ kernel + bias).float()

    def _convolution(self, left: Iterator[Tensor], rows: Tensor, dilation: int) -> Tensor:
        """Run as a convolution over an image one row high, channels last in memory."""
        kernel = next(left).to(self._dtype).permute(2, 1, 0).unsqueeze(2)
        bias = next(left).to(self._dtype) if self._spec.normalisation == "none" else None
        reach = (self._spec.kernel - 1) * dilation
        past = reach if self._spec.causal else reach // 2
        image = functional.pad(rows.to(self._dtype), (0, 0, past, reach - past)).unsqueeze(1).permute(0, 3, 1, 2)
        answer = functional.conv2d(image, kernel, bias, dilation=(1, dilation))
        return answer.permute(0, 2, 3, 1).squeeze(1)


def running_mean_over_time(ops: Any, values: Tensor, step: float) -> Tensor:
    """`rtdenoise.lab.network.spectral_form.running_mean`, as a recursion on a CPU; without a gradient."""
    if values.device.type != "cpu":
        return running_mean(ops, values, step)
    feed, back = np.array([step], np.float32), np.array([1.0, step - 1.0], np.float32)
    age = signal.lfilter(feed, back, np.ones((1, values.shape[1], 1), np.float32), axis=1)
    return torch.from_numpy(signal.lfilter(feed, back, values.numpy(), axis=1) / age)


def cut_frames(samples: Tensor, frame: int, hop: int) -> Tensor:
    """The last `frame` samples at every `hop`, ``(batch, n) -> (batch, n // hop, frame)``; silence before."""
    past = frame // hop - 1
    pieces = functional.pad(samples.reshape(len(samples), -1, hop), (0, 0, past, 0))
    count = pieces.shape[1] - past
    return torch.cat([pieces[:, k : k + count] for k in range(past + 1)], -1)


def add_frames(frames: Tensor, hop: int) -> Tensor:
    """Overlap-add, ``(batch, n_frames, length) -> (batch, n_frames * hop)``: each hop is output once complete."""
    total = frames[..., :hop]
    for k in range(1, frames.shape[-1] // hop):
        total = total + functional.pad(frames[..., k * hop : (k + 1) * hop], (0, 0, k, 0))[:, :-k]
    return total.reshape(len(total), -1)
