"""Dilated convolution by interleaving: every dilation-th row forms a separate signal, convolved without dilation.

This is how the authors' released network computes its dilated layers (Yu & Koltun 2016 call the operation dilation; the
interleaving goes back to the "a trous" algorithm): ``y[t] = sum_k x[t + k d] W[k]`` never mixes rows whose numbers
differ modulo ``d``, so the ``d`` phases are rows of a batch.
"""

from __future__ import annotations

import functools
from typing import Any

Tensor = Any


def signal_to_dilated(ops: Any, rows: Tensor, dilation: int) -> Tensor:
    """Phases of a signal as a batch.

    Parameters
    ----------
    ops : module
        ``keras.ops``.
    rows : (batch, n, channels) tensor
        Of any length; zeros are appended up to a multiple of `dilation`.
    dilation : int

    Returns
    -------
    (batch * dilation, ceil(n / dilation), channels) tensor
        Phase ``p`` of item ``b`` is number ``b * dilation + p``.
    """
    channels = rows.shape[-1]
    n = ops.shape(rows)[1]
    count = (n + dilation - 1) // dilation
    padded = ops.pad(rows, [[0, 0], [0, dilation - 1], [0, 0]])[:, : count * dilation]
    phases = ops.reshape(padded, (-1, count, dilation, channels))
    return ops.reshape(ops.transpose(phases, (0, 2, 1, 3)), (-1, count, channels))


def dilated_to_signal(ops: Any, phases: Tensor, dilation: int, n: Any) -> Tensor:
    """Reassemble the signal from its phases, without the appended zeros: the inverse of `signal_to_dilated`.

    Parameters
    ----------
    phases : (batch * dilation, count, channels) tensor
    dilation : int
    n : int or scalar tensor
        Rows of the signal.

    Returns
    -------
    (batch, n, channels) tensor
    """
    channels, count = phases.shape[-1], ops.shape(phases)[1]
    rows = ops.transpose(ops.reshape(phases, (-1, dilation, count, channels)), (0, 2, 1, 3))
    return ops.reshape(rows, (-1, count * dilation, channels))[:, :n]


@functools.cache
def interleaved_class(keras: Any) -> Any:
    """Layer class that dilates a convolution by interleaving; a factory, because Keras is imported late."""

    class Interleaved(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """A convolution over each phase of the signal."""

        def __init__(self, convolution: Any, dilation: int, **arguments: Any) -> None:
            super().__init__(dtype=convolution.dtype_policy, **arguments)
            self.convolution, self.dilation = convolution, dilation

        def build(self, shape: tuple[Any, ...]) -> None:
            self.convolution.build((None, None, shape[-1]))

        def call(self, rows: Tensor) -> Tensor:
            n = keras.ops.shape(rows)[1]
            phases = self.convolution(signal_to_dilated(keras.ops, rows, self.dilation))
            return dilated_to_signal(keras.ops, phases, self.dilation, n)

        def compute_output_shape(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
            return (*shape[:-1], self.convolution.filters)

    return Interleaved
