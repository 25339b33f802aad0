"""Decode all recordings of a collection once into a memory-mapped array of 16-bit samples on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.lab.data.collection import Recording
from rtdenoise.lab.data.formats import Form, tell_adapted
from rtdenoise.rates import resample
from rtdenoise.sound.recordings import read_recording
from rtdenoise.typing import F32

_LOG = logging.getLogger(__name__)
_PEAK = 30000.0  # recordings are scaled to this peak: levels are set when mixing, so all 16 bits are used
_SHORTEST_SECONDS = 0.3
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile)  # raised by numpy and json


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
        """Pickle without the samples: other processes map the same file."""
        file = getattr(self.samples, "filename", None)
        return _shelf, (file or self.samples, self.starts, self.stops, self.groups, self.weights)

    @property
    def source(self) -> str:
        """Hash of the recordings in `samples` and their order: the key of the mapped file."""
        return Path(getattr(self.samples, "filename", None) or "").stem

    @property
    def seconds(self) -> float:
        """Total duration at 16 kHz."""
        return float(np.sum(self.stops - self.starts)) / 16000.0

    def recording(self, number: int) -> F32:
        """Samples of one recording, peak about 0.9, float32."""
        part = self.samples[self.starts[number] : self.stops[number]]
        return part.astype(np.float32) / np.float32(32768.0)

    def draw_group(self, rng: np.random.Generator) -> int:
        """Draw a group, with a higher probability for longer ones."""
        return int(np.searchsorted(np.cumsum(self.weights), rng.random()).clip(0, len(self.groups) - 1))

    def draw_beside(self, rng: np.random.Generator, number: int) -> int:
        """Draw another recording of the group of recording `number`, or that one where it is the only one."""
        members = next(group for group in self.groups if number in group)
        others = members[members != number] if len(members) > 1 else members
        return int(others[rng.integers(len(others))])

    def draw(self, rng: np.random.Generator, group: int | None = None) -> int:
        """Draw a recording of `group`, or of a random group."""
        members = self.groups[self.draw_group(rng) if group is None else group]
        return int(members[rng.integers(len(members))])


def _shelf(samples: Any, *parts: Any) -> Shelf:
    """Rebuild a shelf that was sent to this process."""
    return Shelf(samples if isinstance(samples, np.ndarray) else np.load(samples, mmap_mode="r"), *parts)


def open_shelf(
    recordings: list[Recording], kind: str, split: str, *, cache: Path, sample_rate: int, targets_only: bool = False
) -> Shelf:
    """Recordings of one kind and split, decoded or read from the cache.

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
        if not chosen:
            raise ConfigError(f"no {kind} files for {split!r}: two files at least, or train/ and dev/ below {kind}/")
        where = _common_folder([r.path.parent for r in chosen])
        what = "unreadable or too short" if not np.any(length) else "none is clean enough for a target (tier C)"
        raise ConfigError(f"none of {len(chosen)} {kind} files for {split!r} below {where} can be used: {what}")
    if not targets_only:  # the shelf of all voices logs them, once for both
        warn_of_unusable([r.path for r in chosen], table["lengths"])
    by_group: dict[str, list[int]] = {}
    for number, index in enumerate(keep):
        by_group.setdefault(chosen[index].group, []).append(number)
    groups = [np.array(v, np.int64) for _, v in sorted(by_group.items())]
    weights = np.array([np.sqrt(np.sum(length[keep][g])) for g in groups], np.float64)
    return Shelf(samples, starts[keep], stops[keep], groups, weights / max(weights.sum(), 1e-9))


def _common_folder(folders: list[Path]) -> str:
    """The folder that contains them; the first one where they have none in common, as on two drives."""
    try:
        return os.path.commonpath(folders)
    except ValueError:
        return str(folders[0])


def decoded(chosen: list[Recording], cache: Path, sample_rate: int) -> dict[str, Any]:
    """The file of samples and the length of each recording (0: unreadable or too short); decodes if not in `cache`.

    Raises
    ------
    ConfigError
        If the cache cannot be written.
    """
    identity = [
        [*identity_of(r.path), *(identity_of(r.without) if r.without else ()), r.kind == "rooms"] for r in chosen
    ]
    key = hashlib.sha256(json.dumps([sample_rate, identity]).encode()).hexdigest()[:16]
    file, index = cache / f"{key}.npy", cache / f"{key}.json"
    lengths = _kept_lengths(file, index, len(chosen))
    if lengths is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with replacing(file) as partial:
                lengths, forms = _decode_all(chosen, sample_rate, partial)
            with replacing(index) as partial:  # last: if the index exists, so do the samples
                partial.write_text(json.dumps({"lengths": lengths}), encoding="utf-8")
            tell_adapted(forms, len(chosen), sample_rate)
        except OSError as error:
            raise ConfigError(f"{cache}: decoded recordings cannot be kept there ({error.strerror})") from error
    return {"file": str(file), "lengths": lengths}


def identity_of(path: Path) -> list[str | int]:
    """Fingerprint of the file at `path`: its location, size in bytes and modification time.

    The path is absolute with links resolved: "data/1.wav" is a different file in every project.
    """
    try:
        status = path.stat()
    except OSError:
        return [str(path.resolve()), -1, -1]
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def warn_of_unusable(paths: list[Path], lengths: list[int]) -> None:
    """Log the files that were left out, whether decoded now or earlier."""
    unusable = [str(path) for path, length in zip(paths, lengths, strict=True) if not length]
    if unusable:
        named = ", ".join(unusable[:3]) + (", ..." if len(unusable) > 3 else "")
        _LOG.warning("%d of %d files are unreadable, silent or too short: %s", len(unusable), len(paths), named)


def kept_arrays(path: Path, *names: str) -> list[Any] | None:
    """Arrays of a cached ``.npz`` file; None if it is missing, damaged or has another key."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            return [file[name] for name in names]
    except _DAMAGE:
        return None


def kept_samples(path: Path) -> npt.NDArray[np.int16] | None:
    """Samples of a cached ``.npy`` file, memory-mapped; None if it is missing, damaged or has another key."""
    try:
        samples = npy.open_memmap(path, mode="r")
    except _DAMAGE:
        return None
    return samples if samples.dtype == np.int16 else None


def _kept_lengths(file: Path, index: Path, count: int) -> list[int] | None:
    """Lengths of recordings decoded earlier; None if either file is missing, truncated or has another key."""
    try:
        lengths: list[int] = json.loads(index.read_text(encoding="utf-8"))["lengths"]
        total = sum(lengths)
    except _DAMAGE:
        return None
    samples = kept_samples(file)
    fits = samples is not None and samples.shape == (total,) and len(lengths) == count
    return lengths if fits else None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that replaces `path` on success; several processes may write at once."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _decode_all(chosen: list[Recording], sample_rate: int, path: Path) -> tuple[list[int], list[Form]]:
    """Write all samples consecutively as a ``.npy`` file; only a few recordings are in memory at a time."""
    lengths: list[int] = []
    forms: list[Form] = []
    ahead = 2 * (os.cpu_count() or 1)
    with path.open("wb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        _write_head(file, 0)
        for start in range(0, len(chosen), ahead):
            for part, form in pool.map(lambda r: _decode(r, sample_rate), chosen[start : start + ahead]):
                file.write(part.tobytes())
                lengths.append(len(part))
                forms += [form] if form is not None else []
        file.seek(0)
        _write_head(file, sum(lengths))  # same length as before: numpy leaves room for the shape to grow
    return lengths, forms


def _write_head(file: BinaryIO, n: int) -> None:
    head = {"descr": npy.dtype_to_descr(np.dtype(np.int16)), "fortran_order": False, "shape": (n,)}
    npy.write_array_header_1_0(file, head)


def read_audio(path: Path, sample_rate: int) -> F32:
    """One file as mono float32 at `sample_rate`.

    Raises
    ------
    AudioFileError
        If it cannot be read.
    """
    return _adapted(*read_recording(path), sample_rate)


def _adapted(samples: F32, rate: int, sample_rate: int) -> F32:
    mono: F32 = np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
    return mono if rate == sample_rate else np.asarray(resample(mono, rate, sample_rate), np.float32)


def _decode(recording: Recording, sample_rate: int) -> tuple[npt.NDArray[np.int16], Form | None]:
    """Samples scaled to a common peak, and their storage format; empty if unusable."""
    nothing = np.zeros(0, np.int16)
    try:
        read, rate = read_recording(recording.path)
        form = Form(rate, read.shape[1])
        samples = _adapted(read, rate, sample_rate)
        if recording.without is not None:
            clean = read_audio(recording.without, sample_rate)
            n = min(len(samples), len(clean))
            samples = samples[:n] - clean[:n]
    except AudioFileError:
        return nothing, None
    peak = float(np.max(np.abs(samples), initial=0.0))
    shortest = 0 if recording.kind == "rooms" else _SHORTEST_SECONDS * sample_rate
    if not np.isfinite(peak) or peak < 1e-5 or len(samples) < shortest:
        return nothing, form
    return np.round(samples * (_PEAK / peak)).astype(np.int16), form
