"""Fused adaptive normalisation and leaky rectifier, forward and backward, in one pass over memory."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.methods.can.layers import features


def adaptive_rectified(rows: Tensor, weights: tuple[Tensor, ...], slope: float, training: bool) -> Tensor:
    """``leaky(w0 x + w1 batchnorm(x))``; Germain et al. (2018), section 2.1.

    Parameters
    ----------
    rows : (..., channels) tensor
    weights : tuple of tensor
        ``w0``, ``w1``, ``beta``, and running mean and variance, which are written when training.
    slope : float
        Of the rectifier, for negative input.
    training : bool
        Whether to use the statistics of `rows`.

    Returns
    -------
    tensor like `rows`
    """
    w0, w1, beta, mean, variance = weights
    flat = rows.reshape(-1, rows.shape[-1])
    if training:
        answer, found_mean, found_variance = _Adaptive.apply(flat, w0, w1, beta, slope)
        with torch.no_grad():
            for kept, new in ((mean, found_mean), (variance, found_variance)):
                kept.lerp_(new, 1.0 - features.BATCHNORM_MOMENTUM)
    else:
        scale = torch.rsqrt(variance + features.BATCHNORM_EPSILON)
        answer = _compiled(_rectified, flat.device.type)(flat, w0 + w1 * scale, w1 * (beta - mean * scale), slope)
    return answer.reshape(rows.shape)


class _Adaptive(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped
    """Normalise with the batch statistics; returns them too, without gradient."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, w0: Tensor, w1: Tensor, beta: Tensor, slope: float) -> tuple[Tensor, ...]:
        total, squares = _compiled(_sums, flat.device.type)(flat)
        mean = total / len(flat)
        variance = torch.clamp(squares / len(flat) - mean * mean, min=0.0)
        scale = torch.rsqrt(variance + features.BATCHNORM_EPSILON)
        gain, bias = w0 + w1 * scale, w1 * (beta - mean * scale)
        ctx.save_for_backward(flat, gain, bias, mean, scale, w1, beta)
        ctx.slope = slope
        ctx.mark_non_differentiable(mean, variance)
        return _compiled(_rectified, flat.device.type)(flat, gain, bias, slope), mean, variance

    @staticmethod
    def backward(ctx: Any, wanted: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        flat, gain, bias, mean, scale, w1, beta = ctx.saved_tensors
        total, product = _compiled(_gradient_sums, flat.device.type)(flat, wanted, gain, bias, ctx.slope)
        moved = product - mean * total  # sum of the gradient times the centred input
        of_input = -w1 * scale**3 * moved / len(flat)  # through the variance
        constant = -w1 * scale * total / len(flat) - of_input * mean  # through the mean
        inner = _compiled(_input_gradient, flat.device.type)(flat, wanted, gain, bias, of_input, constant, ctx.slope)
        return inner, product.sum(), (scale * moved + beta * total).sum(), w1 * total, None


def _sums(flat: Tensor) -> tuple[Tensor, Tensor]:
    values = flat.float()
    return values.sum(0), (values * values).sum(0)


def _rectified(flat: Tensor, gain: Tensor, bias: Tensor, slope: float) -> Tensor:
    return torch.nn.functional.leaky_relu(flat.float() * gain + bias, slope).to(flat.dtype)


def _before_rectifier(flat: Tensor, wanted: Tensor, gain: Tensor, bias: Tensor, slope: float) -> Tensor:
    """Gradient before the rectifier."""
    return torch.where(flat.float() * gain + bias > 0.0, 1.0, slope) * wanted.float()


def _gradient_sums(flat: Tensor, wanted: Tensor, gain: Tensor, bias: Tensor, slope: float) -> tuple[Tensor, Tensor]:
    inner = _before_rectifier(flat, wanted, gain, bias, slope)
    return inner.sum(0), (inner * flat.float()).sum(0)


def _input_gradient(
    flat: Tensor, wanted: Tensor, gain: Tensor, bias: Tensor, of_input: Tensor, constant: Tensor, slope: float
) -> Tensor:
    inner = _before_rectifier(flat, wanted, gain, bias, slope)
    return (inner * gain + flat.float() * of_input + constant).to(flat.dtype)


@functools.cache
def _compiled(function: Callable[..., Any], device: str) -> Callable[..., Any]:
    """Compile `function` into one pass over memory if the device permits, else return it unchanged."""
    found = any(shutil.which(name) for name in ("g++", "clang++"))
    if not found or device not in ("cpu", "cuda") or (device == "cuda" and find_spec("triton") is None):
        return function
    compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
    return compiled
