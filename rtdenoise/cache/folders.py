"""Where the cache lies: the folder the user names, else the system's place for caches, else a private temporary one."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

VARIABLE = "RTDENOISE_CACHE_DIR"
"""Environment variable that names the folder."""

_NUMBA_VARIABLE = "NUMBA_CACHE_DIR"
_PRIVATE = 0o700


def named() -> tuple[str, Path] | None:
    """The variable by which the user chose a folder, and that folder; None if the system's place is to be used."""
    for variable, inside in ((VARIABLE, ""), (_NUMBA_VARIABLE, "rtdenoise")):
        value = os.environ.get(variable)
        if value:
            return variable, Path(value).absolute() / inside
    return None


def chosen() -> Path | None:
    """The first choice, whether or not it can be used; None if there is no home to have a cache in."""
    by_user = named()
    if by_user is not None:
        return by_user[1]
    with suppress(OSError, RuntimeError, KeyError):  # a user without a home, or whom the system does not know
        from platformdirs import user_cache_path

        path = user_cache_path("rtdenoise", appauthor=False)
        if path.is_absolute():  # without a home "~" stays as it is
            return path
    return None


def temporary_root() -> Path | None:
    """The user's folder in the system's temporary one; None if the system has none."""
    try:
        return Path(tempfile.gettempdir()) / f"rtdenoise-{trusted_users()[0]}"
    except OSError:
        return None


def temporary() -> Path | None:
    """The second choice; each first choice has its own, so that a new folder starts empty."""
    root = temporary_root()
    return None if root is None else root / hashlib.sha256(str(chosen()).encode()).hexdigest()[:12]


def all_temporary() -> list[Path]:
    """Every second choice that this user has had."""
    root = temporary_root()
    return [] if root is None or not is_private(root) else [path for path in root.iterdir() if path.is_dir()]


def made(folder: Path) -> bool:
    """Make a folder of the cache if it is missing; whether it is there and may be used.

    A temporary folder is used only if it belongs to this user and nobody else can enter it: its name can be guessed.
    """
    private = temporary()
    with suppress(OSError):
        if folder == private:
            folder.parent.mkdir(_PRIVATE, exist_ok=True)
            if not is_private(folder.parent):
                return False
            folder.mkdir(_PRIVATE, exist_ok=True)
        else:
            folder.mkdir(0o755, parents=True, exist_ok=True)
        return folder.is_dir()
    return False


def is_private(folder: Path) -> bool:
    """Whether a folder is a real one, of this user, closed to all others."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "geteuid"):  # Windows: the temporary folder is the user's own
        return stat.S_ISDIR(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def may_be_changed_by_others(status: os.stat_result) -> bool:
    """Whether what has this status belongs to another user than this one and root, or can be written by one."""
    if not hasattr(os, "geteuid"):
        return False
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & 0o022)


def others_may_write(folder: Path) -> bool:
    """Whether others can put files into a folder, or take them away."""
    try:
        return may_be_changed_by_others(folder.stat())
    except OSError:
        return False


def trusted_users() -> tuple[str, ...]:
    """Names of the users whose entries are believed: this one, then root; Windows keeps users apart by itself."""
    if not hasattr(os, "geteuid"):
        return ("user",)
    return tuple(dict.fromkeys((str(os.geteuid()), "0")))
