"""Settings of the whole suite."""

from __future__ import annotations

import signal

import numba
import pytest
from hypothesis import settings

pytest_plugins = ["tests.skipped", "tests.workers"]

settings.register_profile("suite", deadline=None, derandomize=True)  # the first example of each test may compile
settings.load_profile("suite")

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
