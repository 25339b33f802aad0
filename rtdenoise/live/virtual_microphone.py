"""A microphone that other programs can pick and that speaks enhanced sound: a source of PipeWire or PulseAudio."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rtdenoise.errors import DeviceError

NAME = "rtdenoise"
_TIMEOUT_SECONDS = 5.0
_ELSEWHERE = {
    "darwin": "install BlackHole (brew install blackhole-2ch), --output speaker:BlackHole, and pick it as microphone",
    "win32": "install VB-CABLE (vb-audio.com/Cable), then --output speaker:CABLE, and pick CABLE Output as microphone",
}


@contextmanager
def virtual_microphone() -> Iterator[str]:
    """Make the source "rtdenoise" while the context lasts.

    Yields
    ------
    str
        The output device to play to.

    Raises
    ------
    DeviceError
        Where there is no such server; the message says what to install.
    """
    if sys.platform in _ELSEWHERE:
        raise DeviceError(f"this system has no virtual microphones of its own; {_ELSEWHERE[sys.platform]}")
    if shutil.which("pactl") is None:
        raise DeviceError("a virtual microphone needs PipeWire or PulseAudio and pactl (apt install pulseaudio-utils)")
    server = _pactl("info")
    _remove_leftovers()
    modules = []
    try:
        if "PipeWire" in server:
            kind = "media.class=Audio/Source/Virtual"
            modules.append(_load("module-null-sink", kind, f"sink_name={NAME}", "channel_map=mono"))
            target = f"speaker:{NAME}"
        else:
            sink = f"{NAME}_sink"
            modules.append(_load("module-null-sink", f"sink_name={sink}", f"sink_properties=device.description={sink}"))
            described = f"source_properties=device.description={NAME}"
            modules.append(_load("module-remap-source", f"master={sink}.monitor", f"source_name={NAME}", described))
            target = "speaker:pulse"
        yield target
    finally:
        for module in reversed(modules):
            with suppress(DeviceError):
                _pactl("unload-module", module)


def _load(*arguments: str) -> str:
    return _pactl("load-module", *arguments).strip()


def _remove_leftovers() -> None:
    """Modules of a session that was killed."""
    for line in _pactl("list", "short", "modules").splitlines():
        number, _, rest = line.partition("\t")
        if f"name={NAME}" in rest:
            with suppress(DeviceError):
                _pactl("unload-module", number)


def _pactl(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["pactl", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DeviceError(f"the sound server does not answer pactl: {error}") from error
    if done.returncode:
        why = " ".join(done.stderr.split()) or "failed"
        raise DeviceError(f"pactl {arguments[0]}: {why}; is the sound server running?")
    return done.stdout
