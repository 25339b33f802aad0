"""Batches by number: batch k is a function of the seed and k alone, so training resumes where it stopped, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rtdenoise.can.training.mixtures import Mixer, rms
from rtdenoise.typing import F32

_DEAD_LEVEL = 1e-5  # below: digital silence, scaled as if it were this loud


@dataclass(frozen=True, slots=True)
class Batch:
    """Training pairs of one step.

    Attributes
    ----------
    noisy, target : (batch, n_samples) float32
    scale : (batch, 1) float32
        ``1 / rms(noisy)``: brings a pair to the unit level at which the loss compares.
    """

    noisy: F32
    target: F32
    scale: F32


def make_batch(mixer: Mixer, *, seed: int, number: int, batch_size: int, n_samples: int) -> Batch:
    """Batch `number` of the endless sequence that `seed` names."""
    pairs = [mixer.mix(np.random.default_rng([seed, number, item]), n_samples) for item in range(batch_size)]
    noisy = np.stack([a for a, _ in pairs])
    target = np.stack([b for _, b in pairs])
    scale = np.array([[1.0 / max(rms(a), _DEAD_LEVEL)] for a in noisy], np.float32)
    return Batch(noisy, target, scale)


def batches(
    mixer: Mixer, *, seed: int, first: int, batch_size: int, n_samples: int, workers: int = 1, ahead: int = 4
) -> Iterator[Batch]:
    """The sequence from batch `first` on, made by `workers` threads a few batches ahead."""
    with ThreadPoolExecutor(workers) as pool:

        def submit(number: int) -> Future[Batch]:
            return pool.submit(make_batch, mixer, seed=seed, number=number, batch_size=batch_size, n_samples=n_samples)

        waiting = [submit(first + k) for k in range(ahead)]
        number = first + ahead
        while True:
            yield waiting.pop(0).result()
            waiting.append(submit(number))
            number += 1
