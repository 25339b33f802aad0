"""Waveform network normalised with the statistics of the whole input file, as published; plain numpy."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError, SignalError
from rtdenoise.methods.can.layers import features
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network
from rtdenoise.typing import F32, F64

SECONDS_MAX = 600.0
"""Longest signal: two rows per sample must fit in memory, 5 GB for ten minutes with 64 channels."""


@dataclass(frozen=True, slots=True)
class WholeNetwork:
    """Weights before normalisation is folded in; Germain et al. (2018), section 2.1.

    Attributes
    ----------
    spec : CanSpec
    kernels : tuple of (kernel, n_in, channels) float32
    passing, normalising : (n_layers,) float32
        ``w0`` and ``w1`` of ``w0 x + w1 (batchnorm(x) + beta)``.
    offsets : tuple of (channels,) float32
        ``beta``.
    last : tuple of (channels, 1) and (1,) float32
    """

    spec: CanSpec
    kernels: tuple[F32, ...]
    passing: F32
    normalising: F32
    offsets: tuple[F32, ...]
    last: tuple[F32, F32]

    def __post_init__(self) -> None:
        spec, n = self.spec, len(self.spec.dilations)
        widths = [1, *[spec.channels] * (n - 1)]
        expected: list[tuple[int, ...]] = [(spec.kernel, w, spec.channels) for w in widths]
        expected += [(n,)] * 2 + [(spec.channels,)] * n + [(spec.channels, 1), (1,)]
        found = [a.shape for a in (*self.kernels, self.passing, self.normalising, *self.offsets, *self.last)]
        if found != expected:
            wrong = next((f for f, e in zip(found, expected, strict=False) if f != e), f"{len(found)} arrays")
            raise ModelError(f"weights do not fit the specification {spec.name!r}: {wrong}")

    @property
    def n_weights(self) -> int:
        """Number of trained parameters."""
        arrays = (*self.kernels, self.passing, self.normalising, *self.offsets, *self.last)
        return sum(a.size for a in arrays)

    def run(self, signal: F32) -> F32:
        """Enhance a whole signal with its own statistics, ``(n,)`` float32 in and out, aligned.

        Raises
        ------
        SignalError
            If the signal is longer than `SECONDS_MAX`.
        """
        if len(signal) > SECONDS_MAX * self.spec.sample_rate:
            raise SignalError(
                f"{len(signal) / self.spec.sample_rate:.0f} s are more than {self.spec.name} can normalise as a whole "
                f"({SECONDS_MAX:.0f} s); cut the file, or stream it"
            )
        rows, _ = self._layers(signal)
        out: F32 = (rows @ self.last[0] + self.last[1])[:, 0]
        return out

    def statistics(self, signal: F32) -> F64:
        """Return the means and variances that normalise this signal, ``(n_layers, 2, channels)``."""
        return self._layers(signal)[1]

    def _layers(self, signal: F32) -> tuple[F32, F64]:
        rows: F32 = np.ascontiguousarray(signal, np.float32)[:, None]
        found = np.empty((len(self.kernels), 2, self.spec.channels), np.float64)
        if not len(rows):
            return np.zeros((0, self.spec.channels), np.float32), found
        for number, (kernel, dilation) in enumerate(zip(self.kernels, self.spec.dilations, strict=True)):
            rows = dilated(rows, kernel, dilation, causal=self.spec.causal)
            found[number] = rows.mean(0, dtype=np.float64), rows.var(0, dtype=np.float64)
            scale, shift = self._folded(number, found[number])
            rows *= scale.astype(np.float32)
            rows += shift.astype(np.float32)
            np.maximum(rows, np.float32(self.spec.slope) * rows, out=rows)
        return rows, found

    def _folded(self, number: int, statistics: F64) -> tuple[F64, F64]:
        """Return scale and offset of the rows of a layer, ``(channels,)`` each."""
        mean, variance = statistics
        w0, w1 = float(self.passing[number]), float(self.normalising[number])
        inverse = 1.0 / np.sqrt(variance + features.BATCHNORM_EPSILON)
        return w0 + w1 * inverse, w1 * (self.offsets[number] - mean * inverse)

    def frozen(self, statistics: F64) -> Network:
        """Return the streaming network: `statistics`, ``(n_layers, 2, channels)``, folded into the convolutions."""
        kernels, biases = [], []
        for number, kernel in enumerate(self.kernels):
            scale, shift = self._folded(number, statistics[number])
            kernels.append((kernel * scale).astype(np.float32))
            biases.append(shift.astype(np.float32))
        return Network(self.spec, None, tuple(kernels), tuple(biases), self.last)

    def as_bytes(self) -> bytes:
        """Return an ``.npz`` file of the 32-bit weights."""
        named: dict[str, Any] = {f"kernel{i}": a for i, a in enumerate(self.kernels)}
        named |= {f"offset{i}": a for i, a in enumerate(self.offsets)}
        named |= {"passing": self.passing, "normalising": self.normalising}
        named |= {"last_kernel": self.last[0], "last_bias": self.last[1]}
        content = io.BytesIO()
        np.savez(content, **named)
        return content.getvalue()


def dilated(rows: F32, kernel: F32, dilation: int, *, causal: bool) -> F32:
    """Dilated convolution of ``(n, n_in)`` rows, zero-padded: ``y[t] = sum_k x[t + (k - c) d] W[k]``.

    ``c`` is the last tap of a causal convolution, otherwise the middle one.
    """
    taps, n = len(kernel), len(rows)
    present = taps - 1 if causal else taps // 2
    total: F32 = rows @ kernel[present]
    for k in range(taps):
        ahead = (k - present) * dilation
        if k != present and abs(ahead) < n:
            if ahead < 0:
                total[-ahead:] += rows[:ahead] @ kernel[k]
            else:
                total[: n - ahead] += rows[ahead:] @ kernel[k]
    return total


def load_whole(content: bytes, spec: CanSpec) -> WholeNetwork:
    """Read weights written by `WholeNetwork.as_bytes`.

    Raises
    ------
    ModelError
        If the file is damaged or does not fit `spec`.
    """
    n = len(spec.dilations)
    try:
        with np.load(io.BytesIO(content)) as file:
            named = {name: file[name] for name in file.files}
        kernels = tuple(named[f"kernel{i}"] for i in range(n))
        offsets = tuple(named[f"offset{i}"] for i in range(n))
        last = (named["last_kernel"], named["last_bias"])
        return WholeNetwork(spec, kernels, named["passing"], named["normalising"], offsets, last)
    except KeyError as error:
        raise ModelError(f"weights do not fit the specification {spec.name!r} (no array {error})") from error
    except ModelError:
        raise
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise ModelError(f"cannot be read as weights ({error})") from error


def whole_from_keras(spec: CanSpec, model: Any) -> WholeNetwork:
    """Extract the weights of a trained Keras network, without folding."""

    def arrays(name: str) -> list[F32]:
        return [w.numpy().astype(np.float32) for w in model.get_layer(name).weights]

    layers = [model.get_layer(f"norm{i}") for i in range(len(spec.dilations))]
    kernel, bias = arrays("output")
    return WholeNetwork(
        spec,
        tuple(arrays(f"conv{i}")[0] for i in range(len(layers))),
        np.array([layer.w0.numpy() for layer in layers], np.float32),
        np.array([layer.w1.numpy() for layer in layers], np.float32),
        tuple(layer.batchnorm.beta.numpy().astype(np.float32) for layer in layers),
        (kernel, bias),
    )
