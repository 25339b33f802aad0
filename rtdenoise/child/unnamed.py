"""A file without a name that several processes map, freed when the last of them ends, in whatever way."""

from __future__ import annotations

import os
from pathlib import Path


class UnnamedFile:
    """An empty file in memory; where the system has none, in the temporary folder until `close`.

    Attributes
    ----------
    fd : int
        -1 after `close`.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("rtdenoise")
        else:
            import tempfile

            self.fd, name = tempfile.mkstemp(prefix="rtdenoise-live-")
            self._path = Path(name)

    @property
    def handle(self) -> str:
        """What `open_handle` takes in another process; on Linux that process must inherit `fd`."""
        return f"fd:{self.fd}" if self._path is None else str(self._path)

    def close(self) -> None:
        """Forget the file; what is mapped stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


def open_handle(handle: str) -> int:
    """A file descriptor of the file that another process describes by `UnnamedFile.handle`."""
    return int(handle[3:]) if handle.startswith("fd:") else os.open(handle, os.O_RDWR)
