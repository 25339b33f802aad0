"""A virtual microphone with the enhanced sound: a PipeWire or PulseAudio source that other programs can select."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.desktop import entries, pactl, server_name, unload

NAME = "rtdenoise"
_SINK = "rtdenoise_output"
_OWNER = "rtdenoise.owner"
_ICON = "audio-input-microphone"
_TITLE = f"{NAME} microphone"
# Desktops show the description and the icon.  The class stays Audio/Source: with Audio/Source/Virtual, WirePlumber 0.4
# links nothing any more.  No link group: PipeWire would run all its members in one graph, which has two clocks then.
_SOURCE = {
    "device.description": _TITLE,
    "node.description": _TITLE,
    "node.nick": _TITLE,
    "device.icon-name": _ICON,
    "device.icon_name": _ICON,  # PulseAudio's spelling
    "media.icon-name": _ICON,
    "node.virtual": "true",
}
# Of the session's own streams.  The name is what PipeWire knows them by: no other program's sound shall follow them.
# Volume and place of an earlier session are not brought back (WirePlumber 0.4 does it all the same; see `attach`).
_STREAMS = {
    "application.name": f"{NAME} virtual microphone",
    "application.icon-name": _ICON,
    "state.restore-target": "false",
    "state.restore-props": "false",
}
_ELSEWHERE = {
    "darwin": "install BlackHole (brew install blackhole-2ch), --output speaker:BlackHole, and pick it as microphone",
    "win32": "install VB-CABLE (vb-audio.com/Cable), then --output speaker:CABLE, and pick CABLE Output as microphone",
}


class VirtualMicrophone:
    """The source "rtdenoise", from `open` to `close`: a sink nobody sees, and a microphone that hears it.

    Parameters
    ----------
    channels : int
        As many as are played: a server that had to mix them down would change the level.

    Attributes
    ----------
    moves : bool
        Whether the server begins every stream at the speakers, so that `attach` has to move it; what plays should be
        silent until then.

    Raises
    ------
    DeviceError
        On a system that has none, or without `pactl`; the message says what to do.
    """

    def __init__(self, channels: int = 1) -> None:
        if sys.platform in _ELSEWHERE:
            raise DeviceError(f"this system has no virtual microphones of its own; {_ELSEWHERE[sys.platform]}")
        if shutil.which("pactl") is None:
            raise DeviceError(
                "a virtual microphone needs PipeWire or PulseAudio and pactl (apt install pulseaudio-utils)"
            )
        self._channels = channels
        self._modules: list[str] = []
        self._before: dict[str, str | None] = {}
        self._real = ""
        self._levelled: set[str] = set()
        self.moves = True

    def open(self) -> None:
        """Make it; whatever ends this early, a signal included, takes back what was made.

        Raises
        ------
        DeviceError
            Where no server answers, or another session has the microphone; the message says what to do.
        """
        try:
            self._load_modules()
            self._lead_here()
        except BaseException:
            self.close()
            raise

    def _lead_here(self) -> None:
        """Let what the audio process will play come to the sink."""
        # PulseAudio stops a stream that is moved; libpulse takes the sink's name instead
        self.moves = server_name() != "pulseaudio"
        ours = {"PIPEWIRE_ALSA": f"{{ {_properties(_STREAMS)} }}"}
        self._environment = ours if self.moves else {"PULSE_SINK": _SINK}
        self._before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)

    def _load_modules(self) -> None:
        _remove_leftovers()
        default = pactl("get-default-sink").strip()
        properties = f"sink_properties='device.description={_SINK} {_OWNER}={identity(os.getpid())}'"
        shape = [f"channels={self._channels}", *(["channel_map=mono"] if self._channels == 1 else [])]
        self._modules, self._levelled = [], set()
        self._load("module-null-sink", f"sink_name={_SINK}", *shape, properties)
        with suppress(DeviceError):
            pactl("set-default-sink", default)  # some servers make a new sink the default
        source = [f"master={_SINK}.monitor", f"source_name={NAME}", f"source_properties='{_properties(_SOURCE)}'"]
        try:
            self._load("module-remap-source", *source, *shape)
        except DeviceError:
            self.close()
            raise

    def _load(self, module: str, *arguments: str) -> None:
        self._modules.append(pactl("load-module", module, *arguments).strip())

    def attach(self, process: int) -> bool:
        """Let what a process plays go into the microphone; whether the server says that it does.

        Call it again and again: a server that is still deciding where a new stream belongs takes no notice of being
        told, and so does one that restores what it remembers.
        """
        self.restore()
        sinks = [line.split("\t") for line in pactl("list", "short", "sinks").splitlines()]
        wanted = {fields[0] for fields in sinks if fields[1:2] == [_SINK]}
        places = _streams_of(process, "sink-inputs", "Sink")
        for number, sink in places.items():
            if sink not in wanted:
                pactl("move-sink-input", number, _SINK)
            if number not in self._levelled:  # a server may remember another volume
                self._levelled.add(number)
                pactl("set-sink-input-volume", number, "100%")
                pactl("set-sink-input-mute", number, "0")
        self.keep_from_hearing_itself(process)
        return bool(places) and set(places.values()) <= wanted

    def keep_from_hearing_itself(self, process: int) -> None:
        """Lead what a process records to the default microphone, or to the last real one while this is the default.

        Call it again and again: a server moves what follows its default, and pipewire-pulse takes a stream that is
        moved to the default for one that follows it.
        """
        default, ours = pactl("get-default-source").strip(), (NAME, f"{_SINK}.monitor")
        sources = dict(line.split("\t")[1::-1] for line in pactl("list", "short", "sources").splitlines())
        own = {sources.pop(name, "") for name in ours}
        microphones = [name for name in sources if not name.endswith(".monitor")]
        real = next((name for name in (default, self._real, *microphones) if name in sources), "")
        if real and (default in ours or real != self._real):
            for number, source in _streams_of(process, "source-outputs", "Source").items():
                if source in own or (self._real and real != self._real):
                    pactl("move-source-output", number, real)
        self._real = real

    def restore(self) -> None:
        """Make it again if its server was started anew."""
        if not any(f"source_name={NAME}" in line for line in pactl("list", "short", "modules").splitlines()):
            self._load_modules()

    def close(self) -> None:
        """Remove it."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        unload(self._modules)
        self._modules = []

    def __enter__(self) -> VirtualMicrophone:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _properties(values: dict[str, str]) -> str:
    return " ".join(f'{key}="{value}"' for key, value in values.items())


def _streams_of(process: int, kind: str, place: str) -> dict[str, str]:
    """Streams of a process, each with its sink or source; the stream, or only its client, names the process."""
    known = f'application.process.id = "{process}"'
    clients = {number for number, text in entries("clients").items() if known in text}
    found = {}
    for number, text in entries(kind).items():
        client = re.search(r"^\s*Client: (\d+)$", text, re.MULTILINE)
        if known in text or (client is not None and client[1] in clients):
            where = re.search(rf"^\s*{place}: (\d+)$", text, re.MULTILINE)
            found[number] = where[1] if where is not None else ""
    return found


def identity(process: int) -> str:
    """A running process's number and when it started, which no other will ever have; the number alone for others."""
    with suppress(OSError):
        return f"{process}-{Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]}"
    return f"{process}"


def _remove_leftovers() -> None:
    """Remove the modules of a session that was killed.

    Raises
    ------
    DeviceError
        If they belong to one that runs.
    """
    left = []
    for line in pactl("list", "short", "modules").splitlines():
        number, _, rest = line.partition("\t")
        if f"sink_name={_SINK}" in rest or f"source_name={NAME}" in rest:
            left.append(number)
        owner = re.search(rf"{_OWNER}=(\d+)-\d+", rest)
        if owner and owner[0] == f"{_OWNER}={identity(int(owner[1]))}":
            raise DeviceError(f"another session has the virtual microphone: process {owner[1]}; end it first")
    for number in reversed(left):
        with suppress(DeviceError):
            pactl("unload-module", number)
