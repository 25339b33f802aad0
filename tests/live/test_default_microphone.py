"""The virtual microphone as the default of other programs: the session goes on hearing, and every end gives it back."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.control.client import Control
from rtdenoise.live_audio.ends.default_microphone import give_back_leftover
from tests.live.test_faults import wait_until
from tests.live.test_virtual_microphone import RATE, desktop, heard, session, talking

# PipeWire 0.3.65 stops a graph with two clocks once in a while on a busy machine: the next server has another chance
pytestmark = pytest.mark.flaky(reruns=4)

__all__ = ["desktop"]


def default_source(desktop) -> str:
    return desktop.pactl("get-default-source").strip()


def heard_by_others(seconds: float) -> np.ndarray:
    """What a program hears that asks for no microphone by name."""
    return heard(seconds, "@DEFAULT_SOURCE@")


def test_other_programs_hear_it_by_default_and_the_end_gives_the_former_one_back(desktop, tmp_path):
    path = tmp_path / "live.sock"
    with talking(desktop, tmp_path), session(desktop, "--method", "bypass", "--control", str(path)) as process:
        with Control(path) as control:
            status = lambda: control.ask("status")["status"]  # noqa: E731
            assert status()["output"] == "virtual-mic" and status()["default_microphone"] is False
            control.ask("set", default_microphone=True)
            assert default_source(desktop) == "rtdenoise" and status()["default_microphone"] is True
            time.sleep(4.0)  # the server has moved what follows the default by now
            assert np.std(heard_by_others(1.0)[RATE // 2 :]) > 0.01, "and not itself, which is silent"
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)  # the new audio process opens the default, too
            wait_until(lambda: status()["state"] != "running", 30.0)
            wait_until(lambda: status()["state"] == "running", 60.0)
            wait_until(lambda: np.std(heard_by_others(0.5)) > 0.01, 30.0)
            control.ask("set", default_microphone=False)
            assert default_source(desktop) == "mic"
            control.ask("set", default_microphone=True)
            assert default_source(desktop) == "rtdenoise"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert default_source(desktop) == "mic"


def test_what_a_killed_session_had_taken_is_given_back_by_the_next(desktop, tmp_path):
    path = tmp_path / "live.sock"
    with session(desktop, "--method", "bypass", "--control", str(path)) as process:
        with Control(path) as control:
            control.ask("set", default_microphone=True)
        assert give_back_leftover() == "" and default_source(desktop) == "rtdenoise", "it runs"
        process.kill()
        process.wait(5)
    assert default_source(desktop) == "rtdenoise", "nobody could give it back"
    with session(desktop, "--method", "bypass", "--control", str(path)) as process:
        assert default_source(desktop) == "mic"
        with Control(path) as control:
            control.ask("set", default_microphone=True)
        process.kill()
        process.wait(5)
    assert give_back_leftover() == "mic", "as a panel does"
    assert default_source(desktop) == "mic" and give_back_leftover() == ""


def test_a_choice_of_the_user_is_not_undone(desktop, tmp_path):
    path = tmp_path / "live.sock"
    with session(desktop, "--method", "bypass", "--control", str(path)) as process:
        with Control(path) as control:
            control.ask("set", default_microphone=True)
        desktop.pactl("set-default-source", "speakers.monitor")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert default_source(desktop) == "speakers.monitor"


def test_a_session_without_a_virtual_microphone_has_none_to_offer(server, tmp_path):
    from tests.live.test_control import connected, until
    from tests.live.test_control import session as plain
    from tests.virtual_card.card import VirtualCard

    with VirtualCard(server.name), plain(tmp_path / "live.sock") as process:
        with connected(tmp_path / "live.sock") as control:
            until(lambda: control.ask("status")["status"]["state"] == "running")
            assert control.ask("status")["status"]["default_microphone"] is None
            with pytest.raises(DeviceError, match="has no virtual microphone; give --output virtual-mic"):
                control.ask("set", default_microphone=True)
            control.ask("quit")
        assert process.wait(30) == 0
