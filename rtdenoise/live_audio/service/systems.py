"""What starts the microphone with the session on Linux, macOS and Windows; plans alone, `plan` carries them out."""

from __future__ import annotations

import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from platformdirs import user_config_path, user_data_path

from rtdenoise.live_audio.service.plan import MARK, Command, Plan, is_ours
from rtdenoise.live_audio.service.quoting import batch_line, desktop_line, systemd_line

UNIT = "rtdenoise.service"
LABEL = "rtdenoise.microphone"
_ANSWER_SECONDS = 10.0
_TRAY_SECONDS = "60"  # a desktop may start its tray after its programs
_OUTPUTS = {"darwin": "speaker:BlackHole", "win32": "speaker:CABLE"}
_CABLES = {
    "darwin": "pick BlackHole 2ch as the microphone of your calls; if it is missing: brew install blackhole-2ch",
    "win32": "pick CABLE Output as the microphone of your calls; if it is missing: VB-CABLE, vb-audio.com/Cable",
}

_SERVICE = """\
# {mark}
[Unit]
Description=rtdenoise microphone: speech without the noise around it
After=pipewire.service pipewire-pulse.service wireplumber.service pulseaudio.service

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=5
KillMode=mixed

[Install]
WantedBy=default.target
"""
_AUTOSTART = """\
# {mark}
[Desktop Entry]
Type=Application
Name=rtdenoise microphone
Comment=Starts the microphone without noise
Exec={command}
Icon=rtdenoise
Terminal=false
NoDisplay=true
"""
_TRAY = """\
# {mark}
[Desktop Entry]
Type=Application
Name=rtdenoise in the tray
Comment=Shows and switches the microphone without noise
Exec={command}
Icon=rtdenoise
Terminal=false
NoDisplay=true
"""
_ENTRY = """\
# {mark}
[Desktop Entry]
Type=Application
Name=rtdenoise
GenericName=Noise suppression
Comment=Control the microphone without noise
Exec={command}
Icon=rtdenoise
Terminal=false
Categories=AudioVideo;Audio;
Keywords=microphone;noise;voice;call;
"""
_BATCH = """\
@echo off
rem {mark}
chcp 65001 >nul
start "" {command}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """What starts the microphone: the file, the interpreter it names, and whether the session's manager runs it now."""

    path: Path
    program: Path
    state: str


def plan_install(arguments: Sequence[str], system: str = sys.platform, *, tray: bool = False) -> Plan:
    """What installing writes and runs.

    Parameters
    ----------
    arguments : sequence of str
        Options of `rtdenoise live`, without its output.
    system : str
        As `sys.platform` names it.
    tray : bool
        Whether an icon in the tray starts with the desktop, too; on Linux alone.
    """
    output = _OUTPUTS.get(system, "virtual-mic")
    live = [sys.executable, "-m", "rtdenoise", "live", "--output", output, *arguments, "--control", "--quiet"]
    if system == "darwin":
        return _install_on_macos(live)
    if system == "win32":
        return _install_on_windows(live)
    return _install_on_linux(live, tray=tray)


def plan_uninstall(system: str = sys.platform) -> Plan:
    """What takes an installation back; an empty plan if there is none."""
    present = tuple(path for path in _all_files(system) if is_ours(path))
    strangers = [path for path in _all_files(system) if path.exists() and path not in present]
    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()
    if system == "linux" and _unit() in present and systemd_answers():
        before = (_systemctl("disable", "--now", UNIT),)
        after = (_systemctl("daemon-reload"),)
    elif system == "darwin" and present:
        before = (Command(words=("launchctl", "bootout", _domain() + f"/{LABEL}"), may_fail=True),)
    notes = tuple(f"left {path}: it was not written by `rtdenoise install`" for path in strangers)
    return Plan(before=before, remove=present, after=after, notes=notes)


def starter(system: str = sys.platform) -> Starter | None:
    """The installed starter, if there is one."""
    for path, program in _starters(system).items():
        if is_ours(path):
            state = _unit_state() if path == _unit() else ""
            return Starter(path=path, program=Path(program(path.read_text("utf-8", "replace"))), state=state)
    return None


def systemd_answers() -> bool:
    """Whether a systemd of this user's session can be asked."""
    return shutil.which("systemctl") is not None and _output("systemctl", "--user", "show-environment") is not None


def _install_on_linux(live: Sequence[str], *, tray: bool) -> Plan:
    panel = desktop_line([sys.executable, "-m", "rtdenoise", "panel"])
    icon = resources.files(__package__).joinpath("icon.svg").read_text("utf-8").format(mark=MARK)
    shown = [(_entry(), _ENTRY.format(mark=MARK, command=panel)), (_icon(), icon)]
    if tray:
        line = desktop_line([sys.executable, "-m", "rtdenoise", "tray", "--wait", _TRAY_SECONDS])
        shown.append((_tray(), _TRAY.format(mark=MARK, command=line)))
    earlier = () if tray else (_tray(),)
    if systemd_answers():
        return Plan(
            write=((_unit(), _SERVICE.format(mark=MARK, command=systemd_line(live))), *shown),
            remove=tuple(path for path in (_autostart(), *earlier) if is_ours(path)),
            after=(_systemctl("daemon-reload"), _systemctl("enable", UNIT), _systemctl("restart", UNIT)),
        )
    return Plan(
        write=((_autostart(), _AUTOSTART.format(mark=MARK, command=desktop_line(live))), *shown),
        remove=tuple(path for path in (_wanted(), _unit(), *earlier) if is_ours(path)),
        notes=(
            "no systemd answers for your session (`systemctl --user`): the microphone starts with your desktop, "
            "from the next login on",
        ),
    )


def _install_on_macos(live: Sequence[str]) -> Plan:
    log = str(Path.home() / "Library" / "Logs" / "rtdenoise.log")
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(live),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ProcessType": "Interactive",  # not throttled
        "StandardErrorPath": log,
    }
    content = plistlib.dumps(agent).decode().replace("<dict>", f"<!-- {MARK} -->\n<dict>", 1)
    return Plan(
        write=((_agent(), content),),
        after=(
            Command(words=("launchctl", "bootout", f"{_domain()}/{LABEL}"), may_fail=True),
            Command(words=("launchctl", "bootstrap", _domain(), str(_agent()))),
        ),
        notes=(_CABLES["darwin"],),
    )


def _install_on_windows(live: Sequence[str]) -> Plan:
    program = Path(live[0])
    windowless = program.with_name("pythonw.exe")
    if program.name.lower() == "python.exe" and windowless.exists():
        live = [str(windowless), *live[1:]]
    content = _BATCH.format(mark=MARK, command=batch_line(live)).replace("\n", "\r\n")
    return Plan(
        write=((_startup(), content),),
        notes=("it starts at the next login; to start it now, open that file", _CABLES["win32"]),
    )


def _systemctl(*words: str) -> Command:
    return Command(words=("systemctl", "--user", *words))


def _output(*words: str) -> str | None:
    """What a program prints, None if it fails."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        return done.stdout if done.returncode == 0 else None
    return None


def _unit_state() -> str:
    shown = _output("systemctl", "--user", "show", "--property=ActiveState", "--value", UNIT)
    return (shown or "unknown").strip()


def _all_files(system: str) -> tuple[Path, ...]:
    """Every file that any version of an installation makes; links before what they lead to."""
    if system == "linux":
        return (_wanted(), _unit(), _autostart(), _entry(), _icon(), _tray())
    return tuple(_starters(system))


def _starters(system: str) -> dict[Path, Callable[[str], str]]:
    """Files that start the microphone, each with what finds the interpreter in it."""
    if system == "darwin":
        return {_agent(): lambda text: str(plistlib.loads(text.encode())["ProgramArguments"][0])}
    if system == "win32":
        return {_startup(): lambda text: _found(r'^start "" "([^"]*)"', text).replace("%%", "%")}
    return {
        _unit(): lambda text: _first_word(_found("^ExecStart=(.*)$", text)),
        _autostart(): lambda text: _first_word(_unescaped(_found('^Exec=(?:"env" )?(.*)$', text))),
    }


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""


def _unescaped(line: str) -> str:
    """A line of a desktop entry as a shell would read it."""
    return re.sub(r"\\([`$])", r"\1", line.replace("\\\\", "\\"))


def _first_word(line: str) -> str:
    words = shlex.split(line)
    return words[0].replace("%%", "%") if words else ""


def _unit() -> Path:
    return user_config_path() / "systemd" / "user" / UNIT


def _wanted() -> Path:
    return _unit().parent / "default.target.wants" / UNIT


def _autostart() -> Path:
    return user_config_path() / "autostart" / "rtdenoise.desktop"


def _tray() -> Path:
    return _autostart().with_name("rtdenoise-tray.desktop")


def _entry() -> Path:
    return user_data_path() / "applications" / "rtdenoise.desktop"


def _icon() -> Path:
    return user_data_path() / "icons" / "hicolor" / "scalable" / "apps" / "rtdenoise.svg"


def _agent() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _startup() -> Path:
    roaming = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    return Path(roaming, "Microsoft", "Windows", "Start Menu", "Programs", "Startup", "rtdenoise.cmd")
