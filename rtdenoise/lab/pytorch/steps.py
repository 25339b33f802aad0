"""Training steps in pure PyTorch, without Keras layers; on a CUDA GPU also without the interpreter."""

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
    """Steps of a Keras network with the PyTorch backend, on the device of Keras's variables: a GPU if there is one.

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
            torch.backends.cudnn.allow_tf32 = False  # keep full float32 precision
        self._network, self._loss, self._latency = network, loss, spec.latency_samples
        self._forward = Forward(spec, compute_dtype)
        self._update = Updates(optimiser, network.trainable_variables)
        self._guarded = [v.value for v in (*network.non_trainable_variables, *(s.values for s in loss.states))]
        self._recorded = Recorded(self._advance)
        keep_memory()

    def ahead(self, source: Generator[Batch, None, None]) -> Generator[Batch, None, None]:
        """Batches, each copied to a GPU during the previous step."""
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

        Non-finite gradients count as zero; a non-finite loss leaves the statistics unchanged.
        """
        loss = self._recorded(*(torch.as_tensor(a, device=DEVICE) for a in _arrays(batch)))
        return float(loss)  # waits for the GPU: only then may this batch's memory be reused

    def gradients(self, noisy: Tensor, target: Tensor, scale: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss of a batch, and its gradients in the order of the network's trainable variables."""
        estimate = self._forward([v.value for v in self._network.weights], noisy, training=True)
        estimate = estimate[:, self._latency :] * scale
        loss = self._loss(target[:, : estimate.shape[1]] * scale, estimate)
        wanted = [v.value for v in self._network.trainable_variables]
        return loss.detach(), list(torch.autograd.grad(loss, wanted))

    def enhance(self, noisy: F32) -> F32:
        """The network's output for ``(clips, n)`` signals, including its latency."""
        with torch.no_grad():
            values = [v.value for v in self._network.weights]
            found: F32 = self._forward(values, torch.as_tensor(noisy, device=DEVICE), False).cpu().numpy()
        return found

    def _advance(self, *batch: Tensor) -> Tensor:
        """One step; its loss."""
        former = [value.detach().clone() for value in self._guarded]
        loss, gradients = self.gradients(*batch)
        self._update(gradients)
        with torch.no_grad():  # statistics are updated in the forward pass, which no gradient guard covers
            for value, before in zip(self._guarded, former, strict=True):
                value.copy_(torch.where(torch.isfinite(loss), value, before))
        return loss


def _arrays(batch: Batch) -> tuple[Any, Any, Any]:
    return batch.noisy, batch.target, batch.scale


def one_ahead(source: Generator[Batch, None, None], fetch: Callable[[Batch], Batch]) -> Generator[Batch, None, None]:
    """Apply `fetch` to batches, each in a thread while the previous one is used."""
    with contextlib.closing(source), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(lambda: fetch(next(source)))
        while True:
            batch = coming.result()
            coming = pool.submit(lambda: fetch(next(source)))
            yield batch
