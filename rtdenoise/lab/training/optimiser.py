"""AdamW or Muon with warm-up, constant rate and decay, weight averaging, and a guard against non-finite gradients."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from rtdenoise.lab.network.keras_network import import_keras

if TYPE_CHECKING:
    from rtdenoise.lab.classifier.settings import ClassifierSettings
    from rtdenoise.lab.training.settings import TrainSettings

_LAST_RATE = 0.02  # share of the highest learning rate at the end of the decay
MOMENTUM = 0.95
"""Momentum of Muon's matrices."""
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # steepest at zero; five rounds bring every singular value near one
_ROUNDS = 5
_LIKE_ADAM = 0.2  # RMS of an element's step, in learning rates
_SMALLEST_SIDE = 8  # of a matrix worth orthogonalising


def build_optimiser(settings: TrainSettings | ClassifierSettings) -> Any:
    """The run's ``keras.optimizers.Optimizer``."""
    schedule_class, adamw, muon = _classes()
    chosen: dict[str, Any] = {}
    if getattr(settings, "optimiser", "adamw") == "muon":
        chosen["matrix_dtype"] = getattr(settings, "compute_dtype", "float32")
    schedule = schedule_class(settings.learning_rate, settings.warmup_steps, settings.decay_from, settings.decay_steps)
    return (muon if chosen else adamw)(
        learning_rate=schedule,
        clip_to=settings.clip_norm,
        weight_decay=settings.weight_decay,
        beta_2=0.98,
        use_ema=settings.ema > 0.0,
        ema_momentum=settings.ema if settings.ema > 0.0 else 0.99,
        **chosen,
    )


@functools.cache
def _classes() -> tuple[Any, Any, Any]:
    """Schedule, AdamW and Muon classes; a factory, because Keras is imported late."""
    keras: Any = import_keras()
    ops = keras.ops

    class WarmupConstantDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # untyped
        """Linear rise, constant, linear fall to a fiftieth: a run can resume from any point of the constant part."""

        def __init__(self, peak: float, warmup: int, decay_from: int, decay_steps: int) -> None:
            self.peak, self.warmup = peak, warmup
            self.decay_from, self.decay_steps = decay_from, decay_steps

        def __call__(self, step: Any) -> Any:
            return self.at(ops, step)

        def at(self, ops: Any, step: Any) -> Any:
            """The rate at a step, in the operations of any backend."""
            step = ops.cast(step, "float32")
            rate = ops.minimum((step + 1.0) / max(self.warmup, 1), 1.0)
            if self.decay_steps:
                fallen = ops.clip((step - self.decay_from) / self.decay_steps, 0.0, 1.0)
                rate = rate * (1.0 - (1.0 - _LAST_RATE) * fallen)
            return self.peak * rate

        def get_config(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in ("peak", "warmup", "decay_from", "decay_steps")}

    class GuardedAdamW(keras.optimizers.AdamW):  # type: ignore[misc]  # untyped
        """AdamW that clips the global norm and treats non-finite gradients as zero, to protect the weights."""

        def __init__(self, *, clip_to: float, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.clip_to = clip_to

        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in _everywhere(keras, grads)))
            finite = ops.isfinite(norm)
            scale = self.clip_to / ops.maximum(norm, self.clip_to)
            grads = [ops.where(finite, g * scale, ops.zeros_like(g)) for g in grads]
            super().apply(grads, trainable_variables)

    class GuardedMuon(GuardedAdamW):
        """Matrix steps with all singular values alike (Jordan et al. 2024); AdamW for the rest.

        A convolution's kernel, which Keras's own Muon leaves to AdamW, is the matrix ``(taps * inputs, outputs)``.
        Steps are as long as AdamW's (Liu et al. 2025, arXiv:2502.16982, section 2.2), so that both take the same
        learning rate.  `matrix_dtype` is that of the iteration alone.
        """

        def __init__(self, *, matrix_dtype: str, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.matrix_dtype = matrix_dtype

        def build(self, variables: Any) -> None:
            super().build(variables)
            self._matrices = [
                self.add_variable_from_reference(v, name="matrix_momentum")
                if _matrix_side(v) >= _SMALLEST_SIDE
                else None
                for v in variables
            ]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            momentum = self._matrices[self._get_variable_index(variable)]
            if momentum is None:
                super().update_step(gradient, variable, learning_rate)
                return
            self.assign(momentum, MOMENTUM * momentum + gradient)
            step = matrix_step(ops, gradient + MOMENTUM * momentum, learning_rate, self.matrix_dtype)
            self.assign_sub(variable, step)

    return WarmupConstantDecay, GuardedAdamW, GuardedMuon


def matrix_step(ops: Any, momentum: Any, rate: Any, dtype: str) -> Any:
    """Muon's update of a kernel from its momentum, in its shape, in the operations of any backend."""
    matrix = ops.reshape(momentum, (-1, momentum.shape[-1]))
    size = _LIKE_ADAM * max(matrix.shape) ** 0.5 * ops.cast(rate, "float32")
    turned = ops.cast(_orthogonal(ops, ops.cast(matrix, dtype)), "float32")
    return ops.reshape(size * turned, momentum.shape)


def _matrix_side(variable: Any) -> int:
    """The shorter side of a variable viewed as a matrix; 0 for vectors."""
    shape = tuple(variable.shape)
    return min(math.prod(shape[:-1]), shape[-1]) if len(shape) > 1 else 0


def _orthogonal(ops: Any, matrix: Any) -> Any:
    """Approximately the nearest matrix with all singular values one, by Newton-Schulz iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / ops.cast(ops.norm(ops.cast(x, "float32")) + 1e-7, x.dtype)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ROUNDS):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x


def _everywhere(keras: Any, grads: list[Any]) -> list[Any]:
    """Gradients of the whole batch, also when it is divided among devices."""
    if keras.backend.backend() != "tensorflow":
        return grads
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return grads
    reduced: list[Any] = context.all_reduce(tf.distribute.ReduceOp.SUM, grads)
    return reduced
