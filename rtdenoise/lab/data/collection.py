"""List the recordings of a data folder: a manifest, plain folders, or the VoiceBank-DEMAND layout."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtdenoise.errors import ConfigError
from rtdenoise.sound.manifest import read_manifest
from rtdenoise.sound.recordings import left_out_line, recordings_below

_LOG = logging.getLogger(__name__)

KINDS = ("speech", "noise", "rooms")
SPLITS = ("train", "dev")
_DEV_SHARE = 20  # one group in twenty is kept for validation if a folder defines no split
_VOICEBANK_DEV = {"p226", "p287"}  # a man and a woman of the training set; the test set is for reported results


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
        Speaker of speech, class of noise, room (or source of rooms): drawn before the recording within it.
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


def find_recordings(root: Path, more: Sequence[Path] = ()) -> list[Recording]:
    """Everything usable under `root`, and what can be trained on under further folders.

    Parameters
    ----------
    root : Path
    more : sequence of Path
        Folders of the same kind; each may lack speech, noise or rooms.  Their validation splits are left out, and a
        folder without splits is used as a whole.  Files that `root` or an earlier folder contains are left out with
        a warning.

    Raises
    ------
    ConfigError
        If a folder is missing, `root` has no speech or no noise for training, or one of `more` has nothing.
    """
    found = _listed(root, divided=True)
    for kind in ("speech", "noise"):
        if not any(r.kind == kind and r.split == "train" for r in found):
            raise ConfigError(
                f"{root}: no {kind} to train with; expected manifest.csv, folders speech/ and noise/ (and rooms/) "
                "with audio files, or clean_trainset_*/ and noisy_trainset_*/"
            )
    known = {path.resolve() for r in found for path in (r.path, r.without) if path is not None}
    for number, folder in enumerate(more):
        further = [r for r in _listed(folder, divided=False) if r.split == "train"]
        if not further:
            raise ConfigError(
                f"{folder}: nothing to train with; expected a manifest.csv with rows of the split train, or folders "
                "speech/, noise/ or rooms/ with audio files"
            )
        fresh = [r for r in further if r.path.resolve() not in known]
        if len(fresh) < len(further):
            left_out = len(further) - len(fresh)
            _LOG.warning("%s: %d files are left out, because an earlier folder has them", folder, left_out)
        known |= {r.path.resolve() for r in fresh}
        # groups of its own: speaker1 of another folder is somebody else
        found += [replace(r, group=f"{number}/{r.group}") for r in fresh]
    return found


def _listed(root: Path, *, divided: bool) -> list[Recording]:
    """`divided`: whether a part of a folder without splits is kept for validation."""
    if not root.is_dir():
        raise ConfigError(f"{root}: no such data folder")
    if (root / "manifest.csv").is_file():
        return list(_from_manifest(root))
    if any(root.glob("clean_trainset*")):
        return list(_from_voicebank(root, divided=divided))
    return list(_from_folders(root, divided=divided))


def _from_manifest(root: Path) -> Iterator[Recording]:
    """Rows of ``manifest.csv``: path, kind, split, and where known label, speaker, source and tier (A, B, C)."""
    for row in read_manifest(root / "manifest.csv", ("path", "kind", "split")):
        if row["kind"] not in KINDS or row["split"] not in SPLITS:
            continue
        source = row.get("source") or ""
        name = row.get("speaker") if row["kind"] == "speech" else row.get("label")
        clean = row.get("tier") != "C"
        yield Recording(root / row["path"], row["kind"], row["split"], f"{source}/{name or ''}", clean)


def audio_files(folder: Path) -> list[Path]:
    """Every readable recording below a folder, sorted; the others are logged as left out."""
    found = recordings_below(folder)
    line = left_out_line(folder, found.left_out)
    if line:
        _LOG.warning("%s", line)
    return list(found.files)


def _from_folders(root: Path, *, divided: bool) -> Iterator[Recording]:
    """``speech/``, ``noise/``, ``rooms/``, each with or without ``train/`` and ``dev/`` below."""
    for kind in KINDS:
        base = root / kind
        has_splits = (base / "train").is_dir()
        found = []
        for path in audio_files(base) if base.is_dir() else []:
            parts = path.relative_to(base).parts
            if has_splits and parts[0] not in SPLITS:
                continue
            group = "/".join(parts[1 if has_splits else 0 : -1]) or path.stem
            found.append(Recording(path, kind, parts[0] if has_splits else "train", group))
        yield from found if has_splits or not divided else _divided(found)


def _divided(recordings: list[Recording]) -> list[Recording]:
    """One group in twenty, at least one, kept for validation; files instead if there is only one group."""
    groups = {r.group for r in recordings}
    names = [r.group if len(groups) > 1 else r.path.name for r in recordings]
    order = sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))
    dev = set(order[: max(1, len(order) // _DEV_SHARE)]) if len(order) > 1 else set()
    return [replace(r, split="dev") if name in dev else r for r, name in zip(recordings, names, strict=True)]


def _from_voicebank(root: Path, *, divided: bool) -> Iterator[Recording]:
    """``clean_trainset*`` and ``noisy_trainset*`` with equal file names: speech, and noise as their difference.

    Two speakers are kept for validation: results would not be comparable if the test set chose the best weights.
    """
    speech = []
    for folder in sorted(root.glob("clean_trainset*")):
        speech += [Recording(path, "speech", "train", path.stem.split("_")[0]) for path in audio_files(folder)]
    if {r.group for r in speech} > _VOICEBANK_DEV:
        speech = [replace(r, split="dev") if r.group in _VOICEBANK_DEV else r for r in speech]
    elif divided:  # the training set of 56 others, or a part
        speech = _divided(speech)
    for clean in speech:
        yield clean
        folder = clean.path.parent
        noisy = folder.with_name(folder.name.replace("clean_", "noisy_", 1)) / clean.path.name
        if noisy.is_file():
            yield Recording(noisy, "noise", clean.split, noisy.stem, without=clean.path)
