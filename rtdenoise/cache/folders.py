"""Location of the cache: the user's choice, else the system's cache folder, else a private temporary one."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

VARIABLE = "RTDENOISE_CACHE_DIR"
"""Environment variable that sets the cache folder."""

SHIPPED_USER = "made-by"
"""File in the folder of compiled code that ships with the package: who made it."""

_NUMBA_VARIABLE = "NUMBA_CACHE_DIR"
_PRIVATE = 0o700


def named() -> tuple[str, Path] | None:
    """Return the variable that sets the folder, and the folder; None to use the system's cache folder."""
    for variable, inside in ((VARIABLE, ""), (_NUMBA_VARIABLE, "rtdenoise")):
        value = os.environ.get(variable)
        if value:
            return variable, Path(value).absolute() / inside
    return None


def chosen() -> Path | None:
    """Return the preferred folder, usable or not; None if there is no home folder."""
    by_user = named()
    if by_user is not None:
        return by_user[1]
    with suppress(OSError, RuntimeError, KeyError):  # the user has no home, or is unknown to the system
        from platformdirs import user_cache_path

        path = user_cache_path("rtdenoise", appauthor=False)
        if path.is_absolute():  # without a home, "~" is not expanded
            return path
    return None


def shipped() -> Path:
    """Return the folder of compiled code that came with the package; it exists only if the installer made some."""
    return Path(__file__).resolve().parent.parent / "compiled"


@lru_cache(maxsize=1)
def shipped_user() -> str:
    """Return the user who made what is in `shipped`, as the names of its entries have it; empty if there is none."""
    try:
        return (shipped() / SHIPPED_USER).read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def temporary_root() -> Path | None:
    """Return the user's folder in the system's temporary folder; None if there is none."""
    try:
        return Path(tempfile.gettempdir()) / f"rtdenoise-{trusted_users()[0]}"
    except OSError:
        return None


def temporary() -> Path | None:
    """Return the fallback folder; each preferred folder has a separate one, so that a new folder starts empty."""
    root = temporary_root()
    return None if root is None else root / hashlib.sha256(str(chosen()).encode()).hexdigest()[:12]


def all_temporary() -> list[Path]:
    """Return all fallback folders of this user."""
    root = temporary_root()
    return [] if root is None or not is_private(root) else [path for path in root.iterdir() if path.is_dir()]


def made(folder: Path) -> bool:
    """Create a cache folder if it is missing; return whether it exists and may be used.

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
    """Whether this is a real folder, not a link, owned by this user and inaccessible to others."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    if not hasattr(os, "geteuid"):  # Windows: the temporary folder is per user
        return stat.S_ISDIR(status.st_mode)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def may_be_changed_by_others(status: os.stat_result) -> bool:
    """Whether the file is owned by a user other than this one and root, or is writable by others."""
    if not hasattr(os, "geteuid"):
        return False
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & 0o022)


def others_may_write(folder: Path) -> bool:
    """Whether others can add files to a folder or remove them."""
    try:
        return may_be_changed_by_others(folder.stat())
    except OSError:
        return False


def trusted_users() -> tuple[str, ...]:
    """Return the users whose entries are trusted: this one, then root; Windows separates users itself."""
    if not hasattr(os, "geteuid"):
        return ("user",)
    return tuple(dict.fromkeys((str(os.geteuid()), "0")))
