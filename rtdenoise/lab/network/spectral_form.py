"""Spectral inputs of the network and application of its mask, for whole signals, in any backend's operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rtdenoise.methods.can.layers import features, fine
from rtdenoise.methods.can.spec import CanSpec

if TYPE_CHECKING:
    Tensor = Any


def spectral_inputs(
    ops: Any, spec: CanSpec, real: Tensor, imag: Tensor, mean_of: Callable[..., Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Input features of the network from spectra.

    Parameters
    ----------
    mean_of : callable, optional
        Alternative implementation of `running_mean`.

    Returns
    -------
    rows : (batch, n_hops, n_inputs) tensor
        Log power, its height above its running mean and above its floor; for complex masks the compressed spectrum too.
    heights : (batch, n_hops, 2, n_bins) tensor
        Both heights again, for the skip connection around the stack.
    """
    power = real * real + imag * imag + features.POWER_FLOOR
    log_power = ops.log(power)
    mean_of = mean_of or running_mean
    mean = mean_of(ops, log_power, features.MEAN_STEP / spec.mean_rows)
    floor = mean_of(ops, ops.exp(features.FLOOR_EXPONENT * log_power), features.FLOOR_STEP / spec.mean_rows)
    floor = ops.log(floor)
    heights = [log_power - mean, log_power - floor / features.FLOOR_EXPONENT]
    inputs = [(log_power + features.LOG_OFFSET) * features.LOG_SCALE, *(h * features.LOG_SCALE for h in heights)]
    if spec.mask == "complex":
        shrink = ops.exp(features.SHRINK * log_power)
        inputs += [real * shrink, imag * shrink]
    return ops.concatenate(inputs, -1), ops.stack(heights, 2)


def running_mean(ops: Any, values: Tensor, step: float) -> Tensor:
    """Recursive mean over frames that starts with the first frame, ``(batch, n_hops, n_bins)`` in and out.

    ``s[t] = s[t-1] + step (x[t] - s[t-1])``, divided by the same recursion over ones; as one product with a triangular
    matrix, because a loop over frames would be slower than the network.
    """
    time = ops.cumsum(ops.ones_like(values[0, :, 0]))
    age = ops.expand_dims(time, 1) - ops.expand_dims(time, 0)
    weight = ops.where(age >= 0.0, ops.exp(float(np.log1p(-step)) * ops.maximum(age, 0.0)), 0.0)
    weight = weight / ops.sum(weight, 1, keepdims=True)
    return ops.matmul(weight, values)


def fine_inputs(ops: Any, spec: CanSpec, outputs: Tensor, rows: Tensor, heights: Tensor) -> Tensor:
    """Inputs of the fine layers after silence: ``(batch, FRAMES - 1 + n_hops, REACH + groups + REACH, N_INPUTS)``.

    Parameters
    ----------
    outputs : (batch, n_hops, n_outputs) tensor
        The gain's logits first.
    rows : (batch, n_hops, n_inputs) tensor
        Inputs of the stack, log power first.
    heights : (batch, n_hops, 2, n_bins) tensor
    """
    n = spec.n_bins
    level = rows[..., :n] - features.LOG_OFFSET * features.LOG_SCALE  # so that no level beyond the last bin is zero
    above = [features.LOG_SCALE * heights[:, :, k] for k in range(2)]
    missing = [[0, 0], [0, 0], [0, fine.groups(spec.n_bins) * fine.BINS - n]]
    kinds = [ops.pad(kind, missing) for kind in (fine.LOGIT_SCALE * outputs[..., :n], level, *above)]
    grouped = ops.stack([kind[..., k :: fine.BINS] for k in range(fine.BINS) for kind in kinds], -1)
    return ops.pad(grouped, [[0, 0], [fine.FRAMES - 1, 0], [fine.REACH, fine.REACH], [0, 0]])


def apply_mask(ops: Any, spec: CanSpec, outputs: Tensor, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
    """Apply the mask given by the stack's outputs to a spectrum: gain, and rotation for complex masks."""
    n = spec.n_bins
    gain = ops.sigmoid(outputs[..., :n])
    if spec.mask == "magnitude":
        return gain * real, gain * imag
    across = 1.0 + ops.tanh(outputs[..., n : 2 * n])
    along = ops.tanh(outputs[..., 2 * n :])
    gain = gain * ops.rsqrt(across * across + along * along + features.ROTATION_FLOOR)
    return gain * (across * real - along * imag), gain * (across * imag + along * real)
