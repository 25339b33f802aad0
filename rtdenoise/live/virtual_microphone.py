"""A microphone that other programs can pick and that speaks enhanced sound: a source of PipeWire or PulseAudio."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress

from rtdenoise.errors import DeviceError
from rtdenoise.live.desktop import pactl, server_name

NAME = "rtdenoise"
_SINK = "rtdenoise_output"
_ELSEWHERE = {
    "darwin": "install BlackHole (brew install blackhole-2ch), --output speaker:BlackHole, and pick it as microphone",
    "win32": "install VB-CABLE (vb-audio.com/Cable), then --output speaker:CABLE, and pick CABLE Output as microphone",
}


class VirtualMicrophone:
    """The source "rtdenoise", from `open` to `close`: a sink nobody sees, and a microphone that hears it.

    Raises
    ------
    DeviceError
        Where there is no such server; the message says what to install.
    """

    def __init__(self) -> None:
        if sys.platform in _ELSEWHERE:
            raise DeviceError(f"this system has no virtual microphones of its own; {_ELSEWHERE[sys.platform]}")
        if shutil.which("pactl") is None:
            raise DeviceError(
                "a virtual microphone needs PipeWire or PulseAudio and pactl (apt install pulseaudio-utils)"
            )
        _remove_leftovers()
        self._attached = 0
        self._moves = (
            server_name() != "pulseaudio"
        )  # there a stream that is moved stops; libpulse takes the name instead
        self._environment = {} if self._moves else {"PULSE_SINK": _SINK}
        os.environ.update(self._environment)
        default = pactl("get-default-sink").strip()
        self._modules = [
            _load("module-null-sink", f"sink_name={_SINK}", "channels=2", f"sink_properties=device.description={_SINK}")
        ]
        with suppress(DeviceError):
            pactl("set-default-sink", default)  # some servers make a new sink the default
        named = f"source_properties=device.description={NAME}"
        self._modules.append(_load("module-remap-source", f"master={_SINK}.monitor", f"source_name={NAME}", named))

    def attach(self, process: int) -> None:
        """Let what a process plays go into the microphone; once per process, as soon as it plays."""
        if process == self._attached or not self._moves:
            return
        for number in _inputs_of(process):
            pactl("move-sink-input", number, _SINK)
            self._attached = process

    def close(self) -> None:
        """Remove it."""
        for name in self._environment:
            os.environ.pop(name, None)
        for module in reversed(self._modules):
            with suppress(DeviceError):
                pactl("unload-module", module)
        self._modules = []

    def __enter__(self) -> VirtualMicrophone:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _inputs_of(process: int) -> list[str]:
    """Numbers of the streams that a process plays."""
    found, number = [], ""
    for line in pactl("list", "sink-inputs").splitlines():
        if line.startswith("Sink Input #"):
            number = line.rpartition("#")[2]
        elif line.strip() == f'application.process.id = "{process}"':
            found.append(number)
    return found


def _load(*arguments: str) -> str:
    return pactl("load-module", *arguments).strip()


def _remove_leftovers() -> None:
    """Modules of a session that was killed."""
    for line in pactl("list", "short", "modules").splitlines():
        number, _, rest = line.partition("\t")
        if f"sink_name={_SINK}" in rest or f"source_name={NAME}" in rest:
            with suppress(DeviceError):
                pactl("unload-module", number)
