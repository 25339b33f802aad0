"""What hangs without ending: the engine, the sound server at the start, its tool; and what is merely late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio import session as sessions
from rtdenoise.live_audio.audio.desktop import pactl
from rtdenoise.live_audio.engine.progress import Progress
from rtdenoise.live_audio.record import LIVE
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.supervise import ending, watch
from tests.live.harness import HalfAmplitude, plan, running, stopped
from tests.live.test_engine import engine_plan, tone, wet_running
from tests.live.test_faults import ours, start_live, wait_until
from tests.virtual_card.card import VirtualCard

RATE = 16000


class Drowning(HalfAmplitude):
    """Needs three times as long as a hop lasts, asleep: the machine stays free."""

    def process(self, block, out) -> None:
        time.sleep(3.0 * self.hop / self.sample_rate)
        super().process(block, out)


def drowning_engine(_settings, rate, channels):
    return Drowning(rate, channels, 0.0)


@contextmanager
def sounding(server):
    """A card that is not silent: the watchdog has nothing to say."""
    with VirtualCard(server.name) as card:
        card.set_idle(tone(1.0, RATE))
        yield card


def of_engine(told: list[str]) -> list[str]:
    return [line for line in told if "engine process" in line]


def test_an_engine_that_hangs_is_replaced_by_the_spare(server):
    told: list[str] = []
    with sounding(server), running(engine_plan(), told) as live:
        record = wet_running(live)
        live.wait(lambda: live.session._engines._spare is not None)
        os.kill(live.session._engines._working.pid, signal.SIGSTOP)
        live.wait(lambda: record["was_wet"][0] == 0, 30.0)
        live.wait(lambda: live.session.engine_restarts == 1, 30.0)
        live.wait(lambda: record["engine_weight"][0] == 1.0, 60.0)
        assert live.session.reopened == 0
    assert of_engine(told)[0].startswith("the engine process does not answer and is started again; ")


def test_an_engine_that_is_late_is_told_of_once_and_stays(server):
    told: list[str] = []
    with sounding(server), running(engine_plan(f"{__name__}:drowning_engine"), told) as live:
        record = live.session.region.live
        live.wait(lambda: bool(told), 60.0)
        heard = int(record["n_in"][0])
        live.wait(lambda: record["n_in"][0] > heard + 4 * RATE, 60.0)
        assert live.session.engine_restarts == 0
    slow = [line for line in told if "does not keep up with bypass" in line]
    assert len(slow) == 1
    assert "% of blocks unprocessed; use a lighter method (--method WF) or larger --block" in slow[0]
    assert of_engine(told) == []


def test_a_device_that_stands_still_is_not_the_engines_fault(server_of, monkeypatch):
    """The audio process is stopped: no block, no question; the watchdog, here a slow one, opens the devices again."""
    monkeypatch.setattr(watch, "_SILENT_SECONDS", 3.0)
    monkeypatch.setattr(watch, "_STARTING_SILENT_SECONDS", 3.0)
    server, told = server_of(synchronous=False, realtime=False), []
    with sounding(server), running(engine_plan(), told) as live:
        wet_running(live)
        os.kill(live.session._worker.pid, signal.SIGSTOP)
        live.wait(lambda: live.session.reopened == 1 and live.session.state == "running", 60.0)
        wet_running(live)
        assert live.session.engine_restarts == 0
    assert of_engine(told) == []


def test_an_engine_that_still_loads_is_waited_for(server):
    """The one that replaces a killed one, with no spare there, is stopped before it is built."""
    told: list[str] = []
    with sounding(server), running(engine_plan(), told) as live:
        record, engines = wet_running(live), live.session._engines
        live.wait(lambda: engines._spare is not None)
        engines._spare.end()
        killed = engines._working
        os.kill(killed.pid, signal.SIGKILL)
        live.wait(lambda: engines._working is not killed, 10.0)
        loading = engines._working
        with stopped(loading.pid):
            heard = int(record["n_in"][0])
            live.wait(lambda: record["n_in"][0] > heard + 2 * RATE, 60.0)
        live.wait(lambda: record["engine_weight"][0] == 1.0, 60.0)
        assert engines._working is loading
    assert len(of_engine(told)) == 1


@pytest.mark.parametrize("sign", ["engine_steps", "engine_heartbeat_ns"])
def test_progress_counts_only_sound_without_a_sign_of_life(sign):
    live, progress = np.zeros(1, LIVE), Progress()
    live["rate"] = RATE
    for _ in range(100):
        assert not progress.hung(live), "nothing comes in"
    for look in range(100):
        live["n_in"] += RATE // 10
        live[sign] += look % 9 == 0
        assert not progress.hung(live), "a sign every 0.9 s"
    progress.begin()
    looks = 0
    while not progress.hung(live):
        looks += 1
        live["n_in"] += 10 * RATE
        assert looks < 10
    assert looks >= 4, "one look at a machine that stood still is not enough"


# --- the sound server ---------------------------------------------------------------------------------------------


def test_a_server_that_hangs_at_the_start_is_named_and_nothing_is_said_to_compile(server_of, monkeypatch):
    server = server_of(synchronous=False, realtime=False)
    monkeypatch.setattr(sessions, "_LIST_SECONDS", 3.0)
    with stopped(server._process.pid):
        session, said, began = Session(plan("WF"), lambda _line: None), set(), time.monotonic()
        try:
            with pytest.raises(DeviceError, match="did not answer within 3 s; restart its server"):
                while session.step():
                    said.add(session.preparing)
                    time.sleep(0.02)
                    assert time.monotonic() - began < 15.0
        finally:
            session.close()
    assert said == {""}


@pytest.mark.parametrize(
    ("method", "words"), [("WF", "compiles it for this machine"), ("CAN", "loading the network of CAN")]
)
def test_what_takes_its_time_is_named_once_the_devices_are_listed(server, method, words):
    said = set()
    with VirtualCard(server.name):
        session = Session(plan(method, engine="tests.live.harness:quick_engine"), lambda _line: None)
        try:
            while session.state != "running" and session.step():
                said.add(session.preparing)
                time.sleep(0.002)
            assert session.preparing == ""
        finally:
            session.close()
    assert "" in said
    assert [line for line in said if words in line]


def talks_to_jack(number: int) -> bool:
    """The library that talks to the server has just been loaded, and talks."""
    return "libjack" in Path(f"/proc/{number}/maps").read_text()


def introduces_itself(session: Session) -> bool:
    return talks_to_jack(session._worker.pid)


def is_introduced(session: Session) -> bool:
    return session.step() and bool(session.preparing)


@pytest.mark.parametrize("moment", [introduces_itself, is_introduced])
def test_ending_at_the_start_lets_the_process_finish_its_word_to_the_server(server, monkeypatch, moment):
    """A synchronous server whose client is killed in the middle waits for it, and so do all others."""
    monkeypatch.setattr(ending, "_LEAVE_SECONDS", 200.0)  # in earnest it is short: a user waits
    session = Session(plan("bypass", source="mic", target="speaker"), lambda _line: None)
    worker = session._worker
    wait_until(lambda: moment(session), 30.0)
    session.close()
    assert worker._process.poll() == 0, "it left by itself"
    server.wait_until_up()


def endless_engine(_settings, _rate, _channels):
    time.sleep(60.0)


@pytest.mark.parametrize("engine", ["", f"{__name__}:endless_engine"])
def test_ending_while_something_is_compiled_or_loaded_leaves_the_server_in_order(server, monkeypatch, tmp_path, engine):
    """The process is a client already: a synchronous server waits 20 s for one that is killed."""
    monkeypatch.setattr(ending, "_LEAVE_SECONDS", 10.0)  # in earnest it is short: a user waits
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    method = {"method": "CAN", "engine": engine} if engine else {"method": "WF"}
    session = Session(plan(source="mic", target="speaker", **method), lambda _line: None)
    worker = session._worker
    wait_until(lambda: is_introduced(session), 30.0)
    session.close()
    assert worker._process.poll() == 0, "it left by itself"
    assert wait_until(lambda: server.wait_until_up() is None, 15.0) < 10.0


def test_ctrl_c_at_the_start_of_a_hung_server_ends_soon(server_of):
    server = server_of(synchronous=False, realtime=False)
    with stopped(server._process.pid):
        process = start_live("--json")
        wait_until(lambda: any(talks_to_jack(number) for number in ours(server)), 60.0)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode in (0, 130), "130: the signal came before the session was there to end"


# --- its tool -----------------------------------------------------------------------------------------------------

FAKE = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
  *null-sink*) echo 41 ;;
  {hangs}) exec sleep 60 ;;
esac
"""
OPENING = """
from rtdenoise.cli.live.run import StopSignals
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
with StopSignals() as stop:
    with stop.ending_at_once(), VirtualMicrophone():
        print("it does not hang")
"""


@pytest.fixture
def fake_pactl(tmp_path, monkeypatch):
    """A `pactl` that hangs at what the pattern names; returns what it was asked."""

    def install(hangs: str):
        log = tmp_path / "log"
        log.write_text("")
        program = tmp_path / "pactl"
        program.write_text(FAKE.format(log=log, hangs=hangs))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return log.read_text

    return install


def test_a_tool_that_hangs_is_one_line_with_the_remedy(fake_pactl, monkeypatch):
    fake_pactl("*")
    monkeypatch.setattr("rtdenoise.live_audio.audio.desktop._TIMEOUT_SECONDS", 0.3)
    with pytest.raises(DeviceError) as raised:
        pactl("info")
    assert str(raised.value).startswith("the sound server does not answer; restart it (`systemctl --user restart ")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'Connection failure: Connection refused' >&2; exit 1", "no sound server answers pactl; start PipeWire"),
        ("echo 'Failure: No such' >&2; echo 'entity' >&2; exit 1", "pactl info: Failure: No such entity"),
        ("exit 1", "pactl info: failed"),
        (None, "pactl does not start: Permission denied; install it again"),
    ],
)
def test_what_the_tool_says_is_one_line(tmp_path, monkeypatch, script, words):
    program = tmp_path / "pactl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755 if script else 0o644)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin" if script else str(tmp_path))
    with pytest.raises(DeviceError) as raised:
        pactl("info")
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_microphone_is_made_takes_back_what_was_made(fake_pactl, number):
    asked = fake_pactl("*remap-source*")
    process = subprocess.Popen([sys.executable, "-c", OPENING], cwd=Path(__file__).parents[2])
    try:
        wait_until(lambda: "remap-source" in asked(), 30.0)
        sent = time.monotonic()
        process.send_signal(number)
        assert process.wait(20) == 0
        took = time.monotonic() - sent
    finally:
        with suppress(OSError):
            process.kill()
    assert took < 4.5, "0.1 s on a machine with nothing else to do; a wait for the server takes 5 s"
    wait_until(lambda: "unload-module 41" in asked(), 5.0)
