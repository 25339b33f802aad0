"""Unmodified pairs of noisy and clean recordings, in the VoiceBank-DEMAND layout that papers train on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.lab.data.collection import audio_files
from rtdenoise.lab.data.library import identity_of, kept_arrays, kept_samples, read_audio, replacing
from rtdenoise.typing import F32

_DEV_SPEAKERS = ("p226", "p287")  # of the 28: a man and a woman, as is usual where a part for validation is held out
_SEED = 20182


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of one part, drawn at random, a stretch at a time.

    Attributes
    ----------
    samples : (2, n) int16
        Noisy and clean, all pairs one after the other.
    stops : (n_pairs,) int64
    scales : (n_pairs,) float32
        Restore the original level of a pair.
    """

    samples: npt.NDArray[np.int16]
    stops: npt.NDArray[np.int64]
    scales: F32

    def __len__(self) -> int:
        return len(self.stops)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the samples: other processes map the same file."""
        return _pairs, (getattr(self.samples, "filename", None) or self.samples, self.stops, self.scales)

    def mix(self, rng: np.random.Generator, n: int) -> tuple[F32, F32]:
        """A stretch of one pair, noisy and clean, ``(n,)`` each; a shorter pair is followed by silence."""
        number = int(rng.integers(len(self)))
        start = int(self.stops[number - 1]) if number else 0
        length = int(self.stops[number]) - start
        start += int(rng.integers(max(1, length - n + 1)))
        part = self.samples[:, start : min(start + n, int(self.stops[number]))]
        pair = np.zeros((2, n), np.float32)
        pair[:, : part.shape[1]] = part * self.scales[number]
        return pair[0], pair[1]


def _pairs(samples: Any, stops: Any, scales: Any) -> Pairs:
    return Pairs(samples if isinstance(samples, np.ndarray) else np.load(samples, mmap_mode="r"), stops, scales)


def find_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    """Noisy and clean files of equal names in ``noisy_trainset*`` and ``clean_trainset*``.

    Two speakers are kept for validation (p226 and p287, or the last one if they are missing); the test set is not
    used.

    Raises
    ------
    ConfigError
        If there are no pairs, or they have a single speaker.
    """
    found = []
    for clean_folder in sorted(root.glob("clean_trainset*")):
        noisy_folder = root / clean_folder.name.replace("clean_", "noisy_", 1)
        for clean in audio_files(clean_folder):
            noisy = noisy_folder / clean.relative_to(clean_folder)
            if noisy.is_file():
                found.append((noisy, clean))
    if not found:
        raise ConfigError(f"{root}: no pairs (pairs: true); expected clean_trainset*/ and noisy_trainset*/ as unpacked")
    speakers = sorted({_speaker(clean) for _, clean in found})
    if len(speakers) < 2:
        raise ConfigError(f"{root}: a single speaker, {speakers[0]}: none is left for validation")
    held = {s for s in speakers if s in _DEV_SPEAKERS} or {speakers[-1]}
    return [pair for pair in found if (_speaker(pair[1]) in held) == (split == "dev")]


def _speaker(path: Path) -> str:
    return path.stem.split("_")[0]


def open_pairs(root: Path, split: str, *, cache: Path, sample_rate: int) -> Pairs:
    """Pairs of one part, decoded or read from the cache.

    Raises
    ------
    ConfigError
        If there are none, one cannot be read or differs in length, or the cache cannot be written.
    """
    chosen = find_pairs(root, split)
    identity = [identity_of(p) for pair in chosen for p in pair]
    key = hashlib.sha256(json.dumps(["pairs", sample_rate, identity]).encode()).hexdigest()[:16]
    file, index = cache / f"{key}.npy", cache / f"{key}.npz"
    pairs = _kept(file, index, len(chosen))
    if pairs is None:
        parts, scales = zip(*(_decode(*pair, sample_rate) for pair in chosen), strict=True)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with replacing(file) as partial, partial.open("wb") as samples:
                np.save(samples, np.concatenate(parts, 1))
            with replacing(index) as partial, partial.open("wb") as places:  # last: marks the samples as complete
                np.savez(places, stops=np.cumsum([p.shape[1] for p in parts]), scales=np.array(scales, np.float32))
        except OSError as error:
            raise ConfigError(f"{cache}: decoded pairs cannot be kept there ({error.strerror})") from error
        pairs = _kept(file, index, len(chosen))
    if pairs is None:
        raise ConfigError(f"{cache}: decoded pairs are damaged as soon as they are written; name another folder")
    return pairs


def _kept(file: Path, index: Path, count: int) -> Pairs | None:
    """Pairs decoded earlier; None if either file is missing, damaged or has another key."""
    samples, places = kept_samples(file), kept_arrays(index, "stops", "scales")
    if samples is None or places is None:
        return None
    stops, scales = places
    fits = stops.shape == scales.shape == (count,) and samples.shape == (2, stops[-1])
    return Pairs(samples, stops, scales) if fits else None


def _decode(noisy: Path, clean: Path, sample_rate: int) -> tuple[npt.NDArray[np.int16], float]:
    try:
        both = [read_audio(path, sample_rate) for path in (noisy, clean)]
    except AudioFileError as error:
        raise ConfigError(f"{noisy.name}: a pair that cannot be read ({error})") from error
    if len(both[0]) != len(both[1]):
        raise ConfigError(f"{noisy}: {len(both[0])} samples, but {len(both[1])} in {clean}")
    pair = np.stack(both)
    peak = max(float(np.max(np.abs(pair), initial=0.0)), 1e-9)
    return np.round(pair * (32767.0 / peak)).astype(np.int16), peak / 32767.0


def validation_pairs(dev: Pairs, *, clips: int, n_samples: int) -> tuple[F32, F32]:
    """The same stretches every time, noisy and clean, ``(clips, n_samples)``."""
    pairs = [dev.mix(np.random.default_rng([_SEED, clip]), n_samples) for clip in range(clips)]
    return np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
