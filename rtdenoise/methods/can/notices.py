"""Suppress notices that native libraries print to standard error and that have no switch."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

_STANDARD_ERROR = threading.Lock()  # the descriptor is per process: two threads must not redirect it at once


@contextlib.contextmanager
def no_notices() -> Iterator[None]:
    """Redirect standard error to the null device within the context."""
    with _STANDARD_ERROR:
        try:
            kept = os.dup(2)
        except OSError:  # the process has no standard error
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
    """Import Keras or TensorFlow without the notices of their native parts; errors are raised as usual.

    Notices are shown if ``TF_CPP_MIN_LOG_LEVEL`` is 0.

    Raises
    ------
    ImportError
        If the module is not installed.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0" or name in sys.modules:
        return importlib.import_module(name)
    with no_notices():
        module = importlib.import_module(name)
        if "tensorflow" in sys.modules:  # triggers the notices about GPUs now
            sys.modules["tensorflow"].config.list_physical_devices()
    return module
