"""Batches with a teacher's output as their target (distillation), each made once, kept on disk and used repeatedly.

Hinton et al. 2015, "Distilling the knowledge in a neural network".  A small network can nearly match the
output of a better one, so a loss against it varies less from batch to batch than one against clean speech.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.batches import Batch, make_batch
from rtdenoise.lab.data.library import kept_arrays, replacing
from rtdenoise.lab.data.mixtures import Mixer
from rtdenoise.lab.data.validation import drawn_from
from rtdenoise.typing import F32

Teach = Callable[[F32], F32]
"""Given (batch, n_samples) noisy float32, returns what the teacher makes of it: aligned, and not longer."""

_AHEAD = 2
_ARRAYS = ("noisy", "target", "scale")


@dataclass(frozen=True, slots=True)
class Lessons:
    """An endless sequence of batches, of which `n_batches` are different; batch k depends on these fields and k alone.

    Attributes
    ----------
    mixer : Mixer
    teach : callable
    n_batches : int
    share : float
        Of the different batches: their target is what the teacher makes of them; that of the others is clean speech.
    seed, batch_size, n_samples : int
        See `rtdenoise.lab.data.batches.make_batch`.
    folder : Path
        Where they are kept, as 16-bit floats: of one recipe, see `lessons_folder`.
    """

    mixer: Mixer
    teach: Teach
    n_batches: int
    share: float
    seed: int
    batch_size: int
    n_samples: int
    folder: Path

    def __call__(self, first: int) -> Generator[Batch, None, None]:
        """Batches from number `first` on, each made while those before it are used."""
        with ThreadPoolExecutor(1) as pool:
            waiting = [pool.submit(self.batch, first + k) for k in range(_AHEAD)]
            try:
                for number in itertools.count(first + _AHEAD):
                    yield waiting.pop(0).result()
                    waiting.append(pool.submit(self.batch, number))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, number: int) -> Batch:
        """Batch `number`: each round goes once through all lessons, in an order of its own."""
        turn, place = divmod(number, self.n_batches)
        order = np.random.default_rng([self.seed, turn, 1]).permutation(self.n_batches) if turn else None
        lesson = place if order is None else int(order[place])
        path = self.folder / f"{lesson:06d}.npz"
        kept = kept_arrays(path, *_ARRAYS) or self._make(lesson, path)
        return Batch(*(np.asarray(a, np.float32) for a in kept))  # rounded to 16 bits, kept or just made

    def _make(self, number: int, path: Path) -> list[np.ndarray]:
        sizes = {"seed": self.seed, "batch_size": self.batch_size, "n_samples": self.n_samples}
        batch = make_batch(self.mixer, number=number, **sizes)
        target = batch.target.copy()
        if np.random.default_rng([self.seed, number, 2]).random() < self.share:
            made = self.teach(batch.noisy)
            target[:, : made.shape[1]] = made
        arrays: list[np.ndarray] = [batch.noisy.astype(np.float16), target.astype(np.float16), batch.scale]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial, partial.open("wb") as file:
                np.savez(file, noisy=arrays[0], target=arrays[1], scale=arrays[2])
        except OSError as error:
            raise ConfigError(
                f"{self.folder}: lessons cannot be kept there ({error.strerror}); make room, or give fewer lessons"
            ) from error
        return arrays


def lessons_folder(cache: Path, mixer: Mixer, teacher: dict[str, Any], **sizes: int) -> Path:
    """The folder below `cache` for one set of mixing parameters, recordings, sizes and teacher.

    `teacher`: what identifies it, and the share of the batches that it teaches.
    """
    shelves = [drawn_from(shelf) for shelf in (mixer.speech, mixer.voices, mixer.noise, mixer.rooms)]
    recipe = json.dumps([asdict(mixer.params), shelves, teacher, sizes], sort_keys=True)
    return cache / f"lessons-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
