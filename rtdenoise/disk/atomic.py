"""Atomic file writes through a hidden temporary file, and cleanup of those left behind by killed processes."""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import platform
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from rtdenoise.disk.names import is_folder, is_there
from rtdenoise.errors import AudioFileError

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed: no lock is needed
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".rtdenoise-", ".part"
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_OURS = f"{_PREFIX}{_HOST}."
_FOREIGN_SECONDS = 86_400.0  # other machines' locks on a shared disk may be invisible: keep their files this long
_TRIES = 100
_living: set[Path] = set()
_swept: set[Path] = set()
_REMEDIES = {
    errno.ENOSPC: "; free some space, or name another disk",
    errno.EDQUOT: "; free some space, or name another disk",
    errno.EROFS: "; name another place",
    errno.EACCES: "; name another place, or change its permissions",
    errno.EPERM: "; name another place, or change its permissions",
    errno.ENAMETOOLONG: "; give it a shorter one",
    errno.ELOOP: "; the link leads in a circle: name another file",
}


def require_free(path: Path, *, overwrite: bool) -> None:
    """Raise unless the name is unused or belongs to a file that may be overwritten.

    Raises
    ------
    AudioFileError
    """
    final = Path(os.path.realpath(path))
    try:
        mode = final.stat().st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise AudioFileError(f"{path}: cannot be written: {path.parent} is not a folder") from error
    except OSError as error:
        raise AudioFileError(f"{path}: cannot be written: {why_not(error, path)}") from error
    if stat.S_ISDIR(mode):
        raise AudioFileError(f"{path}: is a folder; name a file")
    if not stat.S_ISREG(mode):
        raise AudioFileError(f"{path}: is not a regular file and cannot be replaced")
    if not overwrite:
        raise AudioFileError(f"{path}: exists already; name another, or replace it (--overwrite, overwrite=True)")


def require_folder(folder: Path) -> None:
    """Raise, before any work, unless this is a writable folder or one that can be created.

    Raises
    ------
    AudioFileError
    """
    there = next(path for path in (folder, *folder.absolute().parents) if is_there(path))
    if not is_folder(there):
        raise AudioFileError(f"{there}: is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise AudioFileError(f"{folder}: cannot be written: permission denied{_REMEDIES[errno.EACCES]}")


def make_folder(folder: Path) -> list[Path]:
    """Create a folder and its parents.

    Returns
    -------
    list of Path
        The folders that were created, deepest first; see `remove_empty`.

    Raises
    ------
    AudioFileError
        If it cannot be created.
    """
    absent = [path for path in (folder, *folder.parents) if not is_there(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"{folder}: cannot be made: {error.strerror}") from error
    return absent


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those folders that are empty, after the files they were created for failed."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # not empty
            return


def why_not(error: OSError, path: Path) -> str:
    """Return why a file cannot be written, with the remedy."""
    if isinstance(error, FileNotFoundError):
        return f"no folder {Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent}"
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:] + _REMEDIES.get(error.errno or 0, "")


class PartFile:
    """A hidden file next to `path` that replaces it on `commit` and is removed on `discard`.

    It is also removed when this process ends, unless the process is killed; the next `PartFile` in the same folder
    removes files left by killed processes.  A lock released when its process ends marks files still being written.

    Parameters
    ----------
    path : Path
        A link is followed: its target is replaced.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    AudioFileError
        If `path` cannot be written or already exists.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self._final = Path(os.path.realpath(path))
        self._overwrite = overwrite
        require_free(self.path, overwrite=self._overwrite)
        remove_abandoned(self._final.parent)
        try:
            self.part, self.file = _claim(self._final.parent)
        except OSError as error:
            raise AudioFileError(f"{path}: cannot be written: {why_not(error, path)}") from error

    def commit(self) -> None:
        """Close the file and rename it to `path`."""
        lock = os.dup(self.file.fileno()) if fcntl is not None else None
        try:
            self.file.close()
            require_free(self.path, overwrite=self._overwrite)
            if self._final.exists():
                shutil.copymode(self._final, self.part)
            self.part.replace(self._final)
            _living.discard(self.part)
        except OSError as error:
            self.discard()
            if isinstance(error, AudioFileError):
                raise
            raise AudioFileError(f"{self.path}: cannot be written: {why_not(error, self._final)}") from error
        finally:
            if lock is not None:
                os.close(lock)

    def end(self, finish: Callable[[], object], abandon: Callable[[], object], *, failed: bool) -> None:
        """Finish and commit, or abandon if the writer, or `finish` itself, failed."""
        if failed:
            abandon()
            return
        try:
            finish()
        except BaseException:
            abandon()
            raise
        self.commit()

    def discard(self) -> None:
        """Close and remove the file."""
        with suppress(OSError):  # the disk is full or gone, which the caller already reports
            self.file.close()
        with suppress(OSError):
            self.part.unlink(missing_ok=True)
        _living.discard(self.part)


@contextmanager
def written(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `path` when the context exits, and is removed if it exits with an error.

    Raises
    ------
    AudioFileError
        If it cannot be written.
    """
    part = PartFile(path, overwrite=overwrite)
    try:
        yield part.file
    except BaseException as error:
        part.discard()
        if isinstance(error, OSError) and not isinstance(error, AudioFileError):
            raise AudioFileError(f"{path}: cannot be written: {why_not(error, path)}") from error
        raise
    part.commit()


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text atomically, replacing any existing file.

    Raises
    ------
    AudioFileError
        If it cannot be written.
    """
    write_bytes(path, content.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write bytes atomically, replacing any existing file.

    Raises
    ------
    AudioFileError
        If it cannot be written.
    """
    with written(path) as file:
        data = memoryview(content)
        while data:
            data = data[file.write(data) :]


def remove_abandoned(folder: Path) -> None:
    """Remove files left in this folder by killed processes; checked once per process."""
    if folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        found = [Path(e.path) for e in entries if e.name.startswith(_PREFIX) and e.name.endswith(_SUFFIX)]
        for path in found:
            if path not in _living:
                with suppress(OSError):
                    _remove_if_abandoned(path)


def remove_living() -> None:
    """Remove the unfinished files of this process, which is about to exit."""
    for part in tuple(_living):
        with suppress(OSError):
            part.unlink(missing_ok=True)


atexit.register(remove_living)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_living.clear)  # they belong to the parent


def _claim(folder: Path) -> tuple[Path, Any]:
    for _ in range(_TRIES):
        part = folder / f"{_OURS}{secrets.token_hex(6)}{_SUFFIX}"
        _living.add(part)  # before it exists: a signal may arrive at any time
        try:
            file = part.open("x+b", buffering=0)
        except BaseException:
            _living.discard(part)
            raise
        if _locked(file.fileno()) and _has_name(file.fileno(), part):
            return part, file
        file.close()  # another process took it for abandoned before it was locked
        part.unlink(missing_ok=True)
        _living.discard(part)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _locked(descriptor: int) -> bool:
    """Lock the file; return False only if another process holds the lock, True where locks are unsupported."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _has_name(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove_if_abandoned(path: Path) -> None:
    if not path.name.startswith(_OURS) and time.time() - path.lstat().st_mtime < _FOREIGN_SECONDS:
        return
    if fcntl is None:
        path.unlink()
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if a writer is alive or locks are unsupported
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _has_name(descriptor, path):
            path.unlink()
    finally:
        os.close(descriptor)
