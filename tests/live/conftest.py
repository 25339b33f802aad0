"""The virtual card: one server for all tests that only listen, private ones for those that break it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.virtual_card.server import Server, missing

_COMPILE_SECONDS = 300.0
_PREPARE = (sys.executable, "-m", "rtdenoise", "prepare")
REQUIRED = "RTDENOISE_REQUIRE_CARD"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """JACK may stand still for 20 s (test_crashes): a test is run again where that, and nothing else, made it fail."""
    stalled = pytest.mark.flaky(reruns=2, only_rerun="the sound system did not answer within")
    for item in items:
        if "server_of" in getattr(item, "fixturenames", ()) and item.get_closest_marker("flaky") is None:
            item.add_marker(stalled)


def _need_card() -> None:
    reason = missing()
    if reason and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but {reason}")
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Among several processes one compiles the callbacks while the others wait: else each would, for a minute."""
    if missing() or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    place = tmp_path_factory.getbasetemp().parent / "compiled"  # of all processes
    try:
        place.mkdir()
    except FileExistsError:
        limit = time.monotonic() + _COMPILE_SECONDS
        while not (place / "done").exists() and time.monotonic() < limit:
            time.sleep(0.1)
        return
    try:
        for options in (["--method", "WF", "--preset", "low"], ["--model", "can-live"]):
            subprocess.run([*_PREPARE, "--rate", "48000", *options], check=True, capture_output=True)
    finally:
        (place / "done").touch()


@pytest.fixture
def server_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Start a private server with these settings; this process and its children then see it alone."""
    _need_card()
    servers: list[Server] = []

    def start(**settings: object) -> Server:
        server = Server(**settings).start()  # type: ignore[arg-type]
        servers.append(server)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in servers:
        server.stop()


def may_run_in_real_time() -> bool:
    """Whether this user may have real-time priority."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError:
        return False
    return True


@pytest.fixture
def server(server_of: Callable[..., Server]) -> Server:
    """16 kHz, blocks of 128 samples, lossless."""
    return server_of(realtime=may_run_in_real_time())
