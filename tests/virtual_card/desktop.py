"""A private sound server of a desktop, PipeWire or PulseAudio: headless, with a microphone that hears what is played.

Programs with its `environment` see two sinks, "speakers" (the default) and "room", and the default source "mic", which
hears what goes into the room.  Its clock runs at the rate that ALSA's plugins offer, so that nothing is resampled.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

KINDS = ("pipewire", "pulseaudio")
RATE = 44100

_UP_SECONDS = 60.0
_ANSWER_SECONDS = 20.0
_STARTS = 3  # of one program, in one start of the server
_PROGRAMS = {
    "pipewire": ("dbus-daemon", "pipewire", "wireplumber", "pipewire-pulse", "pactl", "parec", "pacat"),
    "pulseaudio": ("pulseaudio", "pactl", "parec", "pacat"),
}
_PLUGIN = {"pipewire": "libasound_module_pcm_pipewire.so", "pulseaudio": "libasound_module_pcm_pulse.so"}
_ALSA = {
    "pipewire": 'pcm.!default {{ type pipewire {hint} }}\npcm_type.pipewire {{ lib "{plugin}" }}\n',
    "pulseaudio": 'pcm.!default {{ type pulse {hint} }}\npcm_type.pulse {{ lib "{plugin}" }}\n',
}
_HINT = 'hint { show on description "The desktop\'s sound server" }'
_ONE_CLOCK = "sink_properties=node.group=card"  # two clocks in one graph may stop each other in PipeWire 0.3.65
_MODULES = (
    ("module-null-sink", "sink_name=speakers", f"rate={RATE}", _ONE_CLOCK),
    ("module-null-sink", "sink_name=room", f"rate={RATE}", _ONE_CLOCK),
    ("module-remap-source", "master=room.monitor", "source_name=mic"),
)


def missing(kind: str) -> str:
    """Why there can be no such server here, or nothing."""
    for program in _PROGRAMS[kind]:
        if shutil.which(program) is None:
            return f"{program} is not installed (tests/virtual_card/install)"
    if _plugin(kind) is None:
        return f"ALSA has no {_PLUGIN[kind]} (tests/virtual_card/install)"
    return ""


def _plugin(kind: str) -> Path | None:
    """ALSA's way to the server, which PortAudio takes."""
    folders = [Path(os.environ["ALSA_PLUGIN_DIR"])] if os.environ.get("ALSA_PLUGIN_DIR") else []
    folders += [*Path("/usr/lib").glob("*/alsa-lib"), Path("/usr/lib64/alsa-lib"), Path("/usr/lib/alsa-lib")]
    return next((folder / _PLUGIN[kind] for folder in folders if (folder / _PLUGIN[kind]).exists()), None)


def _listens(path: Path) -> bool:
    """Whether a server takes connections there; one that was killed leaves a socket where none does."""
    with closing(socket.socket(socket.AF_UNIX)) as caller, suppress(OSError):
        caller.settimeout(1.0)
        caller.connect(str(path))
        return True
    return False


class Desktop:
    """One running server; `environment` is what programs need to use it and no other.

    Parameters
    ----------
    kind : "pipewire" or "pulseaudio"
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._folder = Path(tempfile.mkdtemp(prefix="rtdenoise-desktop-"))
        self._processes: list[subprocess.Popen[bytes]] = []  # in the order of their start, one for each program
        self._started: list[str] = []  # every start since the server was started
        for name in ("run", "run/pulse", "config/pipewire/pipewire.conf.d"):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / "config/pipewire/pipewire.conf.d/rate.conf").write_text(
            f"context.properties = {{ default.clock.rate = {RATE} default.clock.allowed-rates = [ {RATE} ] }}\n"
        )
        (self._folder / "asound.conf").write_text(_ALSA[kind].format(hint=_HINT, plugin=_plugin(kind)))

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs that shall use this server."""
        run = self._folder / "run"
        return {
            "XDG_RUNTIME_DIR": str(run),
            "XDG_CONFIG_HOME": str(self._folder / "config"),
            "XDG_STATE_HOME": str(self._folder / "state"),
            "PULSE_RUNTIME_PATH": str(run / "pulse"),
            "PULSE_SERVER": f"unix:{run}/pulse/native",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run}/bus",
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
            "JACK_NO_START_SERVER": "1",
            "JACK_DEFAULT_SERVER": f"nobody-{os.getpid()}",
        }

    @property
    def log(self) -> str:
        """What the servers printed."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> Desktop:
        """Start it, or start it again."""
        try:
            self._launch_all()
        except BaseException:
            self.kill()
            raise
        return self

    def _launch_all(self) -> None:
        if self.kind == "pulseaudio":
            modules = [("module-native-protocol-unix",), *_MODULES]
            loading = [f"--load={' '.join(module)}" for module in modules]
            self._launch("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--realtime=no", *loading)
        else:
            run = self._folder / "run"
            self._launch("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={run}/bus")
            self._wait(partial(_listens, run / "bus"))
            self._launch("pipewire")
            self._wait(partial(_listens, run / "pipewire-0"))  # the others end at once if they cannot connect
            for program in ("wireplumber", "pipewire-pulse"):
                self._launch(program)
        self._wait(lambda: bool(self.pactl("info")))
        if self.kind == "pipewire":
            for module in _MODULES:
                self._wait(partial(self._make, *module))
        self._wait(lambda: {"speakers", "room"} <= self.names("sinks") and "mic" in self.names("sources"))
        for kind, name in (("sink", "speakers"), ("source", "mic")):
            self._wait(partial(self._make_default, kind, name))  # refused while the session manager is starting

    def _make(self, *module: str) -> bool:
        """Load a module unless it is there: a server that is starting may do it and not answer."""
        named = next(part for part in module if "_name=" in part)
        if named not in self.pactl("list", "short", "modules"):
            self.pactl("load-module", *module)
        return True

    def _make_default(self, kind: str, name: str) -> bool:
        self.pactl(f"set-default-{kind}", name)
        return f"Default {kind.title()}: {name}" in self.pactl("info")

    def _launch(self, *command: str) -> None:
        self._processes.append(self._run(*command))

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        self._started.append(command[0])
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )

    def _wait(self, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + _UP_SECONDS
        while time.monotonic() < limit:
            self._replace_ended()
            with suppress(subprocess.SubprocessError):
                if condition():
                    return
            time.sleep(0.1)
        raise RuntimeError(f"{self.kind} did not start: {self.log}")

    def _replace_ended(self) -> None:
        """Start a program again that ended while the server starts, some times."""
        for place, process in enumerate(self._processes):
            if process.poll() is None:
                continue
            command = [str(word) for word in process.args]
            if self._started.count(command[0]) >= _STARTS:
                code = process.returncode
                raise RuntimeError(
                    f"{self.kind} did not start: {command[0]} ended {_STARTS} times, at last with {code}: {self.log}"
                )
            self._processes[place] = self._run(*command)

    def pactl(self, *arguments: str) -> str:
        """What `pactl` prints."""
        return subprocess.run(
            ["pactl", *arguments],
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
            check=True,
            env=os.environ | self.environment | {"LC_ALL": "C"},
        ).stdout

    def names(self, what: str) -> set[str]:
        """Names of its "sources", "sinks" ..."""
        return {line.split("\t")[1] for line in self.pactl("list", "short", what).splitlines()}

    def send(self, number: int) -> None:
        """A signal to the server that `pactl` talks to."""
        self._processes[-1].send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and remove what it left."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, number: int) -> None:
        for process in reversed(self._processes):
            process.send_signal(number)
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(3)
        self._processes, self._started = [], []
        for left in (self._folder / "run").rglob("*"):
            if left.is_socket():
                left.unlink()  # of a server that was killed: whoever starts next must not take it for an open one

    def __enter__(self) -> Desktop:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
