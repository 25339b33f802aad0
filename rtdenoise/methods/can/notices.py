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
    """Import Keras or TensorFlow without what their native parts announce meanwhile; errors are raised as ever.

    They are heard where ``TF_CPP_MIN_LOG_LEVEL`` is 0.

    Raises
    ------
    ImportError
        If it is not there.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0" or name in sys.modules:
        return importlib.import_module(name)
    with no_notices():
        module = importlib.import_module(name)
        if "tensorflow" in sys.modules:  # of a GPU it tells once it looks for one
            sys.modules["tensorflow"].config.list_physical_devices()
    return module
