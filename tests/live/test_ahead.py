"""An audio process that is started before the plan is known: used for the plan, or ended without a trace."""

from __future__ import annotations

import os
import sys
from contextlib import closing

import psutil
import pytest

from rtdenoise.live_audio.audio.ahead import Ahead
from rtdenoise.live_audio.session import Session
from tests.live.harness import Running, plan
from tests.virtual_card.card import VirtualCard


def test_it_ends_in_order_if_nobody_takes_it():
    with closing(Ahead()) as ahead:
        inherited = [fd for fd in (ahead.file.fd, ahead.wake_fd) if fd >= 0]
        process = ahead._process
        assert process is not None and process.alive
    assert not process.alive and not psutil.pid_exists(process.pid)
    if sys.platform == "linux":
        assert process._process.returncode == 0, "it left by itself"
    for fd in inherited:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_session_opens_its_devices_in_it_and_closes_all(server):
    with VirtualCard(server.name):
        ahead = Ahead()
        process, wake_fd = ahead._process, ahead.wake_fd
        live = Running(Session(plan("WF"), lambda line: None, ahead))
        live.wait(lambda: live.session.state == "running")
        assert process is not None and live.session._worker is process and process.alive
        live.join()
        live.session.close()
        ahead.close()
    assert not process.alive and ahead.file.fd == -1
    if wake_fd >= 0:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(wake_fd)
