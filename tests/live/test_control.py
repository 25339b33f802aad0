"""A live session is changed and watched over its control socket, and nobody else gets in."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile

from rtdenoise.errors import ConfigError, DeviceError
from rtdenoise.live_audio.control.client import Control
from rtdenoise.live_audio.control.place import HAS_UNIX, bind, connect
from rtdenoise.live_audio.control.schema import ANSWER, COMMANDS, LINE_MAX, REQUEST, checked
from rtdenoise.live_audio.control.server import ControlServer
from rtdenoise.live_audio.meters import BANDS, LOWEST_HZ
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

DEVICES = ["--input", "virtual_microphone", "--output", "virtual_speaker"]
KINDS = [pytest.param(True, marks=pytest.mark.skipif(not HAS_UNIX, reason="no Unix sockets here")), False]


def until(condition, seconds=300.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def session(path: Path, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rtdenoise", "live", *DEVICES, "--control", str(path), *map(str, more)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ctl(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rtdenoise", "ctl", "--control", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def connected(path: Path) -> Control:
    found: list[Control] = []

    def there() -> bool:
        try:
            found.append(Control(path))
        except DeviceError:
            return False
        return True

    until(there)
    return found[0]


def test_a_session_is_changed_watched_recorded_and_ended(server, tmp_path):
    path = tmp_path / "live.sock"
    with VirtualCard(server.name) as card, session(path, "--record", tmp_path / "takes", "--json") as process:
        card.set_idle(noise(1.0, card.rate))
        with connected(path) as control:
            status = lambda: control.ask("status")["status"]  # noqa: E731
            until(lambda: status()["callbacks"] > 100 and status()["level_in_dbfs"] > -60.0)
            assert status()["method"] == "WF" and status()["recording"] and not status()["bypass"]
            delay_ms = status()["latency_ms"]["total"]
            with pytest.raises(DeviceError, match=r"a recording into .*takes is being made; stop it first"):
                control.ask("record", on=True)
            assert control.ask("record", on=False)["failed"] == "" and not status()["recording"]
            control.ask("set", bypass=True)
            assert status()["bypass"]
            until(lambda: abs(status()["level_in_dbfs"] - status()["level_out_dbfs"]) < 0.5)
            control.ask("set", method="SS", attenuation_limit_db=12, mix=0.5)
            until(lambda: status()["method"] == "SS")
            assert not status()["bypass"]
            assert control.ask("mark", text="here")["mark"]["text"] == "here"
            assert any(d["name"] == "virtual_microphone" for d in control.ask("devices")["devices"])

            control.ask("use", preset="balanced")
            until(lambda: status()["state"] == "running" and status()["latency_ms"].get("total", 0.0) > delay_ms + 3.0)
            control.ask("set", method="WF")
            with Control(path) as other:
                events = other.watch(0.05)
                assert next(events)["status"]["state"] == "running"
                control.ask("use", input="no such microphone")
                told = next(event["line"] for event in events if event["event"] == "told")
                assert "no input device 'no such microphone'" in told and told.endswith("; what was before goes on")
            until(lambda: status()["state"] == "running" and status()["level_in_dbfs"] > -60.0)
            control.ask("use", model="can-small")
            until(lambda: status()["state"] == "running" and status()["method"] == "CAN")

            found = ctl(path, "bypass", "on")
            assert (found.returncode, found.stdout, found.stderr) == (0, "", "") and status()["bypass"]
            assert ctl(path, "status").stdout.startswith("running, bypass, ")
            assert json.loads(ctl(path, "--json", "limit", "off").stdout)["ok"]
            found = ctl(path, "use", "--preset", "nonesuch")
            assert found.returncode == 1 and "nonesuch" in found.stderr and found.stderr.count("\n") == 1
            assert [mark["text"] for mark in status()["marks"]] == ["here"]
            control.ask("quit")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert summary["marks"][0]["text"] == "here"
    assert not path.exists()
    frames = {soundfile.info(take).frames for take in (tmp_path / "takes").iterdir()}
    assert len(frames) == 1 and frames.pop() > 0
    found = ctl(path, "status")
    assert found.returncode == 1 and "no session listens there" in found.stderr and found.stderr.count("\n") == 1


def test_a_killed_session_leaves_a_socket_that_the_next_one_replaces_and_a_living_one_keeps_its_own(server, tmp_path):
    path = tmp_path / "live.sock"
    with VirtualCard(server.name):
        with session(path) as process:
            connected(path).close()
            process.kill()
        assert path.exists()
        with session(path) as process:
            connected(path).close()
            with session(path) as second:
                _, err = second.communicate(timeout=120)
            assert second.returncode == 1 and "a session listens there already" in err and err.count("\n") == 1
            connected(path).close()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
    assert not path.exists()


class Nobody:
    """In place of controls: what is tested with it must not reach them."""


@pytest.fixture(params=KINDS, ids=["file", "port"])
def listening(request, tmp_path):
    asked = threading.Event()
    with ControlServer(Nobody(), tmp_path / "live.sock", asked.set, unix=request.param):
        yield tmp_path / "live.sock", asked


def exchange(path: Path, *lines: bytes) -> list[dict[str, object]]:
    connection, token = connect(path)
    with connection, connection.makefile("rb") as answers:
        for line in lines:
            connection.sendall(line.replace(b"TOKEN", token.encode()) + b"\n")
        connection.shutdown(socket.SHUT_WR)
        found = [json.loads(answer) for answer in answers]
    for answer in found:
        jsonschema.validate(answer, ANSWER)
    return found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "this is no line of JSON"),
        (b"\xff\xfe", "this is no line of JSON"),
        (b"[" * 5000, "this is no line of JSON"),
        (b"[1]", "a request is an object with a command"),
        (b'{"command": 1}', "a request is an object with a command"),
        (b'{"command": "open"}', "command='open' must be one of: status, watch, meters"),
        (b'{"command": "status", "path": "/etc/passwd"}', "status: unknown 'path'; it takes details"),
        (b'{"command": "set"}', "set: name what"),
        (b'{"command": "set", "bypass": 1}', "set: bypass=1 must be true or false"),
        (b'{"command": "set", "mix": true}', "set: mix=True must be from 0 to 1"),
        (b'{"command": "set", "mix": NaN}', "set: mix=nan must be from 0 to 1"),
        (b'{"command": "set", "method": "XY"}', "set: method='XY' must be one of: SS, WF, bypass, CAN"),
        (b'{"command": "record"}', "record: on is missing"),
        (b'{"command": "use", "model": "../../weights"}', "must be a name: letters, digits, - and _"),
        (b'{"command": "watch", "every_seconds": 0}', "watch: every_seconds=0 must be from 0.02 to 60"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_next_request_is_heard(listening, line, message):
    if line.startswith(b"{"):
        line = line[:-1] + b', "id": "a", "token": "TOKEN"}'
    first, second = exchange(listening[0], line, b'{"command": "quit", "id": [2], "token": "TOKEN"}')
    assert message in first["error"] and second == {"ok": True, "id": [2]}
    assert listening[1].wait(10.0)


def test_a_line_without_end_is_cut_off(listening):
    assert exchange(listening[0], b" " * (LINE_MAX + 10)) == [{"ok": False, "error": "a line has at most 65536 bytes"}]


def test_without_the_secret_nothing_is_done(tmp_path):
    asked = threading.Event()
    with ControlServer(Nobody(), tmp_path / "live.json", asked.set, unix=False):
        assert stat.S_IMODE((tmp_path / "live.json").stat().st_mode) == 0o600 or os.name == "nt"
        for token in ('""', '"wrong"', '"\\u00e9"', "7", "null"):
            answer = exchange(tmp_path / "live.json", b'{"command": "quit", "token": ' + token.encode() + b"}")
            assert answer[0]["error"] == "the token is wrong; it stands in the file of the control socket"
        assert not asked.is_set()
        with Control(tmp_path / "live.json") as control:
            control.ask("quit")
        assert asked.wait(10.0)
    assert not (tmp_path / "live.json").exists()


@pytest.mark.skipif(not HAS_UNIX, reason="no Unix sockets here")
def test_the_file_is_its_users_alone_and_only_a_dead_sessions_is_replaced(tmp_path):
    bound = bind(tmp_path / "new/live.sock")
    assert stat.S_IMODE(bound.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(bound.path.parent.stat().st_mode) == 0o700
    bound.listening.close()
    time.sleep(0.05)
    again = bind(bound.path)
    bound.remove()
    assert bound.path.exists(), "it is another session's now"
    again.remove()
    assert not bound.path.exists()
    again.listening.close()
    (tmp_path / "notes.txt").write_text("mine")
    for path, message in (
        (tmp_path / "notes.txt", "exists and is no control socket"),
        (tmp_path / ("x" * 120), "has at most 100 bytes"),
        (tmp_path / "notes.txt/live.sock", "no control socket can be made there"),
    ):
        with pytest.raises(DeviceError, match=message):
            bind(path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_the_schema_and_the_check_agree():
    rng = np.random.default_rng(1)
    values = [True, False, None, 0, 1, -1, 0.5, 1e9, "", "low", "a b", "WF", "x" * 300, [], {}]
    agreed = 0
    for command in (*COMMANDS, "none"):
        for _ in range(200):
            names = [*COMMANDS.get(command, {}), "other"]
            chosen = rng.choice(names, rng.integers(0, len(names)), replace=False)
            request = {"command": command} | {str(n): values[rng.integers(len(values))] for n in chosen}
            try:
                checked(request)
                allowed = True
            except ConfigError as error:
                allowed = False
                assert "\n" not in str(error)
            assert allowed == jsonschema.Draft202012Validator(REQUEST).is_valid(request), request
            agreed += allowed
    assert agreed > 200


def test_meters_and_status_are_what_the_schema_says(server, tmp_path):
    path = tmp_path / "live.sock"
    with VirtualCard(server.name) as card, session(path, "--recordings", tmp_path / "takes") as process:
        card.set_idle(np.sin(2 * np.pi * 1000.0 * np.arange(card.rate) / card.rate).astype(np.float32) * 0.1)
        with connected(path) as control:
            status = lambda: control.ask("status")["status"]  # noqa: E731
            until(lambda: status()["state"] == "running" and status()["level_in_dbfs"] > -30.0)
            found = status()
            assert (found["preset"], found["model"], found["mix"]) == ("low", "can-live", 1.0)
            assert (found["input"], found["output"]) == ("virtual_microphone", "virtual_speaker")
            assert found["attenuation_limit_db"] == pytest.approx(18.0, abs=0.1)
            control.ask("set", bypass=True, attenuation_limit_db=None, mix=0.25)
            assert (status()["attenuation_limit_db"], status()["mix"]) == (None, 0.25)
            control.ask("record", on=True)
            time.sleep(0.5)
            files = control.ask("record", on=False)["files"]
            assert [Path(file).name.rpartition("-")[2] for file in files] == ["noisy.wav", "WF.wav"]
            assert all(Path(file).parent == tmp_path / "takes" and Path(file).is_file() for file in files)

            connection, token = connect(path)
            with connection, connection.makefile("rb") as answers:
                asked = [{"command": "watch", "every_seconds": 0.1}, {"command": "meters", "every_seconds": 0.03}]
                for request in asked:
                    connection.sendall(json.dumps(request | ({"token": token} if token else {})).encode() + b"\n")
                messages = [json.loads(answers.readline()) for _ in range(60)]
            for message in messages:
                jsonschema.validate(message, ANSWER)
            meters = [message["meters"] for message in messages if message.get("event") == "meters"]
            assert len(meters) > 30 and any(message.get("event") == "status" for message in messages)
            passed = np.diff([reading["seconds"] for reading in meters])
            assert np.all(passed > 0.0) and 0.02 < np.median(passed) < 0.2
            for side in ("before", "after"):
                assert meters[-1][side]["level_dbfs"] == pytest.approx(-23.0, abs=0.3)
                assert meters[-1][side]["peak_dbfs"] == pytest.approx(-20.0, abs=0.3)
                spectrum = np.frombuffer(base64.b64decode(meters[-1][side]["spectrum"]), np.uint8)
                assert spectrum.size == BANDS and edges(meters[-1]["top_hz"], spectrum.argmax()) == (True, True)
            control.ask("quit")
        assert process.wait(30) == 0


def edges(top_hz: float, band: int) -> tuple[bool, bool]:
    """Whether 1 kHz is above the lower and below the upper edge of a band, give or take a bin of 31 Hz."""
    mel = lambda hz: 2595.0 * np.log10(1.0 + hz / 700.0)  # noqa: E731
    places = mel(LOWEST_HZ) + (mel(top_hz) - mel(LOWEST_HZ)) * np.asarray([band, band + 1]) / BANDS
    low, high = 700.0 * (10.0 ** (places / 2595.0) - 1.0)
    return bool(low < 1032.0), bool(high > 968.0)
