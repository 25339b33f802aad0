"""Quiet for native libraries: what they announce on standard error and have no switch for."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

_STANDARD_ERROR = threading.Lock()  # the descriptor is the process's: two threads must not save it at once


@contextlib.contextmanager
def no_notices() -> Iterator[None]:
    """Standard error leads nowhere for a moment."""
    with _STANDARD_ERROR:
        try:
            kept = os.dup(2)
        except OSError:  # a program without standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def import_quietly(name: str) -> ModuleType:
    """Import a package without what its native parts announce meanwhile; its errors are raised as ever.

    Raises
    ------
    ImportError
        If it is not there.
    """
    with contextlib.nullcontext() if name in sys.modules else no_notices():
        return importlib.import_module(name)
