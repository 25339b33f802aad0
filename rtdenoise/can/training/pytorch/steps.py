"""Training steps by PyTorch alone: no layer of Keras stands between its functions, no processor between its kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from rtdenoise.can.spec import CanSpec
from rtdenoise.can.training.batches import Batch
from rtdenoise.can.training.frames import Tensor
from rtdenoise.can.training.losses import Loss
from rtdenoise.can.training.pytorch.memory import keep_memory
from rtdenoise.can.training.pytorch.network import Forward
from rtdenoise.can.training.pytorch.operations import DEVICE
from rtdenoise.can.training.pytorch.recorded import Recorded
from rtdenoise.can.training.pytorch.updates import Updates
from rtdenoise.typing import F32


class Steps:
    """Steps of a Keras network whose backend is PyTorch, where Keras keeps its variables: on a GPU if there is one.

    Parameters
    ----------
    network : keras.Model
        Its variables are read and written.
    spec : CanSpec
    loss : Loss
    compute_dtype : str
        See `Forward`.
    optimiser : keras.optimizers.Optimizer, optional
        Built; without it only `gradients` and `enhance` can be asked for.
    """

    def __init__(self, network: Any, spec: CanSpec, loss: Loss, compute_dtype: str, optimiser: Any = None) -> None:
        self._network, self._loss, self._latency = network, loss, spec.latency_samples
        self._forward = Forward(spec, compute_dtype)
        self._update = None if optimiser is None else Updates(optimiser, network.trainable_variables)
        self._guarded = [v.value for v in (*network.non_trainable_variables, *(s.values for s in loss.states))]
        self._recorded = Recorded(self._advance)
        torch.backends.cudnn.benchmark = True  # shapes stay the same
        keep_memory()

    def ahead(self, source: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        """Batches, each copied to a GPU while the step before it is computed."""
        if DEVICE.type != "cuda":
            yield from source
            return
        stream = torch.cuda.Stream()
        with contextlib.closing(source), ThreadPoolExecutor(1) as pool:
            coming = pool.submit(_fetched, source, stream)
            while True:
                batch = coming.result()
                coming = pool.submit(_fetched, source, stream)
                yield batch

    def step(self, batch: Batch) -> float:
        """Train on one batch; returns its loss.  A loss that is not finite changes nothing but the count of steps."""
        return float(self._recorded(*(torch.as_tensor(a, device=DEVICE) for a in _arrays(batch))))

    def gradients(self, noisy: Tensor, target: Tensor, scale: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss of a batch, and its gradients in the order of the network's trainable variables."""
        estimate = self._forward([v.value for v in self._network.weights], noisy, training=True)
        estimate = estimate[:, self._latency :] * scale
        loss = self._loss(target[:, : estimate.shape[1]] * scale, estimate)
        wanted = [v.value for v in self._network.trainable_variables]
        return loss.detach(), list(torch.autograd.grad(loss, wanted))

    def enhance(self, noisy: F32) -> F32:
        """What the network makes of ``(clips, n)`` signals, as late as it is."""
        with torch.no_grad():
            values = [v.value for v in self._network.weights]
            found: F32 = self._forward(values, torch.as_tensor(noisy, device=DEVICE), False).cpu().numpy()
        return found

    def _advance(self, *batch: Tensor) -> Tensor:
        """One step; its loss."""
        assert self._update is not None
        former = [value.detach().clone() for value in self._guarded]
        loss, gradients = self.gradients(*batch)
        self._update(gradients)
        with torch.no_grad():  # statistics change in the forward pass, which no guard of gradients sees
            for value, before in zip(self._guarded, former, strict=True):
                value.copy_(torch.where(torch.isfinite(loss), value, before))
        return loss


def _arrays(batch: Batch) -> tuple[Any, Any, Any]:
    return batch.noisy, batch.target, batch.scale


def _fetched(source: Generator[Batch, None, None], stream: torch.cuda.Stream) -> Batch:
    """The next batch, copied beside whatever is computed."""
    arrays = _arrays(next(source))
    with torch.cuda.stream(stream):
        found = Batch(*(torch.as_tensor(np.ascontiguousarray(a), device=DEVICE) for a in arrays))
        stream.synchronize()
    return found
