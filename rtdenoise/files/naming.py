"""Default output names, and checks for invalid targets."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from rtdenoise.disk.atomic import require_free
from rtdenoise.disk.names import is_folder, is_there
from rtdenoise.errors import AudioFileError
from rtdenoise.sound.suffixes import result_name

__all__ = ["DENOISED", "beside", "require_different", "require_free", "target_for"]

DENOISED = "_denoised"
"""Suffix of the default output names."""

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?P<rest>.*)", re.DOTALL)
_WEB = ("http", "https", "ftp")
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def beside(source: Path, label: str) -> Path:
    """``noisy.wav`` and "WF" give ``noisy_WF_denoised.wav`` in the same folder; a folder likewise."""
    if source.is_dir():
        source = source.resolve()  # "." and "folder/.." have names too
        if not source.name:
            raise AudioFileError(f"{source}: has no name to make another of; name a folder for the output")
        return source.with_name(f"{source.name}_{label}{DENOISED}")
    return source.with_name(result_name(source, f"_{label}{DENOISED}"))


def target_for(source: Path, target: str | None, label: str) -> Path:
    """Return the output path: the given file, or the default name in the given folder or next to the source.

    Without a known suffix in the source, the content decides the suffix.

    Raises
    ------
    AudioFileError
        If the folder does not exist.
    """
    folder = target is not None and is_folder(target)
    if target is not None and not folder:
        if target.endswith(_SEPARATORS):
            raise AudioFileError(f"{target}: there is no such folder; make it first")
        return Path(target)
    path = beside(source, label)
    return Path(target) / path.name if target is not None else path


def refuse_address(name: str | Path) -> None:
    """Raise if this is a URL rather than a file name; the message gives the remedy.

    Raises
    ------
    AudioFileError
    """
    found = _ADDRESS.fullmatch(str(name))
    if found is None or is_there(name):
        return
    scheme, rest = found["scheme"].lower(), found["rest"]
    address = f"{scheme}://{rest}"  # a Path has one slash
    if scheme == "file":
        raise AudioFileError(f"{address}: give the path alone: /{rest.lstrip('/')}")
    if scheme in _WEB:
        file, quoted = rest.partition("?")[0].rpartition("/")[2] or "noisy.wav", shlex.quote(address)
        raise AudioFileError(
            f"{address}: is an address, not a file; fetch it first: curl -L -o {shlex.quote(file)} {quoted}; "
            f"or pipe it: curl -L {quoted} | rtdenoise --input - --output clean.wav"
        )
    if "://" in str(name):
        raise AudioFileError(f"{address}: is an address, not a file; `rtdenoise batch` reads and writes folders there")


def require_different(source: Path, target: Path) -> None:
    """Raise if both paths are the same file, by any name, link or spelling.

    Raises
    ------
    AudioFileError
    """
    same_name = os.path.realpath(source) == os.path.realpath(target)
    if same_name or (is_there(source) and is_there(target) and source.samefile(target)):
        raise AudioFileError(f"{target}: input and output are the same; name another output")
