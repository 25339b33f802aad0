"""AdamW with warm-up, constant rate and decay, averaged weights, and a guard against gradients that are not finite."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from rtdenoise.can.model import import_keras

if TYPE_CHECKING:
    from rtdenoise.can.training.classifier.settings import ClassifierSettings
    from rtdenoise.can.training.settings import TrainSettings

_LAST_RATE = 0.02  # share of the highest learning rate at the end of the decay


def build_optimiser(settings: TrainSettings | ClassifierSettings) -> Any:
    """The run's ``keras.optimizers.Optimizer``."""
    schedule_class, optimiser_class = _classes()
    schedule = schedule_class(settings.learning_rate, settings.warmup_steps, settings.decay_from, settings.decay_steps)
    return optimiser_class(
        learning_rate=schedule,
        clip_to=settings.clip_norm,
        weight_decay=settings.weight_decay,
        beta_2=0.98,
        use_ema=settings.ema > 0.0,
        ema_momentum=settings.ema if settings.ema > 0.0 else 0.99,
    )


@functools.cache
def _classes() -> tuple[Any, Any]:
    """Schedule and optimiser classes; a factory, because Keras is imported late."""
    keras: Any = import_keras()
    ops = keras.ops

    class WarmupConstantDecay(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # untyped
        """Linear rise, constant, linear fall to a fiftieth: a run can go on from any point of the constant part."""

        def __init__(self, peak: float, warmup: int, decay_from: int, decay_steps: int) -> None:
            self.peak, self.warmup = peak, warmup
            self.decay_from, self.decay_steps = decay_from, decay_steps

        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            rate = ops.minimum(1.0, (step + 1.0) / max(self.warmup, 1))
            if self.decay_steps:
                fallen = ops.clip((step - self.decay_from) / self.decay_steps, 0.0, 1.0)
                rate = rate * (1.0 - (1.0 - _LAST_RATE) * fallen)
            return self.peak * rate

        def get_config(self) -> dict[str, Any]:
            return {name: getattr(self, name) for name in ("peak", "warmup", "decay_from", "decay_steps")}

    class GuardedAdamW(keras.optimizers.AdamW):  # type: ignore[misc]  # untyped
        """Clips the global norm; a gradient that is not finite counts as zero instead of ruining the weights."""

        def __init__(self, *, clip_to: float, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.clip_to = clip_to

        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in _everywhere(keras, grads)))
            finite = ops.isfinite(norm)
            scale = self.clip_to / ops.maximum(norm, self.clip_to)
            grads = [ops.where(finite, g * scale, ops.zeros_like(g)) for g in grads]
            super().apply(grads, trainable_variables)

    return WarmupConstantDecay, GuardedAdamW


def _everywhere(keras: Any, grads: list[Any]) -> list[Any]:
    """Gradients of the whole batch, also where it is divided among devices."""
    if keras.backend.backend() != "tensorflow":
        return grads
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return grads
    reduced: list[Any] = context.all_reduce(tf.distribute.ReduceOp.SUM, grads)
    return reduced
