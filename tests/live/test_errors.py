"""What a user does wrong, or the system refuses: one line with the remedy, and an exit code that says so."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live import devices
from rtdenoise.live.devices import find_device, list_devices_here
from rtdenoise.live.machine_code import Loaded
from rtdenoise.live.portaudio import Opening, open_stream
from tests.virtual_card.card import VirtualCard


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
    """What a real device says to this rate and these channels."""
    microphone = find_device(list_devices_here(), "virtual_microphone", "input")
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
from rtdenoise.live.devices import explain, load_portaudio_here
for code in (-9985, -9996, -1):
    print(explain(load_portaudio_here().PortAudioError("Error opening Stream", code), "'USB Mic' (ALSA)"))
"""


def test_portaudio_errors_have_remedies(server):
    done = subprocess.run([sys.executable, "-c", REMEDIES], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    words = ("busy; close the program that uses it", "is gone", "doctor")
    assert all(word in line and "'USB Mic'" in line for word, line in zip(words, lines, strict=True))


def test_no_permission_is_told_from_no_device(monkeypatch, tmp_path):
    (tmp_path / "snd").mkdir()
    (tmp_path / "snd" / "pcmC0D0p").write_bytes(b"")
    monkeypatch.setattr(devices, "_SOUND", tmp_path / "snd")
    assert "connect one" in devices.why_none()
    monkeypatch.setattr(devices.os, "access", lambda *_: False)
    assert "group audio" in devices.why_none()
    with pytest.raises(DeviceError, match="no permission"):
        find_device([], "mic", "input")
