"""Training steps by PyTorch alone: no layer of Keras between its functions; on a CUDA GPU no interpreter either."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from rtdenoise.lab.data.batches import Batch
from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.losses.terms import Loss
from rtdenoise.lab.pytorch.memory import keep_memory
from rtdenoise.lab.pytorch.network import Forward
from rtdenoise.lab.pytorch.operations import DEVICE
from rtdenoise.lab.pytorch.recorded import Recorded
from rtdenoise.lab.pytorch.updates import Updates
from rtdenoise.methods.can.spec import CanSpec
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
    optimiser : keras.optimizers.Optimizer
        Built.
    """

    def __init__(self, network: Any, spec: CanSpec, loss: Loss, compute_dtype: str, optimiser: Any) -> None:
        if DEVICE.type == "cuda":
            torch.cuda.set_device(DEVICE)
            torch.backends.cudnn.benchmark = True  # shapes stay the same
            torch.backends.cudnn.allow_tf32 = False  # float32 is what it says
        self._network, self._loss, self._latency = network, loss, spec.latency_samples
        self._forward = Forward(spec, compute_dtype)
        self._update = Updates(optimiser, network.trainable_variables)
        self._guarded = [v.value for v in (*network.non_trainable_variables, *(s.values for s in loss.states))]
        self._recorded = Recorded(self._advance)
        keep_memory()

    def ahead(self, source: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        """Batches, each copied to a GPU while the step before it is computed."""
        if DEVICE.type != "cuda":
            return source
        stream = torch.cuda.Stream(DEVICE)

        def fetch(batch: Batch) -> Batch:
            with torch.cuda.stream(stream):
                found = Batch(*(torch.as_tensor(a, device=DEVICE) for a in _arrays(batch)))
                stream.synchronize()
            return found

        return one_ahead(source, fetch)

    def step(self, batch: Batch) -> float:
        """Train on one batch; returns its loss.

        Gradients that are not finite count as zero; with a loss that is not, statistics stay as they were.
        """
        loss = self._recorded(*(torch.as_tensor(a, device=DEVICE) for a in _arrays(batch)))
        return float(loss)  # waits for the GPU: only then may the memory of this batch hold another

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
        former = [value.detach().clone() for value in self._guarded]
        loss, gradients = self.gradients(*batch)
        self._update(gradients)
        with torch.no_grad():  # statistics change in the forward pass, which no guard of gradients sees
            for value, before in zip(self._guarded, former, strict=True):
                value.copy_(torch.where(torch.isfinite(loss), value, before))
        return loss


def _arrays(batch: Batch) -> tuple[Any, Any, Any]:
    return batch.noisy, batch.target, batch.scale


def one_ahead(source: Generator[Batch, None, None], fetch: Callable[[Batch], Batch]) -> Generator[Batch, None, None]:
    """What `fetch` makes of batches, each made in a thread while the one before is used."""
    with contextlib.closing(source), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(lambda: fetch(next(source)))
        while True:
            batch = coming.result()
            coming = pool.submit(lambda: fetch(next(source)))
            yield batch
