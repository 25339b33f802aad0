"""Labelled sounds while training: decoded clips, and batches of crops, shifted, sped, mixed and levelled at random."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.labels import Clip
from rtdenoise.lab.classifier.spec import Task
from rtdenoise.lab.data.collection import Recording
from rtdenoise.lab.data.library import decoded, warn_of_unusable
from rtdenoise.lab.data.mixtures import active_rms
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db

_GAIN_DB = 10.0
_SPEED = 0.22  # natural logarithm: up to a quarter faster or slower, and as much higher or lower
_SILENCE = 1e-3  # of the loudest sample: threshold of the padding at a clip's ends
_LOOK_SAMPLES = 400


@dataclass(frozen=True, slots=True)
class Sounds:
    """Clips of one task and one part.

    Attributes
    ----------
    samples : (n,) int16
        All clips one after the other.
    starts, stops : (n_clips,) int64
        Where each clip lies, without silence at its ends.
    gains : (n_clips,) float32
        Bring a clip to unit level while it sounds.
    targets : (n_clips, n_classes) float32
        1 for each of its labels.
    """

    samples: npt.NDArray[np.int16]
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    gains: F32
    targets: F32

    def __len__(self) -> int:
        return len(self.starts)

    def clip(self, number: int) -> F32:
        """One clip at unit level, float32."""
        part: F32 = self.samples[self.starts[number] : self.stops[number]].astype(np.float32)
        part *= self.gains[number]
        return part


def open_sounds(clips: list[Clip], task: Task, split: str, *, cache: Path, sample_rate: int) -> Sounds:
    """Clips of one part, decoded or read from the cache, resampled and mixed down to one channel where necessary.

    Raises
    ------
    ConfigError
        If none of them can be read.
    """
    chosen = [clip for clip in clips if clip.split == split]
    table = decoded([Recording(c.path, "noise", split, "") for c in chosen], cache, sample_rate)
    samples = np.load(table["file"], mmap_mode="r")
    lengths = np.array(table["lengths"], np.int64)
    ends = np.cumsum(lengths)
    kept = np.flatnonzero(lengths)
    if not len(kept):
        raise ConfigError(f"none of {len(chosen)} clips of task {task.name!r} in {split!r} can be read")
    warn_of_unusable([c.path for c in chosen], table["lengths"])
    bounds = np.array([_sounding(samples[ends[i] - lengths[i] : ends[i]]) for i in kept])
    starts = (ends - lengths)[kept] + bounds[:, 0]
    stops = (ends - lengths)[kept] + bounds[:, 1]
    levels = [active_rms(samples[a:b].astype(np.float32)) for a, b in zip(starts, stops, strict=True)]
    index = {name: number for number, name in enumerate(task.classes)}
    targets = np.zeros((len(kept), len(task.classes)), np.float32)
    for row, i in enumerate(kept):
        targets[row, [index[name] for name in chosen[i].labels]] = 1.0
    return Sounds(samples, starts, stops, (1.0 / np.maximum(levels, 1.0)).astype(np.float32), targets)


def _sounding(samples: npt.NDArray[np.int16]) -> tuple[int, int]:
    """First and last sample of a clip without its silent padding."""
    count = -(-len(samples) // _LOOK_SAMPLES)
    padded = np.zeros(count * _LOOK_SAMPLES, np.int32)
    padded[: len(samples)] = np.abs(samples.astype(np.int32))
    loudest = padded.reshape(count, -1).max(1)
    loud = np.flatnonzero(loudest > _SILENCE * loudest.max())
    return int(loud[0]) * _LOOK_SAMPLES, min(len(samples), (int(loud[-1]) + 1) * _LOOK_SAMPLES)


@dataclass(frozen=True, slots=True)
class Mixture:
    """How the clips of one task become training examples.

    Attributes
    ----------
    task : Task
    sounds : Sounds
    share : float
        Of the examples of a batch.
    mixing : float
        Probability that two clips sound together.
    """

    task: Task
    sounds: Sounds
    share: float
    mixing: float

    def draw(self, rng: np.random.Generator, n: int) -> tuple[F32, F32]:
        """One example: ``(n,)`` samples and ``(n_classes,)`` targets.

        Two clips mixed at a random ratio of levels; the single-label target is the ratio itself (Tokozume et al. 2018,
        "Learning from between-class examples for deep sound recognition", eq. 2), the multi-label target is both.
        """
        first, target = self._crop(rng, n)
        if rng.random() < self.mixing:
            second, other = self._crop(rng, n)
            ratio = rng.random()
            levels = [float(np.sqrt(np.mean(np.square(a)))) + 1e-3 for a in (first, second)]
            share = 1.0 / (1.0 + levels[0] / levels[1] * (1.0 - ratio) / max(ratio, 1e-6))
            scale = float(np.hypot(share, 1.0 - share))
            first = np.float32(share / scale) * first + np.float32((1.0 - share) / scale) * second
            if self.task.kind == "single":
                target = np.float32(ratio) * target + np.float32(1.0 - ratio) * other
            else:
                target = np.maximum(target, other)
        gain = amplitude_from_db(rng.uniform(-_GAIN_DB, _GAIN_DB)) * rng.choice((-1.0, 1.0))
        return (first * gain).astype(np.float32), target

    def _crop(self, rng: np.random.Generator, n: int) -> tuple[F32, F32]:
        """A stretch of a clip at another speed, anywhere in it; short clips lie anywhere in silence."""
        number = int(rng.integers(len(self.sounds)))
        clip = self.sounds.clip(number)
        speed = float(np.exp(rng.uniform(-_SPEED, _SPEED)))
        wanted = int(n * speed) + 2
        stretch = np.zeros(wanted, np.float32)
        spare = len(clip) - wanted
        if spare >= 0:
            start = int(rng.integers(spare + 1))
            stretch[:] = clip[start : start + wanted]
        else:
            start = int(rng.integers(-spare + 1))
            stretch[start : start + len(clip)] = clip
        at = np.arange(n) * speed
        whole = at.astype(np.int64)
        part = (at - whole).astype(np.float32)
        return stretch[whole] * (1.0 - part) + stretch[whole + 1] * part, self.sounds.targets[number]


def make_examples(
    mixtures: list[Mixture], *, seed: int, number: int, batch_size: int, n_samples: int
) -> tuple[F32, F32]:
    """Batch `number` of the endless sequence defined by `seed`.

    Returns
    -------
    signals : (batch, n_samples) float32
    packed : (batch, classes + tasks) float32
        See `rtdenoise.lab.classifier.network.classifier_loss`.
    """
    rng = np.random.default_rng([seed, number])
    shares = np.array([m.share for m in mixtures], np.float64)
    offsets = np.cumsum([0, *(len(m.task.classes) for m in mixtures)])
    signals = np.empty((batch_size, n_samples), np.float32)
    packed = np.zeros((batch_size, offsets[-1] + len(mixtures)), np.float32)
    for item in range(batch_size):
        chosen = int(rng.choice(len(mixtures), p=shares / shares.sum()))
        signals[item], packed[item, offsets[chosen] : offsets[chosen + 1]] = mixtures[chosen].draw(rng, n_samples)
        packed[item, offsets[-1] + chosen] = 1.0
    return signals, packed


def examples(
    mixtures: list[Mixture], *, first: int, ahead: int = 3, **sizes: int
) -> Generator[tuple[F32, F32], None, None]:
    """The sequence from batch `first` on, made a few batches ahead in a thread."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(make_examples, mixtures, number=first + k, **sizes) for k in range(ahead)]
        number = first + ahead
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(make_examples, mixtures, number=number, **sizes))
                number += 1
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
