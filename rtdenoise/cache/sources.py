"""One digest of everything that compiled code is made of: change any of it and old code is not used again."""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_NEVER_COMPILED = ("batch", "child", "cli", "demo", "evaluate", "files", "lab", "sound")
"""Folders that no compiled code imports from; a new folder counts as compiled until it is named here."""

_COMPILERS = ("numba", "llvmlite", "numpy", "rocket-fft")


@lru_cache(maxsize=1)
def stamp() -> str:
    """A digest of the content of this package's sources and of the versions that compile them.

    Of all sources, because compiled code holds the code of functions and the values of constants from other modules
    than its own.  Of their content, because installers and image builders set times as they like.
    """
    versions = [sys.version, *(f"{name} {_version(name)}" for name in _COMPILERS)]
    digest = hashlib.sha256("\n".join(versions).encode())
    paths = stamped_files()
    for path in paths:
        digest.update(f"\n{path.relative_to(_PACKAGE).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    if not paths:  # the package lies in an archive or a frozen program, which then is what changes
        digest.update(content_of(next((path for path in _PACKAGE.parents if path.is_file()), Path(sys.executable))))
    return digest.hexdigest()


def stamped_files() -> list[Path]:
    """The sources of this package that compiled code may be made of."""
    apart = tuple(_PACKAGE / name for name in _NEVER_COMPILED)
    return sorted(path for path in _PACKAGE.rglob("*.py") if not any(folder in path.parents for folder in apart))


@lru_cache(maxsize=64)
def content_of(path: Path) -> bytes:
    """A digest of one file's content."""
    return hashlib.sha256(path.read_bytes()).digest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # frozen programs leave it out
        return str(import_module(name.replace("-", "_")).__version__)
