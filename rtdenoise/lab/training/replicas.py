"""Data parallelism: one batch divided among several GPUs, or among logical CPUs where there are none."""

from __future__ import annotations

from typing import Any

from rtdenoise.errors import ConfigError
from rtdenoise.lab.network.keras_network import import_keras


def strategy_for(devices: int) -> Any:
    """A ``tf.distribute.MirroredStrategy`` over this many devices.

    Raises
    ------
    ConfigError
        If the backend is not TensorFlow, or there are fewer devices.
    """
    backend = import_keras().backend.backend()
    if backend != "tensorflow":
        raise ConfigError(f"devices={devices} needs KERAS_BACKEND=tensorflow, not {backend}")
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    found = tf.config.list_logical_devices(kind)
    if len(found) < devices:
        raise ConfigError(f"devices={devices}: TensorFlow finds {len(found)} {kind}{'s' if len(found) != 1 else ''}")
    return tf.distribute.MirroredStrategy([device.name for device in found[:devices]])


def train_on_parts(strategy: Any, model: Any, inputs: list[Any], target: Any) -> float:
    """One step of a compiled Keras model on a batch divided among the replicas of `strategy`; returns the mean loss."""
    import tensorflow as tf

    count = strategy.num_replicas_in_sync

    def part(context: Any) -> Any:
        here = slice(context.replica_id_in_sync_group, None, count)
        return tuple(tf.constant(array[here]) for array in inputs), tf.constant(target[here])

    data = strategy.experimental_distribute_values_from_function(part)
    model.make_train_function()
    model.reset_metrics()
    return float(model.train_function(iter([data]))["loss"])
