"""Labelled sounds: list a collection's clips and labels, and split off a validation part."""

from __future__ import annotations

import csv
import fnmatch
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.collection import audio_files

_DEV_FOLD = 5
_DEV_EVERY = 5  # one clip in five is kept for validation if a collection defines no split
_DEV_NAMES = {"dev", "val", "valid", "validation", "test", "eval", "evaluation", "testset", "valset"}
_TRAIN_NAMES = {"train", "training", "development", "trainset"}
_FILE_COLUMNS = ("path", "filename", "file", "fname", "slice_file_name", "audio")
_LABEL_COLUMNS = ("label", "labels", "category", "class", "scene_label", "tags", "tag", "event_label")
_ESC_NAME = re.compile(r"^([1-5])-\d+-[A-Z](-\d+)?$")
_TABLES = ("manifest.csv", "meta/esc50.csv", "esc50.csv", "meta.csv", "meta.txt", "labels.csv", "train.csv")


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    Attributes
    ----------
    path : Path
    split : str
        "train", "dev", or "" if the collection does not define it.
    labels : tuple of str
    """

    path: Path
    split: str
    labels: tuple[str, ...]


def find_clips(root: Path, *, only: str = "*", exclude: Iterable[str] = ()) -> list[Clip]:
    """All labelled clips of a collection, divided into train and dev.

    Supported are ``manifest.csv`` (path, label, split), the ESC-50 layout (``meta/esc50.csv``; fold 5 is dev), any
    table of files and labels as the DCASE challenges use them (``meta.csv``, ``meta.txt``; comma, tab or semicolon;
    with or without a header), and a folder per class (ESC-10 among them: the first digit of a name is its fold),
    with or without ``train`` and ``dev`` above.  If nothing divides the clips, every fifth of each class is dev.

    Parameters
    ----------
    root : Path
        A folder, or a table itself.
    only : str
        Pattern of paths below the folder.
    exclude : iterable of str
        Labels to leave out.

    Raises
    ------
    ConfigError
        If nothing labelled is found, there is a single class, or a class is missing in either part.
    """
    if not root.exists():
        raise ConfigError(f"{root}: no such folder or table of labelled sounds")
    base = root if root.is_dir() else root.parent
    table = root if root.is_file() else next((root / t for t in _TABLES if (root / t).is_file()), None)
    found = list(_from_folders(root) if table is None else _from_table(table, base))
    unwanted = set(exclude)
    clips = [
        replace(clip, labels=tuple(name for name in clip.labels if name not in unwanted))
        for clip in found
        if fnmatch.fnmatch(clip.path.relative_to(base).as_posix(), only)
    ]
    clips = _divided([clip for clip in clips if clip.labels])
    _check(root, clips)
    return clips


def classes_of(clips: list[Clip]) -> tuple[str, ...]:
    """All labels, sorted."""
    return tuple(sorted({label for clip in clips for label in clip.labels}))


def _from_table(table: Path, base: Path) -> Iterator[Clip]:
    rows = _rows(table)
    named = {p.name: p for p in audio_files(base)} if rows else {}
    missing = 0
    for row in rows:
        places = (base, base / "audio", table.parent)
        path = next((place / row["file"] for place in places if (place / row["file"]).is_file()), None)
        path = path or named.get(Path(row["file"]).name) or named.get(row["file"] + ".wav")
        if path is None:
            missing += 1
        elif row["label"]:
            yield Clip(path, row["split"], tuple(_split_labels(row["label"])))
    if rows and missing == len(rows):
        raise ConfigError(f"{table}: none of its {missing} files is there; expected them below {base}")


def _split_labels(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;|]", text) if part.strip()]


def _rows(table: Path) -> list[dict[str, str]]:
    """File, label and split of each labelled row; a table without a header has file and label in this order."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{table}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{table}: not text in UTF-8 ({error.reason}); save it in that encoding") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{table}: an empty table")
    delimiter = max("\t,;", key=lines[0].count)
    try:
        parsed = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise ConfigError(f"{table}: not a table of separated values ({error})") from error
    head = [name.strip().lower() for name in parsed[0]]
    file_column = next((head.index(n) for n in _FILE_COLUMNS if n in head), None)
    label_column = next((head.index(n) for n in _LABEL_COLUMNS if n in head), None)
    if file_column is None and label_column is None and len(head) > 1:
        return [{"file": row[0], "label": row[1], "split": ""} for row in parsed if len(row) > 1]
    if file_column is None or label_column is None:
        what = ("a file", _FILE_COLUMNS) if file_column is None else ("labels", _LABEL_COLUMNS)
        raise ConfigError(f"{table}: no column with {what[0]}; one of {', '.join(what[1])} is needed")
    split_column = next((head.index(n) for n in ("split", "subset", "fold") if n in head), None)
    found = []
    for row in parsed[1:]:
        if len(row) > max(file_column, label_column):
            split = row[split_column] if split_column is not None and split_column < len(row) else ""
            found.append({"file": row[file_column], "label": row[label_column], "split": _split_named(split)})
    return found


def _split_named(text: str) -> str:
    name = text.strip().lower()
    if name.isdigit():
        return "dev" if int(name) == _DEV_FOLD else "train"
    return "dev" if name in _DEV_NAMES else "train" if name in _TRAIN_NAMES else ""


def _from_folders(root: Path) -> Iterator[Clip]:
    """A folder per class; a folder directly below the root may name the part instead."""
    for path in audio_files(root):
        *folders, name = path.relative_to(root).parts
        split = _split_named(folders[0]) if folders and not folders[0].isdigit() else ""
        folders = folders[1:] if split else folders
        if not folders:
            continue
        fold = _ESC_NAME.match(Path(name).stem)
        yield Clip(path, split or (_split_named(fold[1]) if fold else ""), (re.sub(r"^\d+ - ", "", folders[-1]),))


def _divided(clips: list[Clip]) -> list[Clip]:
    """Divide clips without a split: if nothing is dev, every fifth of a class is, otherwise all are train."""
    if any(clip.split == "dev" for clip in clips):
        return [replace(clip, split=clip.split or "train") for clip in clips]
    seen: Counter[tuple[str, ...]] = Counter()
    divided = []
    for clip in sorted(clips, key=lambda c: str(c.path)):
        seen[clip.labels] += 1
        divided.append(replace(clip, split="dev" if seen[clip.labels] % _DEV_EVERY == 0 else "train"))
    return divided


def _check(root: Path, clips: list[Clip]) -> None:
    """Reject clips that no classifier can be trained or evaluated with."""
    if not clips:
        raise ConfigError(
            f"{root}: no labelled sounds; expected a folder per class, or a table ({', '.join(_TABLES[:5])}) "
            "with columns for file and label"
        )
    parts: dict[str, dict[str, int]] = {split: defaultdict(int) for split in ("train", "dev")}
    for clip in clips:
        for label in clip.labels:
            parts[clip.split][label] += 1
    names = sorted(parts["train"].keys() | parts["dev"].keys())
    if len(names) < 2:
        raise ConfigError(f"{root}: a single class, {names[0]!r}: nothing to tell apart")
    for name in names:
        for split, other in (("train", "dev"), ("dev", "train")):
            if name not in parts[split]:
                raise ConfigError(
                    f"{root}: class {name!r} has {parts[other][name]} clips in {other} and none in {split}; "
                    f"add some, or leave the class out (exclude: [{name}])"
                )


def summary(clips: list[Clip]) -> dict[str, Any]:
    """Clips of each part, and the number of classes."""
    count = Counter(clip.split for clip in clips)
    return {"train": count["train"], "dev": count["dev"], "classes": len(classes_of(clips))}
