"""Cache entries, one file each: return the content stored under a key if it is intact and from a trusted user.

There is no index and no lock.  An entry is written under a unique temporary name and then renamed, so other processes
never see a partial one; a digest over key and content detects any damage.  Any failure is a miss: the caller makes the
content again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rtdenoise.cache import folders

_log = logging.getLogger(__name__)

_MAGIC = b"rtdenoise cache 1\n"
_ENTRY, _UNFINISHED = re.compile(r"[0-9a-f]{40}\.kept"), re.compile(r"[0-9a-f]{20}\.new")
_DIGEST_BYTES = 32
_ENTRY_BYTES_MAX = 256 << 20
_TOTAL_BYTES_MAX = 512 << 20
_UNUSED_DAYS_MAX = 60.0
_UNFINISHED_DAYS_MAX = 0.1
_DAY_SECONDS = 86400.0
_TIDY_EVERY = 100  # entries written by one process


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Contents of a cache folder."""

    n_entries: int
    n_bytes: int


class _ThisProcess:
    """State of this process: messages logged (each once), counts of entries, and whether shipped ones are copied."""

    def __init__(self) -> None:
        self.said: set[str] = set()
        self.n_written = self.n_missed = 0
        self.gathers = False

    def warn(self, text: str) -> None:
        """Log `text` once, and only in the parent process."""
        processes = sys.modules.get("multiprocessing.process")  # in every process that it has started
        if text not in self.said and (processes is None or processes.parent_process() is None):
            self.said.add(text)
            _log.warning("%s", text)


_this = _ThisProcess()


def find(*keys: str) -> bytes | None:
    """Return the content under the first of `keys` that has any; None if missing, damaged or modifiable by others."""
    for key in keys:
        for folder in _places():
            for user in folders.trusted_users():
                content = _read(folder / _name(key, user), key)
                if content is not None:
                    return content
        content = _read(folders.shipped() / _name(key, folders.shipped_user()), key)
        if content is not None:
            if _this.gathers:
                keep(key, content)
            return content
    _this.n_missed += 1
    return None


def gather() -> None:
    """From now on copy what is found among the shipped code into the cache, to make a folder that has everything."""
    _this.gathers = True


def missed() -> bool:
    """Whether any lookup of this process missed, so that it has to make the content."""
    return _this.n_missed > 0


def keep(key: str, content: bytes) -> bool:
    """Store `content` under `key`, atomically; False, with one warning per process, if no folder is writable."""
    place = next((folder for folder in _places() if _write(folder, key, content)), None)
    if place is None:
        _this.warn(not_kept())
        return False
    by_user = folders.named()
    if by_user is not None and place != by_user[1]:
        _this.warn(f"{by_user[0]}: cannot write to {by_user[1]}; compiled code is kept in {place} instead")
    if _this.n_written % _TIDY_EVERY == 0:
        tidy(place)
    _this.n_written += 1
    return True


def writable() -> Path | None:
    """Return the folder for new entries, found by writing a probe; None if none is writable."""
    for folder in _places():
        if _write(folder, "probe", b""):
            _remove(folder / _name("probe", folders.trusted_users()[0]))
            return folder
    return None


def not_kept() -> str:
    """Return the warning that nothing can be cached, with the remedy."""
    first = folders.chosen()
    where = f"{first} cannot be written" if first is not None else "there is no home folder"
    return (
        f"compiled code cannot be kept ({where}), so every start compiles again; "
        f"set {folders.VARIABLE} to a folder that you can write"
    )


def usage(folder: Path) -> Usage:
    """Return the number of entries in a folder and their total size."""
    sizes = [status.st_size for _, status in _files(folder, _ENTRY)]
    return Usage(n_entries=len(sizes), n_bytes=sum(sizes))


def tidy(folder: Path) -> None:
    """Remove entries unused for too long, then the least recently used until the rest is small enough.

    Safe while other processes run: an entry that vanishes is a miss.
    """
    together = folders.all_temporary() if folder == folders.temporary() else [folder]
    now = time.time()
    for path, status in (found for each in together for found in _files(each, _UNFINISHED)):
        if now - _used_at(status) > _UNFINISHED_DAYS_MAX * _DAY_SECONDS:  # left by a killed process
            _remove(path)
    total = 0
    kept = [found for each in together for found in _files(each, _ENTRY)]
    for path, status in sorted(kept, key=lambda found: -_used_at(found[1])):
        total += status.st_size
        if total > _TOTAL_BYTES_MAX or now - _used_at(status) > _UNUSED_DAYS_MAX * _DAY_SECONDS:
            _remove(path)


def _places() -> Iterator[Path]:
    first, second = folders.chosen(), folders.temporary()
    if first is not None:
        yield first
    if second is not None:
        yield second


def _name(key: str, user: str) -> str:
    """Return an entry's file name; it includes the user, so that users sharing a folder have separate entries."""
    return hashlib.sha256(f"{user} {key}".encode()).hexdigest()[:40] + ".kept"


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(key.encode()).digest() + content).digest()


def _read(path: Path, key: str) -> bytes | None:
    if path.parent == folders.temporary() and not folders.is_private(path.parent.parent):
        return None
    try:
        # opening something other than a regular file (a pipe, a device) must not block
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _ENTRY_BYTES_MAX:
                return None
            # whoever can change what ships with the package can change its sources, too
            if path.parent != folders.shipped() and folders.may_be_changed_by_others(status):
                _this.warn(
                    f"compiled code in {path.parent} belongs to another user, or others can change it, and is not "
                    f"used; set {folders.VARIABLE} to a folder of your own"
                )
                return None
            data = file.read()
    except (OSError, MemoryError):
        return None
    start = len(_MAGIC) + _DIGEST_BYTES
    content = data[start:]
    if data[:start] != _MAGIC + _digest(key, content):
        return None
    if path.parent != folders.shipped():
        _mark_used(path, status)
    return content


def _write(folder: Path, key: str, content: bytes) -> bool:
    if not folders.made(folder):
        return False
    unfinished = folder / f"{secrets.token_hex(10)}.new"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(unfinished, flags, 0o644), "wb") as file:
            if folders.may_be_changed_by_others(os.fstat(file.fileno())):  # file systems without owners
                raise PermissionError(f"{folder} gives files to others")
            file.write(_MAGIC + _digest(key, content) + content)
        unfinished.replace(folder / _name(key, folders.trusted_users()[0]))
    except OSError as error:
        _log.debug("not kept in %s: %s", folder, error)
        _remove(unfinished)
        return False
    return True


def _used_at(status: os.stat_result) -> float:
    """Return when an entry was last used, in seconds; a copied folder may carry any mtime, so ctime counts too."""
    return max(status.st_mtime, status.st_ctime)


def _mark_used(path: Path, status: os.stat_result) -> None:
    """Record the use for `tidy`, at most once a day; failures are ignored, as a read-only folder is never tidied."""
    if time.time() - _used_at(status) > _DAY_SECONDS:
        with suppress(OSError):
            os.utime(path)


def _files(folder: Path, name: re.Pattern[str]) -> list[tuple[Path, os.stat_result]]:
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            if name.fullmatch(path.name):
                with suppress(OSError):
                    found.append((path, path.lstat()))
    return found


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
