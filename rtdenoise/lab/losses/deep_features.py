"""Deep feature loss: distance between a frozen network's activations for the estimate and for the target."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.store import load_features
from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.network.keras_network import import_keras

_TINY = 1e-12


class DeepFeatures:
    """L1 distance of the first layers' activations, each divided by its own mean once that is known.

    Germain et al. (2018), eq. 3: ``sum_m w_m mean |F_m(e) - F_m(t)|``, ``w_m`` the inverse of the mean of the m-th
    distance over a warm-up during which all ``w_m`` are 1.  Deviations: the sum is divided by the number of layers; the
    warm-up is counted in steps, not epochs; the frozen network normalises with its running statistics, not with those
    of the signal it is given.

    Parameters
    ----------
    network : str
        Name of a shipped feature network, or its folder.
    layers : int
        How many of its layers count.
    warmup_steps : int
        Steps over which the means are taken; 0 leaves all weights at 1.
    rate : int
        Sample rate of the signals in Hz.

    Attributes
    ----------
    state : keras.layers.Layer
        Its only variable ``(1 + layers,)`` holds the steps counted and the mean distances: part of a run's checkpoint.
    """

    def __init__(
        self, network: str = "feature-network", layers: int = 6, warmup_steps: int = 1000, rate: int = 16000
    ) -> None:
        found = load_features(network)
        if not 1 <= layers <= found.spec.layers:
            raise ConfigError(f"layers={layers} must be from 1 to the feature network's {found.spec.layers}")
        if warmup_steps < 0:
            raise ConfigError(f"warmup_steps={warmup_steps} must not be negative")
        if found.spec.sample_rate != rate:
            raise ConfigError(f"a feature network of {found.spec.sample_rate} Hz cannot listen to signals of {rate} Hz")
        self._spec = found.spec
        self._parts = list(zip(found.kernels, found.biases, found.spec.strides, strict=True))[:layers]
        self._warmup = warmup_steps
        self.state = _state_class(import_keras())(1 + layers)

    def features(self, ops: Any, signal: Tensor) -> list[Tensor]:
        """Activations of the layers, ``(batch, n_rows, channels)`` each, for ``(batch, n_samples)``."""
        rows = ops.expand_dims(signal, -1)
        found = []
        for kernel, bias, stride in self._parts:
            rows = ops.conv(rows, ops.cast(kernel, signal.dtype), strides=stride, padding="same")
            rows = ops.leaky_relu(rows + ops.cast(bias, signal.dtype), self._spec.slope)
            found.append(rows)
        return found

    def distances(self, ops: Any, estimate: Tensor, target: Tensor) -> list[Tensor]:
        """Mean absolute difference of each layer's activations; no gradient is computed for the target."""
        pairs = zip(self.features(ops, estimate), self.features(ops, ops.stop_gradient(target)), strict=True)
        return [ops.mean(ops.abs(e - t)) for e, t in pairs]

    def __call__(self, ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        """Weighted mean of the distances; during the warm-up it also takes their means."""
        distances = ops.stack(self.distances(ops, estimate, target))
        if not self._warmup:
            return ops.mean(distances)
        known = self.state.values
        weights = ops.where(known[0] >= self._warmup, 1.0 / ops.maximum(known[1:], _TINY), ops.ones_like(known[1:]))
        value = ops.mean(distances * ops.cast(ops.stop_gradient(weights), distances.dtype))
        self.state.values.assign(self._next(ops, known, ops.cast(ops.stop_gradient(distances), "float32")))
        return value

    def _next(self, ops: Any, known: Tensor, distances: Tensor) -> Tensor:
        """Count and means after one more step; unchanged after the warm-up, and by NaN."""
        counts = ops.logical_and(known[0] < self._warmup, ops.all(ops.isfinite(distances)))
        count = known[0] + 1.0
        means = known[1:] + (ops.where(ops.isfinite(distances), distances, 0.0) - known[1:]) / count
        return ops.where(counts, ops.concatenate([ops.expand_dims(count, 0), means]), ops.convert_to_tensor(known))


@functools.cache
def _state_class(keras: Any) -> Any:
    """Layer that only stores an array; a factory, because Keras is imported late."""

    class LossState(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """State that a loss keeps from step to step."""

        def __init__(self, size: int) -> None:
            super().__init__(dtype="float32", trainable=False)
            self.values = self.add_weight(
                shape=(size,), initializer="zeros", trainable=False, aggregation="mean", name="values"
            )

        def restore(self, values: list[float]) -> bool:
            """Restore the state from a checkpoint; False if it does not fit."""
            if len(values) != self.values.shape[0]:
                return False
            self.values.assign(np.asarray(values, np.float32))
            return True

    return LossState
