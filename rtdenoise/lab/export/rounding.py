"""Rounds the weights of a dense network to eight bits so that the outputs of its layers change little.

When a weight is rounded, those not yet rounded are adjusted, so that the errors of a column cancel for the inputs that
the network meets (Hassibi and Stork 1993, "Second order derivatives for network pruning: optimal brain surgeon";
Frantar et al. 2022, "GPTQ").  In `can-live` the error of the stack's output is 5 dB lower than with each weight rounded
by itself (`python -m benchmarks.round_weights`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.linalg import cholesky, inv

from rtdenoise.errors import ConfigError
from rtdenoise.kernels.eight_bits import WEIGHT_MAX, whole_weights
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.weights import Network, rounded
from rtdenoise.typing import F32, F64

_DAMPING = 0.01
"""Added to the power of every input, as a share of the mean power: rare inputs keep some weight."""
_TOGETHER = 64
_PIECES, _PIECE_SECONDS = 60, 8.0


def rounded_for(network: Network, signals: Sequence[F32]) -> Network:
    """Round a dense network over spectra as `rtdenoise.methods.can.weights.rounded` does, for inputs like these.

    Parameters
    ----------
    network : Network
    signals : sequence of (n_hops, n_inputs) float32
        What the network reads of some signals, hop by hop.

    Raises
    ------
    ConfigError
        For a network over samples or frames, or with bands, whose weights stay 16-bit floats.
    """
    spec = network.spec
    if spec.domain != "spectral" or network.first is None or network.last is None:
        raise ConfigError(f"{spec.name}: only dense networks over spectra have weights of eight bits to round")
    if not signals:
        raise ConfigError(f"{spec.name}: weights are rounded for what the network hears: give at least one recording")
    first, last = network.first, network.last
    layers = zip(*(inputs_of_layers(network, signal) for signal in signals), strict=True)  # of all signals, one by one
    found = [
        rounded_matrix(matrix.reshape(-1, matrix.shape[-1]), _power(inputs)).reshape(matrix.shape)
        for matrix, inputs in zip((first[0], *network.kernels, last[0]), layers, strict=True)
    ]
    return rounded(replace(network, first=(found[0], first[1]), kernels=tuple(found[1:-1]), last=(found[-1], last[1])))


def inputs_of_layers(network: Network, inputs: F32) -> Iterator[F32]:
    """Yield what each layer of a dense network reads for inputs (n_hops, n_inputs), from the first to the last.

    Each is (n_hops, n) float32; dilated layers read several hops side by side, zeros before the first.
    """
    spec = network.spec
    assert network.first is not None
    yield inputs
    rows = inputs @ network.first[0] + network.first[1]
    for kernel, bias, dilation in zip(network.kernels, network.biases, spec.dilations, strict=True):
        padded = np.pad(rows, (((spec.kernel - 1) * dilation, 0), (0, 0)))
        taps = np.concatenate([padded[k * dilation : k * dilation + len(rows)] for k in range(spec.kernel)], axis=1)
        yield taps
        layer = taps @ kernel.reshape(-1, kernel.shape[-1]) + bias
        rows = np.maximum(layer, spec.slope * layer) + (rows if spec.residual else 0.0)
    yield rows


def inputs_of(network: Network, signal: F32) -> F32:
    """Return what a network over spectra reads of a signal, (n,) float32, hop by hop: (n_hops, n_inputs)."""
    denoiser, hop = CompiledCan(network), network.spec.hop
    stream, out, found = denoiser._stream[0], np.empty(hop, np.float32), []
    for start in range(0, signal.size - hop + 1, hop):
        denoiser.process(signal[start : start + hop], out)
        found.append(stream["inputs"][stream["newest"]].copy())
    return np.array(found)


def pieces_of(signals: Sequence[F32], sample_rate: int) -> list[F32]:
    """Return the first seconds of up to 60 of the signals, evenly spread."""
    step = max(1, -(-len(signals) // _PIECES))
    return [signal[: round(_PIECE_SECONDS * sample_rate)] for signal in signals[::step]]


def rounded_matrix(matrix: F32, power: F64) -> F32:
    """Round a matrix, (n_in, n_out), to eight bits for inputs whose mean products, (n_in, n_in), are `power`."""
    scale = whole_weights(matrix)[1].astype(np.float64)
    damped = power + np.eye(len(power)) * (_DAMPING * np.mean(np.diag(power)) + np.finfo(np.float64).tiny)
    order = np.argsort(-np.diag(power), kind="stable")
    left = np.asarray(matrix, np.float64)[order]
    factor = cholesky(inv(damped[np.ix_(order, order)]))
    found = np.empty_like(left)
    for start in range(0, len(left), _TOGETHER):
        stop = min(start + _TOGETHER, len(left))
        errors = np.empty_like(left[start:stop])
        for n in range(start, stop):
            found[n] = np.clip(np.rint(left[n] / scale), -WEIGHT_MAX, WEIGHT_MAX) * scale
            errors[n - start] = (left[n] - found[n]) / factor[n, n]
            left[n + 1 : stop] -= np.outer(factor[n, n + 1 : stop], errors[n - start])
        left[stop:] -= factor[start:stop, stop:].T @ errors
    unsorted = np.empty_like(found)
    unsorted[order] = found
    return unsorted.astype(np.float32)


def _power(parts: Sequence[F32]) -> F64:
    """Mean products of inputs, (n_in, n_in)."""
    total = np.zeros((parts[0].shape[1],) * 2)
    for part in parts:
        wide = part.astype(np.float64)
        total += wide.T @ wide
    return total / sum(map(len, parts))
