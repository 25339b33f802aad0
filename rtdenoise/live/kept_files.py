"""Results worth keeping between runs, as files in the user's cache folder; losing them costs time, nothing else."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_FILES_MAX = 60  # the newest are kept; one is some 200 kB
_SUFFIX = ".kept"


def folder() -> Path:
    """Where they are: beside numba's own if ``NUMBA_CACHE_DIR`` is set, else where this system keeps caches."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return Path(chosen) / "rtdenoise-live"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rtdenoise"


def _path(key: str) -> Path:
    return folder() / (hashlib.sha256(key.encode()).hexdigest()[:40] + _SUFFIX)


def keep(key: str, value: Any) -> bool:
    """Write `value` under `key`, whole or not at all; False if this disk cannot take it."""
    path = _path(key)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                pickle.dump(value, file)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _tidy(path.parent)
        return True
    return False


def find(key: str, kind: type[T]) -> T | None:
    """What was kept under `key`, or None; only files of this very user are believed."""
    path = _path(key)
    try:
        with path.open("rb") as file:
            if hasattr(os, "geteuid") and os.fstat(file.fileno()).st_uid not in (0, os.geteuid()):
                return None
            value = pickle.load(file)
    except Exception:  # noqa: BLE001 - a damaged file can raise anything, and means only that it must be made again
        return None
    return value if isinstance(value, kind) else None


def _tidy(parent: Path) -> None:
    """Forget the oldest."""
    files = sorted(parent.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in files[_FILES_MAX:]:
        path.unlink(missing_ok=True)
