"""The feature network in Keras: with heads for training, or frozen as a feature extractor."""

from __future__ import annotations

from typing import Any

from rtdenoise.lab.classifier.spec import FeatureSpec, Task
from rtdenoise.lab.network.keras_network import import_keras

Tensor = Any
BATCHNORM_EPSILON = 1e-3
_MOMENTUM = 0.98


def build_classifier(spec: FeatureSpec, tasks: tuple[Task, ...], dropout: float = 0.0) -> Any:
    """``(batch, n_samples) -> (batch, total number of classes)``: logits, task after task.

    Germain et al. (2018), section 2.2: convolution, batch normalisation, leaky rectifier; average over time; one
    linear layer per task.
    """
    keras = import_keras()
    signal = keras.Input(shape=(None,), dtype="float32", name="signal")
    rows = keras.ops.expand_dims(signal, -1)
    for number, (width, stride) in enumerate(zip(spec.widths, spec.strides, strict=True)):
        rows = keras.layers.Conv1D(
            width,
            spec.kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"conv{number}",
        )(rows)
        rows = keras.layers.BatchNormalization(epsilon=BATCHNORM_EPSILON, momentum=_MOMENTUM, name=f"norm{number}")(
            rows
        )
        rows = keras.layers.LeakyReLU(negative_slope=spec.slope)(rows)
    pooled = keras.layers.GlobalAveragePooling1D()(rows)
    if dropout:
        pooled = keras.layers.Dropout(dropout)(pooled)
    heads = [keras.layers.Dense(len(task.classes), name=f"head{n}")(pooled) for n, task in enumerate(tasks)]
    logits = heads[0] if len(heads) == 1 else keras.layers.Concatenate()(heads)
    return keras.Model(signal, logits, name="feature_network")


def classifier_loss(tasks: tuple[Task, ...], smoothing: float) -> Any:
    """``loss(packed, logits)``: cross-entropy of every task over the clips labelled for it.

    `packed` is ``(batch, classes + tasks)``: targets of all tasks, then 1 for each task a clip belongs to.
    """
    ops = import_keras().ops
    total = sum(len(task.classes) for task in tasks)

    def loss(packed: Tensor, logits: Tensor) -> Tensor:
        value, start = 0.0, 0
        for number, task in enumerate(tasks):
            stop = start + len(task.classes)
            belongs = packed[:, total + number]
            errors = _errors(ops, task, packed[:, start:stop], logits[:, start:stop], smoothing)
            value = value + ops.sum(errors * belongs) / packed.shape[0]
            start = stop
        return value

    return loss


def _errors(ops: Any, task: Task, targets: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy per clip: between distributions, or the sum over independent labels."""
    if task.kind == "single":
        targets = targets * (1.0 - smoothing) + smoothing / len(task.classes)
        return -ops.sum(targets * ops.log_softmax(logits, -1), -1)
    return ops.sum(ops.softplus(logits) - targets * logits, -1)
