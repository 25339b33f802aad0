"""Query and control the desktop's sound server through its tool `pactl`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import Device

_TIMEOUT_SECONDS = 5.0
_END_SECONDS = 0.5
_PLUGINS = ("pulse", "default", "sysdefault")


def pactl(*arguments: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> str:
    """Run `pactl` and return its output.

    Raises
    ------
    DeviceError
        If there is no server, or it does not respond, or it refuses.
    """
    try:
        done = subprocess.run(
            ["pactl", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # its output is localized
            start_new_session=True,  # Ctrl-C must not interrupt its clean-up
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            "the sound server does not answer; restart it (`systemctl --user restart pipewire pulseaudio`)"
        ) from error
    except OSError as error:
        raise DeviceError(f"pactl does not start: {error.strerror}; install it again") from error
    if done.returncode:
        if "onnection" in done.stderr:
            raise DeviceError("no sound server answers pactl; start PipeWire (with pipewire-pulse) or PulseAudio")
        raise DeviceError(f"pactl {arguments[0]}: {' '.join(done.stderr.split()) or 'failed'}")
    return done.stdout


def unload(modules: Sequence[str]) -> None:
    """Unload modules, the last first, with a short timeout: a hung server does it once it resumes."""
    limit = time.monotonic() + _END_SECONDS
    for module in reversed(modules):
        with suppress(OSError, subprocess.TimeoutExpired):
            process = subprocess.Popen(
                ["pactl", "unload-module", module],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            process.wait(max(0.0, limit - time.monotonic()))


def server_name() -> str:
    """Name reported by the desktop's sound server ("pulseaudio", "PulseAudio (on PipeWire 1.2.3)"); empty if none."""
    if sys.platform != "linux" or shutil.which("pactl") is None:
        return ""
    try:
        lines = pactl("info").splitlines()
    except DeviceError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Server Name:")), "")


def entries(what: str) -> dict[str, str]:
    """Entries that `pactl` lists under "clients", "sink-inputs" ...: text by number."""
    parts = re.split(r"^[A-Z][A-Za-z ]* #(\d+)$", pactl("list", what), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def through_pulseaudio(device: Device | None) -> bool:
    """Whether a device is PulseAudio through ALSA: PortAudio 19.6 loses input there in a full-duplex stream."""
    if device is None or device.host_api != "ALSA" or device.name not in _PLUGINS:
        return False
    return server_name() == "pulseaudio"
