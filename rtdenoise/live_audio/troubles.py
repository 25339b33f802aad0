"""What `rtdenoise doctor` may find wrong, with the remedies: the page on troubleshooting is made from these texts."""

from __future__ import annotations

from dataclasses import dataclass

from rtdenoise.cache import folders
from rtdenoise.child.scheduling import HOW_MEMORY, HOW_PRIORITY
from rtdenoise.live_audio.audio.devices import ALLOW_AND_LOG_IN, CONNECT_ONE, LOG_IN_AGAIN

OK, WARNING, FAILED = "ok", "warning", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: `state` is "ok", "warning" or "failed"; `remedy` is empty if none is needed."""

    name: str
    state: str
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that a check may find wrong; words in braces stand for what it finds there.

    `remedies` are all that it may advise; the first one if nothing more is known.
    """

    check: str
    state: str
    found: str
    remedies: tuple[str, ...]

    def finding(self, *, remedy: str = "", **facts: object) -> Finding:
        """The finding on this machine."""
        advice = remedy or self.remedies[0].format(**facts)
        return Finding(name=self.check, state=self.state, found=self.found.format(**facts), remedy=advice)


NO_HOST_API = Trouble(
    check="PortAudio",
    state=FAILED,
    found="{version}, no host API",
    remedies=(
        "install one that knows a sound system of this machine (Debian, Ubuntu: sudo apt install libportaudio2)",
    ),
)
NOT_PERMITTED = Trouble(
    check="permissions",
    state=WARNING,
    found="{allowed} of {cards} sound devices of the system may be opened",
    remedies=(ALLOW_AND_LOG_IN, LOG_IN_AGAIN.format(group="audio")),
)
SILENT_ON_A_MAC = Trouble(
    check="permissions",
    state=OK,
    found="whether macOS allows the microphone cannot be asked from here",
    remedies=(
        "if it gives only silence: System Settings > Privacy & Security > Microphone: allow your terminal, restart it",
    ),
)
SILENT_ON_WINDOWS = Trouble(
    check="permissions",
    state=OK,
    found="whether Windows allows the microphone cannot be asked from here",
    remedies=(
        "if it gives only silence: Settings > Privacy & security > Microphone: let desktop apps access your microphone",
    ),
)
NO_DEVICES = Trouble(
    check="devices",
    state=FAILED,
    found="{inputs} inputs, {outputs} outputs on {hosts}",
    remedies=(CONNECT_ONE, ALLOW_AND_LOG_IN),
)
NO_SOUND = Trouble(
    check="streams",
    state=FAILED,
    found="{message}",
    remedies=("see `rtdenoise devices`; close other programs that use the device",),
)
PULSEAUDIO = Trouble(
    check="sound server",
    state=WARNING,
    found="PulseAudio: input and output run as two streams, some 20 ms later than on PipeWire or JACK",
    remedies=("sudo apt install pipewire-audio (it replaces PulseAudio), or use JACK",),
)
NO_PRIORITY = Trouble(check="priority", state=WARNING, found="refused", remedies=(HOW_PRIORITY,))
NO_MEMORY_LOCK = Trouble(check="memory lock", state=WARNING, found="refused", remedies=(HOW_MEMORY,))
LATE_TIMERS = Trouble(
    check="clock",
    state=WARNING,
    found="timers are up to {late_ms:.1f} ms late",
    remedies=("the machine is busy or saves power: close programs, or try --latency safe",),
)
NO_COMPILER = Trouble(
    check="compiler", state=FAILED, found="numba is turned off", remedies=("unset NUMBA_DISABLE_JIT",)
)
NOTHING_KEPT = Trouble(
    check="compiled code",
    state=WARNING,
    found="cannot be kept: every start compiles",
    remedies=(f"set {folders.VARIABLE} to a folder that you can write",),
)
KEPT_ELSEWHERE = Trouble(
    check="compiled code",
    state=WARNING,
    found="kept in {folder} ({usage}), because {reason}; it may be emptied at any time",
    remedies=NOTHING_KEPT.remedies,
)
OTHERS_WRITE = Trouble(
    check="compiled code",
    state=WARNING,
    found="kept in {folder} ({usage}); others can write there: their files are not used, but they can remove yours",
    remedies=("chmod go-w {folder}",),
)
NO_LITERT = Trouble(
    check="network engines",
    state=OK,
    found="compiled code; not LiteRT, which only networks over samples and 8 bits need",
    remedies=("if you want those: pip install 'rtdenoise[litert]'",),
)
NO_PACTL = Trouble(
    check="virtual microphone",
    state=WARNING,
    found="pactl is missing",
    remedies=("sudo apt install pulseaudio-utils",),
)
NO_SOUND_SERVER = Trouble(
    check="virtual microphone",
    state=WARNING,
    found="no sound server answers pactl",
    remedies=("start PipeWire (with pipewire-pulse) or PulseAudio; only --output virtual-mic needs it",),
)
SERVICE_ORPHANED = Trouble(
    check="start with the session",
    state=FAILED,
    found="{path} starts {program}, which is not there any more",
    remedies=("`rtdenoise install` with its options again, or `rtdenoise uninstall`",),
)
SERVICE_DOWN = Trouble(
    check="start with the session",
    state=WARNING,
    found="installed in {path}, but does not run ({state})",
    remedies=(
        "`systemctl --user restart rtdenoise`; why it ended: `journalctl --user -u rtdenoise`",
        "log in again, or see the end of ~/Library/Logs/rtdenoise.log",
        "log in again",
    ),
)
TOO_SLOW = Trouble(
    check="method {method}",
    state=WARNING,
    found="{p50:.1f} % of each hop of {hop_ms:.1f} ms (p99 {p99:.1f} %)",
    remedies=("a longer preset, fewer programs, or another method",),
)

TROUBLES = tuple(value for value in list(globals().values()) if isinstance(value, Trouble))
"""In the order of the checks."""
