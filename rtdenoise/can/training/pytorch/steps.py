"""Gradients of one batch by PyTorch alone: no layer of Keras stands between its functions."""

from __future__ import annotations

from typing import Any

import torch

from rtdenoise.can.spec import CanSpec
from rtdenoise.can.training.batches import Batch
from rtdenoise.can.training.frames import Tensor
from rtdenoise.can.training.losses import Loss
from rtdenoise.can.training.pytorch.memory import keep_memory
from rtdenoise.can.training.pytorch.network import Forward
from rtdenoise.typing import F32


class Steps:
    """Loss and gradients of a Keras network whose backend is PyTorch.

    Parameters
    ----------
    network : keras.Model
        Its variables are read, and its running statistics written.
    spec : CanSpec
    loss : Loss
    compute_dtype : str
        See `Forward`.
    """

    def __init__(self, network: Any, spec: CanSpec, loss: Loss, compute_dtype: str) -> None:
        self._network, self._loss, self._latency = network, loss, spec.latency_samples
        self._forward = Forward(spec, compute_dtype)
        keep_memory()

    def gradients(self, batch: Batch, target: F32) -> tuple[float, list[Tensor]]:
        """Loss of a batch, and its gradients in the order of the network's trainable variables."""
        estimate = self._forward([v.value for v in self._network.weights], torch.as_tensor(batch.noisy), training=True)
        estimate = estimate[:, self._latency :] * torch.as_tensor(batch.scale)
        loss = self._loss(torch.as_tensor(target), estimate)
        wanted = [v.value for v in self._network.trainable_variables]
        return float(loss.detach()), list(torch.autograd.grad(loss, wanted))

    def enhance(self, noisy: F32) -> F32:
        """What the network makes of ``(clips, n)`` signals, as late as it is."""
        with torch.no_grad():
            found: F32 = self._forward([v.value for v in self._network.weights], torch.as_tensor(noisy), False).numpy()
        return found
