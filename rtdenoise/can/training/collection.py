"""Which recordings a data folder holds: a manifest, plain folders, or the VoiceBank-DEMAND layout."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtdenoise.errors import ConfigError

KINDS = ("speech", "noise", "rooms")
SPLITS = ("train", "dev")
_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au"}
_DEV_SHARE = 20  # one group in twenty is kept for validation where a folder has no split of its own


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of the collection.

    Attributes
    ----------
    path : Path
    kind : str
        One of `KINDS`.
    split : str
        One of `SPLITS`.
    group : str
        Speaker of speech, class of noise, source of rooms: what is drawn first when recordings are drawn.
    clean_target : bool
        Whether speech is clean enough to be the training target; otherwise it serves as babble only.
    without : Path or None
        A file to subtract: noise given only as noisy and clean speech.
    """

    path: Path
    kind: str
    split: str
    group: str
    clean_target: bool = True
    without: Path | None = None


def find_recordings(root: Path) -> list[Recording]:
    """Everything usable under `root`.

    Raises
    ------
    ConfigError
        If the folder is missing, or has no speech or no noise for training.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such data folder")
    if (root / "manifest.csv").is_file():
        found = list(_from_manifest(root))
    elif any(root.glob("clean_trainset*")):
        found = list(_from_voicebank(root))
    else:
        found = list(_from_folders(root))
    for kind in ("speech", "noise"):
        if not any(r.kind == kind and r.split == "train" for r in found):
            raise ConfigError(
                f"{root}: no {kind} to train with; expected manifest.csv, folders speech/ and noise/ (and rooms/) "
                "with audio files, or clean_trainset_*/ and noisy_trainset_*/"
            )
    return found


def _from_manifest(root: Path) -> Iterator[Recording]:
    """Rows of ``manifest.csv``: path, kind, split, and where known label, speaker, source and tier (A, B, C)."""
    with (root / "manifest.csv").open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"path", "kind", "split"} - set(reader.fieldnames or ())
        if missing:
            raise ConfigError(f"{root / 'manifest.csv'}: no column {sorted(missing)[0]!r}")
        for row in reader:
            if row["kind"] not in KINDS or row["split"] not in SPLITS:
                continue
            source = row.get("source") or ""
            name = row.get("speaker") if row["kind"] == "speech" else row.get("label")
            clean = row.get("tier") != "C"
            yield Recording(root / row["path"], row["kind"], row["split"], f"{source}/{name or ''}", clean)


def audio_files(folder: Path) -> list[Path]:
    """Every audio file below a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())


def _from_folders(root: Path) -> Iterator[Recording]:
    """``speech/``, ``noise/``, ``rooms/``, each with or without ``train/`` and ``dev/`` below."""
    for kind in KINDS:
        base = root / kind
        divided = (base / "train").is_dir()
        for path in audio_files(base) if base.is_dir() else []:
            parts = path.relative_to(base).parts
            if divided and parts[0] not in SPLITS:
                continue
            group = "/".join(parts[1 if divided else 0 : -1]) or path.stem
            split = parts[0] if divided else ("train", "dev")[zlib.crc32(group.encode()) % _DEV_SHARE == 0]
            yield Recording(path, kind, split, group)


def _from_voicebank(root: Path) -> Iterator[Recording]:
    """``clean_*set*`` and ``noisy_*set*`` with equal file names: speech, and noise as their difference."""
    for part, split in (("trainset", "train"), ("testset", "dev")):
        for clean_folder in sorted(root.glob(f"clean_{part}*")):
            noisy_folder = root / clean_folder.name.replace("clean_", "noisy_", 1)
            for clean in audio_files(clean_folder):
                yield Recording(clean, "speech", split, clean.stem.split("_")[0])
                noisy = noisy_folder / clean.name
                if noisy.is_file():
                    yield Recording(noisy, "noise", split, noisy.stem, without=clean)
