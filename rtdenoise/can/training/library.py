"""All recordings of a collection decoded once into one array of 16-bit samples on disk, mapped into memory."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import signal

from rtdenoise.can.training.collection import Recording
from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.typing import F32

_LOG = logging.getLogger(__name__)
_PEAK = 30000.0  # recordings are scaled to this peak: levels are set when mixing, 16 bits are used fully
_SHORTEST_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Shelf:
    """Recordings of one kind and split, grouped.

    Attributes
    ----------
    samples : (n,) int16
        All recordings one after the other.
    starts, stops : (n_recordings,) int64
        Where each recording lies in `samples`.
    groups : list of (k,) int64
        Recording numbers of each group (speaker, class of noise).
    weights : (n_groups,) float64
        Probability of each group when one is drawn: proportional to the square root of its duration.
    """

    samples: npt.NDArray[np.int16]
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    groups: list[npt.NDArray[np.int64]]
    weights: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.starts)

    def __reduce__(self) -> tuple[Any, ...]:
        """Other processes map the same file; the samples themselves are not sent."""
        file = getattr(self.samples, "filename", None)
        return _shelf, (file or self.samples, self.starts, self.stops, self.groups, self.weights)

    @property
    def seconds(self) -> float:
        """Total duration at 16 kHz."""
        return float(np.sum(self.stops - self.starts)) / 16000.0

    def recording(self, number: int) -> F32:
        """Samples of one recording, peak about 0.9, float32."""
        part = self.samples[self.starts[number] : self.stops[number]]
        return part.astype(np.float32) / np.float32(32768.0)

    def draw_group(self, rng: np.random.Generator) -> int:
        """A group, the longer the likelier."""
        return int(np.searchsorted(np.cumsum(self.weights), rng.random()).clip(0, len(self.groups) - 1))

    def draw(self, rng: np.random.Generator, group: int | None = None) -> int:
        """A recording of `group`, or of a group drawn first."""
        members = self.groups[self.draw_group(rng) if group is None else group]
        return int(members[rng.integers(len(members))])


def _shelf(samples: Any, *parts: Any) -> Shelf:
    """A shelf that was sent to this process."""
    return Shelf(samples if isinstance(samples, np.ndarray) else np.load(samples, mmap_mode="r"), *parts)


def open_shelf(
    recordings: list[Recording], kind: str, split: str, *, cache: Path, sample_rate: int, targets_only: bool = False
) -> Shelf:
    """Recordings of one kind and split, decoded now or earlier.

    Raises
    ------
    ConfigError
        If none of them can be read.
    """
    chosen = [r for r in recordings if r.kind == kind and r.split == split]
    table = decoded(chosen, cache, sample_rate)
    samples = np.load(table["file"], mmap_mode="r") if chosen else np.zeros(0, np.int16)
    length = np.array(table["lengths"], np.int64)
    stops = np.cumsum(length)
    starts = stops - length
    keep = [i for i, r in enumerate(chosen) if length[i] > 0 and (r.clean_target or not targets_only)]
    if not keep and kind != "rooms":
        where = f" below {os.path.commonpath([r.path.parent for r in chosen])}" if chosen else ""
        raise ConfigError(
            f"none of {len(chosen)} {kind} files for {split!r}{where} can be used: unreadable or too short"
        )
    by_group: dict[str, list[int]] = {}
    for number, index in enumerate(keep):
        by_group.setdefault(chosen[index].group, []).append(number)
    groups = [np.array(v, np.int64) for _, v in sorted(by_group.items())]
    weights = np.array([np.sqrt(np.sum(length[keep][g])) for g in groups], np.float64)
    return Shelf(samples, starts[keep], stops[keep], groups, weights / max(weights.sum(), 1e-9))


def decoded(chosen: list[Recording], cache: Path, sample_rate: int) -> dict[str, Any]:
    """The file of samples and the length of each recording (0: unreadable or too short); decodes if not in `cache`."""
    identity = [[str(r.path), str(r.without or ""), r.path.stat().st_size] for r in chosen if r.path.is_file()]
    key = hashlib.sha256(json.dumps([sample_rate, identity]).encode()).hexdigest()[:16]
    index = cache / f"{key}.json"
    if index.is_file():
        found: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(lambda r: _decode(r, sample_rate), chosen))
    table: dict[str, Any] = {"file": str(cache / f"{key}.npy"), "lengths": [len(p) for p in parts]}
    np.save(table["file"], np.concatenate(parts) if parts else np.zeros(0, np.int16))
    index.write_text(json.dumps(table), encoding="utf-8")
    unusable = [str(r.path) for r, part in zip(chosen, parts, strict=True) if not len(part)]
    if 0 < len(unusable) < len(parts):
        named = ", ".join(unusable[:3]) + (", ..." if len(unusable) > 3 else "")
        _LOG.warning("%d of %d files are unreadable, silent or too short: %s", len(unusable), len(parts), named)
    return table


def read_audio(path: Path, sample_rate: int) -> F32:
    """One file as mono float32 at `sample_rate`."""
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("reading audio files needs soundfile: pip install soundfile") from error
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono: F32 = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    if rate != sample_rate:
        common = math.gcd(rate, sample_rate)
        mono = np.asarray(signal.resample_poly(mono, sample_rate // common, rate // common), np.float32)
    return mono


def _decode(recording: Recording, sample_rate: int) -> npt.NDArray[np.int16]:
    """Samples scaled to a common peak; empty if they cannot be used."""
    nothing = np.zeros(0, np.int16)
    try:
        samples = read_audio(recording.path, sample_rate)
        if recording.without is not None:
            clean = read_audio(recording.without, sample_rate)
            n = min(len(samples), len(clean))
            samples = samples[:n] - clean[:n]
    except (OSError, RuntimeError):  # soundfile's errors derive from RuntimeError
        return nothing
    peak = float(np.max(np.abs(samples), initial=0.0))
    shortest = 0 if recording.kind == "rooms" else _SHORTEST_SECONDS * sample_rate
    if not np.isfinite(peak) or peak < 1e-5 or len(samples) < shortest:
        return nothing
    return np.round(samples * (_PEAK / peak)).astype(np.int16)
