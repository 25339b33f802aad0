"""``ops`` for networks and loss terms: the functions of `keras.ops` they use, in pure PyTorch."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
import torch
from torch.nn import functional

from rtdenoise.lab.losses.frames import Tensor

DEVICE: torch.device = keras.ops.zeros(()).device if keras.backend.backend() == "torch" else torch.device("cpu")
"""Device of Keras's variables: a GPU if PyTorch can use one; beside another backend of Keras the processor."""
_TYPES = {"float32": torch.float32, "int32": torch.int64, "bfloat16": torch.bfloat16}  # PyTorch's indices are 64-bit

exp, log, sqrt, rsqrt, square, power = torch.exp, torch.log, torch.sqrt, torch.rsqrt, torch.square, torch.pow
abs, sign, sigmoid, tanh, relu = torch.abs, torch.sign, torch.sigmoid, torch.tanh, torch.relu
ones_like, leaky_relu, clip = torch.ones_like, functional.leaky_relu, torch.clamp
isfinite, logical_and, all = torch.isfinite, torch.logical_and, torch.all


_constants: dict[tuple[Any, ...], Tensor] = {}


def convert_to_tensor(values: Any) -> Tensor:
    """Convert an array or a Keras variable to a read-only tensor; tensors are returned unchanged.

    Arrays are copied to a GPU once per content, because recorded work may not copy from the host.
    """
    values = getattr(values, "value", values)
    if isinstance(values, torch.Tensor) or DEVICE.type == "cpu" or not isinstance(values, np.ndarray):
        return values if isinstance(values, torch.Tensor) else torch.as_tensor(values, device=DEVICE)
    key = (values.shape, values.dtype.str, values.tobytes())
    if key not in _constants:
        _constants[key] = torch.as_tensor(values, device=DEVICE)
    return _constants[key]


def cast(values: Any, dtype: Any) -> Tensor:
    """Values in another type."""
    return convert_to_tensor(values).to(dtype if isinstance(dtype, torch.dtype) else _TYPES[dtype])


def where(chosen: Tensor, values: Tensor, other: Any) -> Tensor:
    """Values where `chosen`, the others elsewhere."""
    if not isinstance(other, torch.Tensor):
        other = torch.full((), other, dtype=values.dtype, device=values.device)  # made there: nothing is copied
    return torch.where(chosen, values, other)


def mean(values: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over axes."""
    return values.mean() if axis is None else values.mean(axis, keepdim=keepdims)


def sum(values: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over axes."""
    return values.sum() if axis is None else values.sum(axis, keepdim=keepdims)


def max(values: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Largest along axes."""
    return values.amax() if axis is None else values.amax(axis, keepdim=keepdims)


def maximum(values: Tensor, other: Any) -> Tensor:
    """The larger of two, element by element."""
    return torch.clamp(values, min=other) if isinstance(other, float) else torch.maximum(values, other)


def minimum(values: Tensor, other: Any) -> Tensor:
    """The smaller of two, element by element."""
    return torch.clamp(values, max=other) if isinstance(other, float) else torch.minimum(values, other)


def expand_dims(values: Tensor, axis: int) -> Tensor:
    """One more axis of length 1."""
    return values.unsqueeze(axis)


def reshape(values: Tensor, shape: Sequence[int]) -> Tensor:
    """The same numbers in another shape."""
    return values.reshape(tuple(shape))


def shape(values: Tensor) -> tuple[int, ...]:
    """Lengths of the axes."""
    return tuple(values.shape)


def swapaxes(values: Tensor, first: int, second: int) -> Tensor:
    """Two axes exchanged."""
    return values.transpose(first, second)


def stack(parts: Iterable[Tensor], axis: int = 0) -> Tensor:
    """Stack along a new axis."""
    return torch.stack(list(parts), axis)


def concatenate(parts: Iterable[Tensor], axis: int = 0) -> Tensor:
    """Concatenate along an axis."""
    return torch.cat(list(parts), axis)


def pad(values: Tensor, widths: Sequence[Sequence[int]]) -> Tensor:
    """Zeros before and after, per axis."""
    return functional.pad(values, [int(n) for pair in reversed(widths) for n in pair])


def arange(stop: int, dtype: str = "float32") -> Tensor:
    """0, 1 ... `stop` - 1."""
    return torch.arange(stop, dtype=_TYPES[dtype], device=DEVICE)


def cumsum(values: Tensor) -> Tensor:
    """Running sum of a vector."""
    return torch.cumsum(values, 0)


def argsort(values: Tensor, axis: int = -1) -> Tensor:
    """Indices in ascending order."""
    return torch.argsort(values, dim=axis)


def take_along_axis(values: Tensor, indices: Tensor, axis: int) -> Tensor:
    """Elements at `indices` along an axis."""
    shape = list(values.shape)
    shape[axis] = indices.shape[axis]
    return torch.take_along_dim(values, indices.expand(shape), axis)


def matmul(left: Tensor, right: Any) -> Tensor:
    """Product of matrices."""
    return torch.matmul(left, convert_to_tensor(right))


def transpose(values: Tensor) -> Tensor:
    """A matrix with rows and columns exchanged."""
    return values.T


def norm(values: Tensor) -> Tensor:
    """Root of the sum of squares."""
    return torch.linalg.vector_norm(values)


def rfft(frames: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of spectra along the last axis."""
    if not frames.requires_grad:
        spectrum = torch.fft.rfft(frames, fft_length)
        return spectrum.real, spectrum.imag
    answer: tuple[Tensor, Tensor] = _RealTransform.apply(frames, fft_length or frames.shape[-1])
    return answer


class _RealTransform(torch.autograd.Function):  # type: ignore[misc]  # torch is not installed where types are checked
    """``rfft`` whose way back is a real transform, too: PyTorch's own is a complex one of twice as many bins."""

    @staticmethod
    def forward(ctx: Any, frames: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """See the class."""
        ctx.length, ctx.size = frames.shape[-1], size
        spectrum = torch.fft.rfft(frames, size)
        return spectrum.real, spectrum.imag

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The real part of the sum of all bins, each times its turning phase."""
        spectrum = torch.complex(*gradients)
        spectrum[..., 0] *= 2.0  # an inverse transform counts all bins twice, but for the first
        if ctx.size % 2 == 0:
            spectrum[..., -1] *= 2.0
        frames = torch.fft.irfft(spectrum, ctx.size, norm="forward") * 0.5
        return functional.pad(frames, (0, ctx.length - ctx.size)), None


def windowed_frames(signal: Tensor, window: Tensor, hop: int) -> Tensor:
    """Frames of ``(batch, n_samples)`` times `window`, every `hop` samples; an unfinished last hop is not used."""
    answer: Tensor = _WindowedFrames.apply(signal, window, hop)
    return answer


class _WindowedFrames(torch.autograd.Function):  # type: ignore[misc]  # as above
    """One pass each way, where slices joined together take one for each hop of a frame."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, window: Tensor, hop: int) -> Tensor:
        """See the class."""
        ctx.save_for_backward(window)
        ctx.length, ctx.hop = signal.shape[1], hop
        answer: Tensor = signal[:, : ctx.length // hop * hop].unfold(1, len(window), hop) * window
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Overlap-add."""
        (window,) = ctx.saved_tensors
        frames, hop = gradients[0] * window, ctx.hop
        count = frames.shape[1]
        signal = frames.new_zeros(len(frames), ctx.length)
        hops = signal[:, : ctx.length // hop * hop].view(len(frames), -1, hop)
        for k in range(len(window) // hop):
            hops[:, k : k + count] += frames[..., k * hop : (k + 1) * hop]
        return signal, None, None


def irfft(spectrum: tuple[Tensor, Tensor], fft_length: int | None = None) -> Tensor:
    """Frames of spectra."""
    return torch.fft.irfft(torch.complex(*spectrum), fft_length)


def conv(rows: Tensor, kernel: Any, strides: int = 1, padding: str = "same") -> Tensor:
    """Convolution over time, or height and width, ``(batch, ..., n)``, kernel ``(..., n_in, n_out)``.

    Padded so that there is one output per step; odd padding puts the extra zero after the input.
    """
    if padding != "same":
        raise ValueError(f"padding={padding!r} must be 'same'")
    kernel = convert_to_tensor(kernel)
    n_axes = kernel.ndim - 2
    widths: list[int] = []
    for axis in range(n_axes, 0, -1):
        size, taps = rows.shape[axis], kernel.shape[axis - 1]
        missing = builtins.max((-(-size // strides) - 1) * strides + taps - size, 0)
        widths += [missing // 2, missing - missing // 2]
    image = functional.pad(rows.movedim(-1, 1), widths)
    convolution = functional.conv1d if n_axes == 1 else functional.conv2d
    return convolution(image, kernel.movedim((-1, -2), (0, 1)), stride=strides).movedim(1, -1)


def max_pool(rows: Tensor, size: int, strides: int, padding: str = "valid") -> Tensor:
    """Maximum over square windows."""
    if padding != "valid":
        raise ValueError(f"padding={padding!r} must be 'valid'")
    return functional.max_pool2d(rows.permute(0, 3, 1, 2), size, strides).permute(0, 2, 3, 1)


def stop_gradient(values: Tensor) -> Tensor:
    """A constant."""
    return values.detach()
