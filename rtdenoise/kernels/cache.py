"""Compiled code on disk, shared by processes that start at the same time and dropped when any of our sources change."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache, IndexDataCacheFile

_log = logging.getLogger(__name__)
_LOCK_TIMEOUT_SECONDS = 10.0


def name_apart() -> None:
    """Let no two processes give compiled code the same name.

    numba names it by two numbers, one for the function and one for each record type, and every process counts both
    from the start.  So code kept by one process for one record can have the name of code kept by another for another
    record; in a process that loads both, the first is called in place of the second (numba's issue 10486): a stream
    then reads the state of another layout, and its audio is wrong without an error.  Random numbers do not meet.
    """
    FunctionIdentity._unique_ids = iter(lambda: secrets.randbits(64), None)


@lru_cache(maxsize=1)
def sources_stamp() -> str:
    """A digest of names, sizes and times of this package's sources and of the versions that compile them.

    numba looks only at the file a function stands in; ours call functions of other files, whose old code would live on
    inside the cached caller.
    """
    import llvmlite
    import rocket_fft

    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(f"{llvmlite.__version__} {rocket_fft.__version__}".encode())
    for folder in ("kernels", "spectral", "can/compiled", "live", "bench"):
        for path in sorted((package / folder).glob("*.py")):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


class SharedCache(FunctionCache):  # type: ignore[misc]  # numba has no type hints
    """numba's cache with a lock between processes.

    Two processes that compile at the same moment give two results the same file name, and the index of one then points
    at the code of the other: seen here as a wild write.  The lock makes index and data one step.
    """

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path, filename_base=self._impl.filename_base, source_stamp=sources_stamp()
        )

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        if not Path(self._cache_path).is_dir():
            return None
        with self._locked():
            return super()._load_overload(sig, target_context)

    def _save_overload(self, sig: Any, data: Any) -> None:
        try:
            self._impl.locator.ensure_cache_path()
            with self._locked():
                super()._save_overload(sig, data)
        except OSError as error:  # a full or read-only disk: compiled code still runs, only not from disk next time
            _log.debug("compiled code was not kept: %s", error)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with FileLock(Path(self._cache_path) / "rtdenoise.lock", timeout=_LOCK_TIMEOUT_SECONDS):
            yield
