"""What happens to a live session in a bad world, each against the real server."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import ConfigError, DeviceError
from rtdenoise.live_audio.record import FLAGS, audible_delay
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running, stopped
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard
from tests.virtual_card.server import Server

LIVE = [sys.executable, "-m", "rtdenoise", "live", "--input", "mic:virtual", "--output", "speaker:virtual"]


def ours(server: Server) -> list[int]:
    """Processes of a live session that use this server."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if b"\0-m\0rtdenoise" in command and server.name.encode() in environment and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def wait_until(condition, timeout_seconds: float) -> float:
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < timeout_seconds, "it never happened"
        time.sleep(0.01)
    return time.monotonic() - started


def start_live(*arguments: str, **options) -> subprocess.Popen:
    command = list(LIVE)
    for option in ("--input", "--output"):  # each may be given once
        if option in arguments:
            at = command.index(option)
            del command[at : at + 2]
    return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def wait_for_line(process: subprocess.Popen) -> None:
    """Until it says that audio runs."""
    for line in process.stderr:
        if b"from input to output" in line:
            return
    raise AssertionError("it ended")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_and_leave_nothing(server_of, number):
    server = server_of(synchronous=False, realtime=may_run_in_real_time())
    with VirtualCard(server.name):
        process = start_live("--json")
        wait_for_line(process)
        assert len(ours(server)) == 2
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out.splitlines()[-1])["callbacks"] > 0
    assert ours(server) == []


def test_a_killed_session_takes_its_children_with_it(server_of):
    server = server_of(synchronous=False, realtime=False)
    with VirtualCard(server.name):
        process = start_live()
        wait_for_line(process)
        process.kill()
        process.communicate(timeout=5)
        assert wait_until(lambda: ours(server) == [], 2.0) < 1.0


def test_closed_terminal_ends_it(server_of):
    server = server_of(synchronous=False, realtime=may_run_in_real_time())
    leader, follower = pty.openpty()
    with VirtualCard(server.name) as card:
        process = subprocess.Popen(
            LIVE,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - one system call
        )
        os.close(follower)
        card.wait_connected(30.0)
        time.sleep(0.5)
        os.close(leader)
        process.wait(3)
        assert wait_until(lambda: ours(server) == [], 2.0) < 1.0


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_killed_server_is_noticed_and_the_session_goes_on_when_it_is_back(server_of):
    server = server_of(realtime=False)
    told: list[str] = []
    with running(plan("WF", source="mic", target="speaker"), told) as live:
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.start()
        back = live.wait(lambda: live.session.state == "running", 20.0)
        live.wait(lambda: live.session.region.live["callbacks"][0] > 10, 30.0)
        assert live.session.reopened == 1
        assert live.session.monitor.total()["callbacks"] > 10
    assert any("opening the devices again" in line for line in told)
    assert told[-1] == "audio is back"
    assert back < 15.0


def test_restart_at_another_rate_is_followed(server_of):
    server = server_of(realtime=False)
    with running(plan("bypass", source="mic", target="speaker")) as live:
        assert live.session.region.live["rate"][0] == 16000
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.rate = 48000
        server.start()
        live.wait(lambda: live.session.state == "running", 240.0)
        assert live.session.region.live["rate"][0] == 48000


def test_vanished_microphone_is_noticed_by_its_zeros(server):
    told: list[str] = []
    second = VirtualCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name), running(plan("WF", source="other_microphone"), told) as live:
        second.__exit__()
        live.wait(lambda: live.session.state == "waiting", 30.0)
    assert any("digital silence" in line for line in told)
    assert any("gone" in line for line in told)


def test_stalled_audio_process_is_ended_and_replaced(server_of):
    server = server_of(realtime=False, synchronous=False)
    with VirtualCard(server.name), running(plan("WF")) as live:
        os.kill(live.session._worker.pid, signal.SIGSTOP)
        live.wait(lambda: live.session.state == "waiting", 30.0)
        live.wait(lambda: live.session.state == "running", 30.0)
        assert live.session.reopened == 1


def test_an_audio_process_that_slept_goes_on_and_a_server_that_waited_has_lost_nothing(server):
    """As after a suspended laptop: stopped, continued; the synchronous server waits, so the count must stay 0."""
    with VirtualCard(server.name) as card, running(plan("bypass")) as live:
        card.wait_connected()
        delay = audible_delay(live.session.region.live)
        live.wait(lambda: live.session.monitor.total()["callbacks"] > 100)
        os.kill(live.session._worker.pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(live.session._worker.pid, signal.SIGCONT)
        time.sleep(5.0)
        assert live.session.reopened == 0
        assert live.session.monitor.lost == 0
        signal_in = noise(0.5, card.rate)
        heard = card.play_record(signal_in)
    np.testing.assert_array_equal(heard[delay : delay + signal_in.size], signal_in)


def test_a_suspended_computer_is_noticed_by_its_clocks(server_of, monkeypatch):
    """The clock that counts sleep runs ahead of the one that does not: the devices are opened again."""
    server, told = server_of(synchronous=False, realtime=may_run_in_real_time()), []
    with VirtualCard(server.name), running(plan("bypass"), told) as live:
        slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC) + 3600.0
        monkeypatch.setattr("rtdenoise.live_audio.supervise.watch._suspended_seconds", lambda: slept)
        live.wait(lambda: live.session.reopened == 1, 30.0)
    assert told[0] == "the computer was suspended; opening the devices again"
    assert told[-1] == "audio is back"


def test_a_stall_adds_no_latency(server):
    """Half a second in which the audio thread does not run: afterwards the delay is what it was, to the sample."""
    with VirtualCard(server.name) as card, running(plan("bypass")) as live:
        card.wait_connected()
        record = live.session.region.live
        delay = int(record["wait"][0] + record["latency"][0])
        with stopped(live.session._worker.pid):
            time.sleep(0.05)  # a block may be under way
            at = int(record["n"][0])
            time.sleep(0.4)
            assert int(record["n"][0]) == at
        live.wait(lambda: record["n"][0] > at, 30.0)
        signal_in = noise(0.5, card.rate)
        heard = card.play_record(signal_in)
    np.testing.assert_array_equal(heard[delay : delay + signal_in.size], signal_in)


def test_drop_outs_are_counted(server_of):
    """An asynchronous server does not wait for a client that sleeps: those samples are gone, and counted."""
    server = server_of(synchronous=False, realtime=False)
    with VirtualCard(server.name), running(plan("bypass")) as live:
        time.sleep(2.5)
        before = live.session.monitor.lost
        with stopped(live.session._worker.pid):
            time.sleep(0.3)
        live.wait(lambda: live.session.monitor.lost > before, 10.0)
        lost = (live.session.monitor.lost - before) / server.rate
        xruns = dict(zip(FLAGS, live.session.region.live["flag_counts"][0], strict=True))
    assert 0.0 < lost < 0.5  # JACK lets a client that slept catch up on some of it
    assert xruns["input_overflow"] > 0


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"target": "virtual_microphone"}, DeviceError, "no output device"),
        ({"source": "97"}, DeviceError, "no input device '97'"),
    ],
)
def test_wrong_names_are_one_line_that_lists_what_there_is(server, fields, error, words):
    with VirtualCard(server.name), pytest.raises(error, match=words), running(plan("bypass", **fields)):
        pass


def test_no_server_is_one_line(server_of):
    server = server_of()
    server.kill()
    with pytest.raises(DeviceError, match="no input device"), running(plan("bypass", source="mic", target="speaker")):
        pass


@pytest.mark.parametrize(
    "fields", [{"channels": 9}, {"block": -1}, {"latency": "lower"}, {"latency": 9.0}, {"source": None, "target": None}]
)
def test_impossible_plans_are_refused(fields):
    with pytest.raises(ConfigError):
        plan("bypass", **fields)


def test_an_audio_process_that_dies_at_the_start_is_one_error(server_of, monkeypatch, tmp_path):
    """PortAudio 19.6 aborts on an ALSA configuration without any device."""
    server_of()
    (tmp_path / "empty.conf").write_text("")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "empty.conf"))
    with pytest.raises(DeviceError, match=r"^PortAudio cannot list devices: it crashed"), running(plan("bypass")):
        pass
