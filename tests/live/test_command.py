"""`rtdenoise live` as a person calls it: names of devices, what it says, and files through changes of rate."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import iirpeak

from tests.live.test_exactness import noise
from tests.live.test_faults import start_live, wait_for_line
from tests.virtual_card.card import VirtualCard

LIVE = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass"]


def test_devices_need_no_prefix(server):
    with VirtualCard(server.name) as card:
        names = ["--input", "virtual_microphone", "--output", "virtual_speaker"]
        with subprocess.Popen([*LIVE, *names, "--duration", "1", "--quiet"]) as process:
            card.wait_connected(240.0)
            assert process.wait(60) == 0
        done = subprocess.run([*LIVE, "--input", "no such thing"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "virtual_microphone" in done.stderr, "what there is, instead"


def test_the_command_of_the_readme_is_a_session(server):
    """With the devices that the system prefers, and the network; it ends by itself here."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith("rtdenoise --input mic "))
    words = shlex.split(line, comments=True)[1:]
    with VirtualCard(server.name) as card:
        card.set_idle(noise(2.0, card.rate))
        command = [sys.executable, "-m", "rtdenoise", *words, "--duration", "2", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["method"] == "CAN" and report["seconds"] == pytest.approx(2.0, abs=0.5)


@pytest.mark.parametrize("name", ["talk.wav", "folder/talk"])
def test_what_looks_like_a_file_is_one(name):
    done = subprocess.run([*LIVE, "--input", name, "--output", "speaker"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "no such file" in done.stderr


def test_feedback_is_told_in_lines_too(server):
    with VirtualCard(server.name) as card:
        card.set_feedback(3.0, iirpeak(1200.0, 8.0, fs=card.rate))
        card.set_idle(noise(1.0, card.rate))
        done = subprocess.run(
            [*LIVE, "--input", "mic:virtual", "--output", "speaker:virtual", "--duration", "6", "--every", "2"],
            capture_output=True,
            text=True,
            check=True,
        )
    assert "use headphones" in done.stderr
    assert done.stderr.count("budget used") >= 3, "a line every two seconds, and one at the end"


def test_a_file_keeps_its_rate_when_the_device_comes_back_at_another(server_of, tmp_path):
    server = server_of(realtime=False)
    target = tmp_path / "out.wav"
    process = subprocess.Popen([*LIVE, "--input", "mic", "--output", str(target)], stderr=subprocess.PIPE)
    try:
        wait_for_line(process)
        began = time.monotonic()
        time.sleep(1.0)
        server.kill()
        server.rate = 48000
        server.start()
        assert any(b"audio is back" in line for line in process.stderr)
        back = time.monotonic()
        time.sleep(2.0)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        ended = time.monotonic()
    finally:
        process.kill()
        process.communicate()
    info = soundfile.info(target)
    assert info.samplerate == 16000
    assert 2.0 < info.duration < ended - began, "it would be three times as long"
    assert info.duration > asked - back, "what came after is there"


def test_sigterm_while_it_is_starting_ends_it_at_once(server, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(8000), 8000)
    with VirtualCard(server.name):
        process = start_live("--input", str(tmp_path / "in.wav"))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=20)
    assert process.returncode in (0, 143), told


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_a_recording_that_is_not_whole_ends_with_1(server, tmp_path, quiet):
    """A limit on the size of files, set while it runs, stands for a full disk."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limits for other processes here")
    with VirtualCard(server.name) as card:
        command = [*LIVE, "--input", "mic:virtual", "--output", "speaker:virtual", "--record", str(tmp_path)]
        process = subprocess.Popen([*command, "--duration", "4", *quiet], stderr=subprocess.PIPE, text=True)
        card.wait_connected(240.0)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "too large" in told.lower()
    assert not quiet or told.count("\n") == 1
    assert [soundfile.info(path).duration > 0.3 for path in tmp_path.glob("*.wav")] == [True, True]
