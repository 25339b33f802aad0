"""Spool a container from a pipe to a temporary file: most cannot be decoded without seeking."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtdenoise.errors import AudioFileError
from rtdenoise.files.stdio import Stdin

_READ_BYTES = 1 << 18


@contextmanager
def spooled(stdin: Stdin, *, interrupt_ends: bool) -> Iterator[Path]:
    """Store all of standard input in a temporary file, removed afterwards.

    Parameters
    ----------
    stdin : Stdin
    interrupt_ends : bool
        Treat Ctrl-C as the end of the input.

    Raises
    ------
    AudioFileError
        If there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="rtdenoise-") as folder:
        path = Path(folder) / "input"
        try:
            with path.open("wb") as file:
                while data := _read(stdin, interrupt_ends=interrupt_ends):
                    file.write(data)
        except OSError as error:
            if isinstance(error, AudioFileError):
                raise
            raise AudioFileError(
                f"standard input: cannot be kept in {tempfile.gettempdir()} while it is decoded: {error.strerror}; "
                "TMPDIR names another place"
            ) from error
        yield path


def _read(stdin: Stdin, *, interrupt_ends: bool) -> bytes:
    try:
        return stdin.read(_READ_BYTES)
    except (KeyboardInterrupt, SystemExit):
        if not interrupt_ends:
            raise
        return b""
