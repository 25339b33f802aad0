"""Where the output goes if nobody says, and which places are refused."""

from __future__ import annotations

import os
from pathlib import Path

from rtdenoise.errors import AudioFileError
from rtdenoise.files.suffixes import result_name

DENOISED = "_denoised"
"""What the names of our own outputs end with."""


def beside(source: Path, label: str) -> Path:
    """``noisy.wav`` and "WF" give ``noisy_WF_denoised.wav`` in the same folder; a folder likewise."""
    if source.is_dir():
        source = source.resolve()  # "." and "folder/.." have names too
        if not source.name:
            raise AudioFileError(f"{source}: name a folder for the output with --output")
        return source.with_name(f"{source.name}_{label}{DENOISED}")
    return source.with_name(result_name(source, f"_{label}{DENOISED}"))


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise unless the name is free, or belongs to a file that may be overwritten.

    Raises
    ------
    AudioFileError
    """
    final = Path(os.path.realpath(path))
    if not final.exists():
        return
    if final.is_dir():
        raise AudioFileError(f"{path}: is a folder; name a file")
    if not final.is_file():
        raise AudioFileError(f"{path}: is not a regular file and cannot be replaced")
    if not overwrite:
        raise AudioFileError(f"{path}: exists already; --overwrite replaces it, --output names another")


def require_different(source: Path, target: Path) -> None:
    """Raise if both are one file, by whatever name, link or spelling.

    Raises
    ------
    AudioFileError
    """
    same_name = os.path.realpath(source) == os.path.realpath(target)
    if same_name or (source.exists() and target.exists() and source.samefile(target)):
        raise AudioFileError(f"{target}: input and output are the same; --output names another place")
