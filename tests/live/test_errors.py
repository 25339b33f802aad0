"""What a user does wrong, or the system refuses: one line with the remedy, and an exit code that says so."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rtdenoise.cache.machine_code import Loaded
from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import Device, find_device, list_devices_here
from rtdenoise.live_audio.audio.portaudio import Opening, open_stream
from tests.virtual_card.card import VirtualCard
from tests.virtual_card.server import missing


def rtdenoise(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtdenoise", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--input", "mic:nobody"], 1, "no input device 'nobody'; there are: "),
        (["--output", "speaker:JACK"], 1, "ambiguous; give its index or more of its name"),
        (["--output", "/nowhere/out.wav"], 1, "its folder does not exist"),
        (["--input", "/nowhere/in.wav"], 1, "no such file"),
        (["--input", "-"], 2, "pipe it through"),
        (["--preset", "slow"], 1, "unknown preset 'slow'; valid: "),
        (["--latency", "soon"], 2, "neither low nor safe nor a number of seconds"),
    ],
)
def test_wrong_arguments_are_one_line(server, arguments, code, words):
    with VirtualCard(server.name):
        done = rtdenoise("live", *arguments)
    assert done.returncode == code
    last = done.stderr.strip().splitlines()[-1]
    assert words in last
    assert last.startswith("rtdenoise: error: ")


IN_ITS_OWN_PROCESS = """
import sys
from tests.live.test_errors import refused
print(refused(rate=float(sys.argv[1]), channels=int(sys.argv[2])))
"""


def refused(*, rate: float, channels: int) -> str:
    """What the virtual microphone says to this rate and these channels."""
    return opened(
        rate=rate, microphone=find_device(list_devices_here(), "virtual_microphone", "input"), channels=channels
    )


def opened(*, rate: float, microphone: Device, channels: int) -> str:
    """What a real device says when it is opened."""
    opening = Opening(
        rate=rate, source=microphone, target=None, channels_in=channels, channels_out=0, block=0, latency="low"
    )
    try:
        open_stream(opening, Loaded(0, None), np.zeros(1))
    except DeviceError as error:
        return str(error)
    return "it opened"


@pytest.mark.parametrize(
    ("rate", "channels", "words"),
    [(11025, 1, "refuses this sample rate"), (16000, 5, "does not have that many channels")],
)
def test_a_device_that_refuses_says_what_it_can(server, rate, channels, words):
    with VirtualCard(server.name):
        command = [sys.executable, "-c", IN_ITS_OWN_PROCESS, str(rate), str(channels)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert words in done.stdout.splitlines()[-1]
    assert "virtual_microphone" in done.stdout


REMEDIES = """
from rtdenoise.live_audio.audio.devices import explain, load_portaudio_here
for code, one_system in ((-9996, True), (-9993, False), (-1, True)):
    print(explain(load_portaudio_here().PortAudioError("Error", code), "'USB Mic' (ALSA)", one_system=one_system))
"""


def test_portaudio_errors_have_remedies(server):
    done = subprocess.run([sys.executable, "-c", REMEDIES], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    words = ("is gone", "different sound systems", "doctor")
    assert all(word in line and "'USB Mic'" in line for word, line in zip(words, lines, strict=True))


MAY_NOTHING = ["setpriv", "--bounding-set", "-sys_admin,-dac_override,-dac_read_search"]
"""Nothing is busy or forbidden for root, who runs tests in containers: without these rights it is."""

ASOUND = """
pcm.held { type file slave.pcm "nothing" file "/dev/null" infile "%s" format "raw" }
pcm.nothing { type null }
pcm.none { type hw card 99 }
"""


def as_ordinary_user(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    if os.geteuid() == 0:
        command = [*MAY_NOTHING, *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def held(monkeypatch, tmp_path):
    """An ALSA device "held" behind a file, for real: what its file refuses, the device refuses."""
    if missing() or sys.platform != "linux":
        pytest.skip(missing() or "ALSA is Linux's")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root needs setpriv to give up its rights")
    monkeypatch.setenv("JACK_NO_START_SERVER", "1")
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody")

    def behind(path: str) -> None:
        (tmp_path / "asound.conf").write_text(ASOUND % path)
        monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))

    return behind


OPEN_WHEN_REFUSED = """
import fcntl, os, sys, termios
from rtdenoise.live_audio.audio.devices import Device, find_device, list_devices_here
from tests.live.test_errors import opened
device = find_device(list_devices_here(), "held", "input")
if sys.argv[1] == "busy":
    fcntl.ioctl(os.open(sys.argv[2], os.O_RDONLY | os.O_NOCTTY), termios.TIOCEXCL)
else:
    os.chmod(sys.argv[2], 0)
print(opened(rate=44100, microphone=device, channels=1))
"""


@pytest.mark.parametrize(
    ("why", "words"), [("busy", "it is busy; close the program"), ("forbidden", "no permission for it; on Linux be in")]
)
def test_a_device_that_is_refused_when_it_is_opened(held, tmp_path, why, words):
    leader, follower = pty.openpty()  # a terminal that a program has for itself alone is busy for all others
    path = os.ttyname(follower) if why == "busy" else str(tmp_path / "sound")
    (tmp_path / "sound").write_bytes(bytes(10**6))
    held(path)
    done = as_ordinary_user("-c", OPEN_WHEN_REFUSED, why, path)
    for descriptor in (leader, follower):
        os.close(descriptor)
    assert words in done.stdout.splitlines()[-1], done.stderr
    assert done.stdout.splitlines()[-1].startswith("'held' (ALSA) does not open: ")


@pytest.mark.parametrize("mode", [0, 0o600])
def test_a_device_that_may_not_be_used_is_not_listed_and_the_error_says_so(held, tmp_path, mode):
    (tmp_path / "sound").write_bytes(bytes(10**6))
    (tmp_path / "sound").chmod(mode)
    held(str(tmp_path / "sound"))
    done = as_ordinary_user("-m", "rtdenoise", "devices", "--json")
    inputs = {device["name"] for device in json.loads(done.stdout) if device["channels_in"]}
    assert ("held" in inputs) == bool(mode)
    if not mode:
        done = as_ordinary_user("-m", "rtdenoise", "live", "--input", "mic:held", "--monitor-only")
        assert done.returncode == 1
        assert "no input device 'held'; there are: " in done.stderr.splitlines()[-1]
        assert "you may not use, is not listed" in done.stderr.splitlines()[-1]


WHY_NONE = """
import sys
from pathlib import Path
from rtdenoise.live_audio.audio import devices
devices._SOUND = Path(sys.argv[1])
print(devices.why_none())
"""


@pytest.mark.parametrize(("mode", "words"), [(0o600, "connect one"), (0, "group audio")])
def test_no_permission_is_told_from_no_device(held, tmp_path, mode, words):
    (tmp_path / "pcmC0D0p").write_bytes(b"")
    (tmp_path / "pcmC0D0p").chmod(mode)
    assert words in as_ordinary_user("-c", WHY_NONE, str(tmp_path)).stdout
