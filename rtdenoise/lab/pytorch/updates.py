"""The optimiser's step in pure PyTorch, on the variables Keras keeps: checkpoints are the same."""

from __future__ import annotations

import math
from typing import Any

import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch import operations
from rtdenoise.lab.training.optimiser import MOMENTUM, matrix_step


class Updates:
    """The update of `rtdenoise.lab.training.optimiser.build_optimiser`'s optimiser, without Keras.

    Nothing is read back from a GPU, so that a step can be recorded there.

    Parameters
    ----------
    optimiser : keras.optimizers.Optimizer
        Built; its variables are read and written.
    variables : list of keras.Variable
        Trainable ones, in its order.
    """

    def __init__(self, optimiser: Any, variables: list[Any]) -> None:
        self._optimiser = optimiser
        places = [optimiser._get_variable_index(v) for v in variables]
        averages = optimiser._model_variables_moving_average if optimiser.use_ema else [None] * len(variables)
        matrices = getattr(optimiser, "_matrices", [None] * len(variables))
        columns = (
            variables,
            averages,
            matrices,
            [optimiser._momentums[k] for k in places],
            [optimiser._velocities[k] for k in places],
        )
        self._parts: list[list[Any]] = [
            [None if v is None else v.value for v in row] for row in zip(*columns, strict=True)
        ]

    def __call__(self, gradients: list[Tensor]) -> None:
        """One step; non-finite gradients count as zero."""
        optimiser, steps = self._optimiser, self._optimiser.iterations.value
        with torch.no_grad():
            rate = optimiser._learning_rate.at(operations, steps)
            norm = torch.sqrt(sum(torch.sum(torch.square(g)) for g in gradients))
            finite, scale = torch.isfinite(norm), optimiser.clip_to / torch.clamp(norm, min=optimiser.clip_to)
            fresh = 1.0 - optimiser.ema_momentum * (steps > 0)
            length = self._length(rate, steps + 1.0)
            for given, (weights, average, matrix, mean, square) in zip(gradients, self._parts, strict=True):
                gradient = torch.where(finite, given * scale, torch.zeros_like(given))
                weights.mul_(1.0 - optimiser.weight_decay * rate)
                if matrix is None:
                    self._like_adam(weights, gradient, mean, square, length)
                else:
                    matrix.mul_(MOMENTUM).add_(gradient)
                    weights.sub_(matrix_step(operations, gradient + MOMENTUM * matrix, rate, optimiser.matrix_dtype))
                if average is not None:
                    average.lerp_(weights, fresh)
            steps.add_(1)

    def _length(self, rate: Tensor, count: Tensor) -> Tensor:
        """AdamW's rate with bias correction of both means."""
        first, second = (torch.exp(math.log(b) * count) for b in (self._optimiser.beta_1, self._optimiser.beta_2))
        return rate * torch.sqrt(1.0 - second) / (1.0 - first)

    def _like_adam(self, weights: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, length: Tensor) -> None:
        optimiser = self._optimiser
        mean.lerp_(gradient, 1.0 - optimiser.beta_1)
        square.lerp_(torch.square(gradient), 1.0 - optimiser.beta_2)
        weights.sub_(length * mean / (torch.sqrt(square) + optimiser.epsilon))
