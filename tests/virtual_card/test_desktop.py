"""The private desktop itself: what keeps it from starting is replaced, or named at once."""

from __future__ import annotations

import shutil
import signal
import socket
import time

import pytest

from tests.virtual_card import desktop as module
from tests.virtual_card.desktop import Desktop, missing

pytestmark = pytest.mark.skipif(missing("pipewire") != "", reason=missing("pipewire"))


@pytest.fixture
def replaced(tmp_path, monkeypatch):
    """Give wireplumber's place to a script of the shell."""

    def replace(script: str) -> None:
        program = tmp_path / "wireplumber"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return replace


def test_a_program_that_always_ends_is_named_at_once(replaced):
    replaced("exit 7")
    server, started = Desktop("pipewire"), time.monotonic()
    try:
        with pytest.raises(RuntimeError, match="wireplumber ended 3 times, at last with 7"):
            server.start()
    finally:
        server.stop()
    assert time.monotonic() - started < module._UP_SECONDS / 2


def test_a_program_that_ended_once_is_started_again(replaced, tmp_path):
    real = shutil.which("wireplumber")
    replaced(f"if mkdir {tmp_path}/once 2>/dev/null; then exit 1; fi; exec {real}")
    with Desktop("pipewire") as server:
        assert "Default Sink: speakers" in server.pactl("info")


def test_the_socket_of_a_server_that_was_killed_is_not_one_that_listens(tmp_path):
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert module._listens(path)
    assert path.exists()
    assert not module._listens(path)


def test_a_killed_desktop_leaves_no_socket():
    with Desktop("pipewire") as server:
        run = server._folder / "run"
        assert any(path.is_socket() for path in run.rglob("*"))
        server._end(signal.SIGKILL)
        assert not any(path.is_socket() for path in run.rglob("*"))
