"""Settings of the whole suite."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator

import numba
import pytest
from hypothesis import settings

pytest_plugins = ["tests.skipped", "tests.workers"]

settings.register_profile("suite", deadline=None, derandomize=True)  # the first example of each test may compile
settings.register_profile("few", settings.get_profile("suite"), max_examples=15)  # where code is interpreted
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# A shell that starts the suite in the background, or nohup, lets it and every process it starts ignore Ctrl-C, SIGQUIT
# and a closed terminal; tests send these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGHUP", "SIGQUIT"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the compiler (``NUMBA_DISABLE_JIT=1``) numpy warns of what compiled code does silently."""
    if numba.config.DISABLE_JIT:
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))


@pytest.fixture(autouse=True)
def usual_arithmetic() -> Iterator[None]:
    """Compare numbers as usual after the audio callback, which has its thread take denormal numbers for zero."""
    yield
    if sys.platform == "linux":
        ctypes.CDLL(None).fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV


class Compiled(numba.core.event.Listener):
    """Counts what numba compiles, loads of the cache left out."""

    def __init__(self) -> None:
        self.n_functions = 0

    def on_start(self, event: object) -> None:
        self.n_functions += 1

    def on_end(self, event: object) -> None:
        pass


_collecting = Compiled()
numba.core.event.register("numba:compile", _collecting)


def pytest_collection_finish() -> None:
    """Every process collects all tests: what a module computes at its import is computed, and compiled, by each."""
    numba.core.event.unregister("numba:compile", _collecting)
    if _collecting.n_functions:
        raise pytest.UsageError(f"{_collecting.n_functions} functions were compiled while tests were collected")
