"""Digest of all sources of compiled code: any change invalidates the cache."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_NEVER_COMPILED = ("batch", "child", "cli", "demo", "evaluate", "files", "integrations", "lab", "panel", "sound")
"""Folders that no compiled code imports from; a new folder counts as compiled until it is listed here."""

_COMPILERS = ("numba", "llvmlite", "numpy", "rocket-fft")


@lru_cache(maxsize=1)
def stamp() -> str:
    """Return a digest of this package's sources and of the versions of the compilers.

    All sources count, because compiled code includes functions and constants from other modules.  Contents count
    rather than times, because installers and image builders set arbitrary times.
    """
    interpreter = f"{sys.implementation.cache_tag} {getattr(sys, 'abiflags', '')}"  # its patch releases fit each other
    versions = [interpreter, *(f"{name} {_version(name)}" for name in _COMPILERS)]
    digest = hashlib.sha256("\n".join(versions).encode())
    paths = stamped_files()
    for path in paths:
        digest.update(f"\n{path.as_posix()[len(_PACKAGE.as_posix()) + 1 :]}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    if not paths:  # the package is in an archive or frozen program: digest that instead
        digest.update(content_of(next((path for path in _PACKAGE.parents if path.is_file()), Path(sys.executable))))
    return digest.hexdigest()


def stamped_files() -> list[Path]:
    """Return the sources of this package that may contribute to compiled code."""
    paths = []
    for place, folders, names in os.walk(_PACKAGE):  # at every start, and pathlib takes three times as long
        if place == str(_PACKAGE):
            folders[:] = [name for name in folders if name not in _NEVER_COMPILED]
        paths += [os.path.join(place, name) for name in names if name.endswith(".py")]  # noqa: PTH118
    return [Path(path) for path in sorted(paths)]


@lru_cache(maxsize=64)
def content_of(path: Path) -> bytes:
    """Return a digest of one file's content."""
    return hashlib.sha256(path.read_bytes()).digest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # missing in frozen programs
        return str(import_module(name.replace("-", "_")).__version__)
