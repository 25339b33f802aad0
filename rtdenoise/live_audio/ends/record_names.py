"""Where a recording's pair of files goes: a folder that can be written, and the next names that are free."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rtdenoise.disk.atomic import make_folder, remove_empty
from rtdenoise.errors import AudioFileError


def require_writable(folder: Path) -> list[Path]:
    """Make the folder, if there is none.

    Returns
    -------
    list of Path
        The folders that were made, the deepest first.

    Raises
    ------
    AudioFileError
        If it cannot be made or written.
    """
    made = make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remove_empty(made)
        raise AudioFileError(
            f"{folder}: no recording can be written there: {error.strerror}; give --record another folder"
        ) from error
    return made


def names_of(stem: str, method: str) -> tuple[str, str]:
    """Of the noisy and the enhanced file."""
    return f"{stem}-noisy.wav", f"{stem}-{method}.wav"


def place(pair: list[Path], folder: Path, stem: str, method: str) -> list[Path]:
    """Move noisy and enhanced file, or the one that there is, to the next names that are free.

    Returns
    -------
    list of Path
        Where they are now.

    Raises
    ------
    AudioFileError
        If they cannot be moved; they are left where they are.
    """
    roles = names_of(stem, method)
    for number in range(1000):
        names = dict(zip(roles, names_of(f"{stem}-{number}" if number else stem, method), strict=True))
        if any((folder / name).exists() for name in names.values()):
            continue
        moves = [(path, folder / names[path.name]) for path in pair]
        try:
            if _moved(moves):
                return [target for _, target in moves]
        except OSError as error:
            raise AudioFileError(f"{pair[0].parent}: the recording is kept there: {error.strerror}") from error
    raise AudioFileError(f"{pair[0].parent}: the recording is kept there: {folder} has a thousand of this second")


def _moved(moves: list[tuple[Path, Path]]) -> bool:
    """Give all files their new names, or none of them if one is taken."""
    done: list[tuple[Path, Path]] = []
    for source, target in moves:
        try:
            _move_to_new(source, target)
        except FileExistsError:
            for before, after in done:
                after.rename(before)
            return False
        done.append((source, target))
    return True


def _move_to_new(source: Path, target: Path) -> None:
    """Rename, but never onto a file that is there already."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, which can only look first
        if target.exists():
            raise FileExistsError(target) from None
        source.rename(target)
        return
    source.unlink()
