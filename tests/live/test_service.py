"""`rtdenoise install` and `uninstall`: the systems' own tools read what they write, and they touch nothing else."""

from __future__ import annotations

import configparser
import json
import os
import plistlib
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rtdenoise.errors import AudioFileError, ConfigError, DeviceError
from rtdenoise.live_audio import doctor
from rtdenoise.live_audio.control.client import Control
from rtdenoise.live_audio.service import plan as plans
from rtdenoise.live_audio.service import systems
from rtdenoise.live_audio.service.plan import MARK, Command, Plan, carry_out
from rtdenoise.live_audio.service.quoting import batch_line, desktop_line, systemd_line
from rtdenoise.live_audio.service.systems import plan_install, plan_uninstall
from tests.cli.conftest import call
from tests.live.test_faults import wait_until
from tests.live.test_virtual_microphone import START_SECONDS, desktop, fed, traces

__all__ = ["call", "desktop"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="the files of Linux")
ODD = ["a b", "50%", "%h", "$HOME", "${HOME}", "it's", "`x`", "a;b|c&d", "Mikrofon für Anrufe", "--input=mic:x"]
# reports where it was started from, and every word it got
PROGRAM = """#!/bin/sh
for word in "$0" "$@"; do printf '%s\\n' "$word"; done > "$TOLD.part"
mv "$TOLD.part" "$TOLD"
"""
# The real systemctl enables and disables without a manager; what needs one is only noted.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$2" in
enable|disable) SYSTEMD_OFFLINE=1 exec {real} --user "$2" rtdenoise.service ;;
show) echo "$STATE" ;;
esac
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home folder of its own, whose name needs quotes and escapes everywhere."""
    folder = tmp_path / "50% of a $home"
    folder.mkdir()
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "APPDATA", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


@pytest.fixture
def without_systemd(monkeypatch):
    monkeypatch.setattr(systems, "systemd_answers", lambda: False)


@pytest.fixture
def systemctl(home, tmp_path, monkeypatch) -> Path:
    """A systemctl that enables for real; returns the file with what it was asked."""
    real, folder = shutil.which("systemctl"), tmp_path / "bin"
    if real is None:
        pytest.skip("systemctl is not installed")
    folder.mkdir()
    (folder / "systemctl").write_text(SYSTEMCTL.format(real=real), "ascii")
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("STATE", "active")
    return tmp_path / "notes"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if not path.is_dir()}


def program(folder: Path, name: str) -> Path:
    path = folder / name / "python"
    path.parent.mkdir()
    path.write_text(PROGRAM, "ascii")
    path.chmod(0o755)
    return path


# quoting


@linux
def test_systemd_takes_the_unit_whatever_the_words_hold(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "rtdenoise.service"
    line = systemd_line([str(program(tmp_path, "50% of $a ${b}")), *ODD, 'a "quote"', "back\\slash"])
    unit.write_text(systems._SERVICE.format(mark=MARK, command=line), "utf-8")
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "--user", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "%%h" in line and "$${HOME}" in line and "50%% of $a ${b}" in line


@linux
def test_a_desktop_starts_every_word_as_it_is(tmp_path):
    if shutil.which("gio") is None:
        pytest.skip("gio is not installed")
    started = program(tmp_path, 'a "quoted" $folder\\ `50%`')
    words = [*ODD, 'a "quote"', "back\\slash"]
    entry, told = tmp_path / "rtdenoise.desktop", tmp_path / "told"
    entry.write_text(systems._AUTOSTART.format(mark=MARK, command=desktop_line([str(started), *words])), "utf-8")
    subprocess.run(["gio", "launch", str(entry)], env=os.environ | {"TOLD": str(told)}, timeout=60, check=True)
    wait_until(told.exists, 20.0)
    assert told.read_text("utf-8").splitlines() == [str(started), *words]


@pytest.mark.parametrize("quote", [systemd_line, desktop_line, batch_line])
@pytest.mark.parametrize("word", ["a\nb", "a\x1bb", "caf\udce9"])
def test_what_no_file_can_hold_is_one_line(quote, word):
    with pytest.raises(ConfigError, match="rename it"):
        quote(["/usr/bin/python", word])


def test_what_one_system_cannot_hold_is_one_line():
    with pytest.raises(ConfigError, match="rename a folder"):
        systemd_line(['/opt/a"b/python'])
    with pytest.raises(ConfigError, match="leave it out"):
        batch_line(["python", 'mic:"x"'])
    assert batch_line(["C:\\50%\\", "a b"]) == '"C:\\50%%\\\\" "a b"'


# plans


@linux
def test_install_twice_and_uninstall_leave_what_was_there(home, call, without_systemd):
    stranger = home / ".config" / "autostart" / "other.desktop"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("[Desktop Entry]\n", "ascii")
    before = files(home)
    first = call("install", "--method", "CAN", "--input", "mic:Head set", "--attenuation-limit", "12")
    assert first.code == 0 and "from the next login on" in first.out
    written = files(home)
    assert set(written) - set(before) == {
        ".config/autostart/rtdenoise.desktop",
        ".local/share/applications/rtdenoise.desktop",
        ".local/share/icons/hicolor/scalable/apps/rtdenoise.svg",
    }
    assert all(MARK.encode() in written[name] for name in set(written) - set(before))
    again = call("install", "--method", "CAN", "--input", "mic:Head set", "--attenuation-limit", "12")
    assert files(home) == written and again.out.count("unchanged ") == 3
    assert call("install", "--method", "SS").out.count("unchanged ") == 2
    removed = call("uninstall")
    assert removed.code == 0 and removed.out.count("removed ") == 3
    assert files(home) == before
    nothing = call("uninstall")
    assert (nothing.code, len(nothing.out.splitlines())) == (0, 1) and "nothing to remove" in nothing.out


@linux
def test_the_icon_in_the_tray_starts_with_the_desktop_until_it_is_left_out_or_taken_back(home, call, without_systemd):
    if find_spec("pystray") is None:  # looking for it does not import it: that needs a display
        pytest.skip("needs pip install 'rtdenoise[tray]'")
    entry = home / ".config" / "autostart" / "rtdenoise-tray.desktop"
    assert f"would write {entry}:" in call("install", "--tray", "--dry-run").out and not entry.exists()
    assert call("install", "--tray").code == 0
    started = configparser.RawConfigParser(strict=True)
    started.read_string(entry.read_text("utf-8"))
    assert started["Desktop Entry"]["exec"] == f'"{sys.executable}" "-m" "rtdenoise" "tray" "--wait" "60"'
    assert "--tray" not in (entry.parent / "rtdenoise.desktop").read_text("utf-8")
    assert call("install").code == 0 and not entry.exists()
    call("install", "--tray")
    assert f"removed {entry}" in call("uninstall").out and files(home) == {}


@linux
def test_with_systemd_the_unit_is_enabled_started_and_taken_back(home, call, systemctl):
    assert call("install", "--preset", "ultra").code == 0
    unit = home / ".config/systemd/user/rtdenoise.service"
    text = unit.read_text("utf-8")
    assert f'ExecStart="{sys.executable}" "-m" "rtdenoise" "live" "--output" "virtual-mic" "--preset=ultra"' in text
    wanted = unit.parent / "default.target.wants" / unit.name
    assert wanted.is_symlink() and wanted.samefile(unit)
    asked = [line for line in systemctl.read_text().splitlines() if "show-environment" not in line]
    assert asked == ["--user daemon-reload", "--user enable rtdenoise.service", "--user restart rtdenoise.service"]
    assert call("uninstall").code == 0
    assert files(home) == {} and not wanted.is_symlink()
    assert "--user disable --now rtdenoise.service" in systemctl.read_text()


@linux
def test_a_unit_that_systemd_can_no_longer_be_asked_about_is_removed_with_its_link(home, call, systemctl, monkeypatch):
    answers = systems.systemd_answers
    call("install")
    monkeypatch.setattr(systems, "systemd_answers", lambda: False)
    done = call("install")
    assert sorted(files(home / ".config")) == ["autostart/rtdenoise.desktop"]
    assert "default.target.wants/rtdenoise.service" in done.out
    link = home / ".config/systemd/user/default.target.wants/rtdenoise.service"
    assert not link.is_symlink()
    monkeypatch.setattr(systems, "systemd_answers", answers)
    call("install")
    assert link.is_symlink()
    monkeypatch.setattr(systems, "systemd_answers", lambda: False)
    call("uninstall")
    assert files(home) == {} and not link.is_symlink()


@linux
def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(home, call, without_systemd):
    theirs = home / ".local/share/applications/rtdenoise.desktop"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Desktop Entry]\nName=mine\n", "ascii")
    before = files(home)
    refused = call("install")
    assert refused.code == 1 and "was not written by `rtdenoise install`" in refused.err
    assert files(home) == before, "nothing was begun"
    left = call("uninstall")
    assert left.code == 0 and f"left {theirs}" in left.out and files(home) == before


def test_a_file_that_cannot_be_written_takes_back_those_before_it(tmp_path):
    old, new, blocked = tmp_path / "old", tmp_path / "folder" / "new", tmp_path / "file" / "blocked"
    old.write_text(f"{MARK} one\n", "ascii")
    (tmp_path / "file").write_text("no folder", "ascii")
    before = files(tmp_path)
    plan = Plan(write=((old, f"{MARK} two\n"), (new, f"{MARK}\n"), (blocked, f"{MARK}\n")))
    with pytest.raises(AudioFileError, match="file"):
        carry_out(plan, lambda _line: None)
    assert files(tmp_path) == before and not new.parent.exists()


def test_commands_that_fail_are_one_line_with_a_remedy(monkeypatch):
    failing = Command(words=(sys.executable, "-c", "import sys; sys.exit('no\\nbus')"))
    with pytest.raises(DeviceError, match="failed: no bus; run it again"):
        carry_out(Plan(after=(failing,)), lambda _line: None)
    with pytest.raises(DeviceError, match="No such file"):
        carry_out(Plan(after=(Command(words=("no-such-program",)),)), lambda _line: None)
    carry_out(Plan(before=(Command(words=failing.words, may_fail=True),)), lambda _line: None)
    monkeypatch.setattr(plans, "_COMMAND_SECONDS", 0.2)
    with pytest.raises(DeviceError, match="no answer within"):
        carry_out(
            Plan(after=(Command(words=(sys.executable, "-c", "import time; time.sleep(9)")),)), lambda _line: None
        )


@linux
def test_dry_run_and_json_show_the_plan_and_do_nothing(home, call, systemctl):
    shown = call("install", "--dry-run", "--method", "CAN")
    assert shown.code == 0 and f"would write {home}/.config/systemd/user/rtdenoise.service:" in shown.out
    assert "would run systemctl --user enable rtdenoise.service" in shown.out
    planned = json.loads(call("install", "--dry-run", "--json").out)
    assert planned["dry_run"] and len(planned["plan"]["write"]) == 3 and planned["steps"] == []
    assert files(home) == {}
    done = json.loads(call("install", "--json").out)
    assert done["plan"] == planned["plan"] and len(done["steps"]) == 6
    assert json.loads(call("uninstall", "--json").out)["plan"]["remove"]
    assert files(home) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--input", "3"), "indices change"),
        (("--input", "talk.wav"), "is not a microphone"),
        (("--input", "speaker"), "is not a microphone"),
        (("--method", "NOPE"), "unknown method"),
        (("--model", "nope"), "no model 'nope'"),
        (("--set", "wiener.nope=1"), "nope"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(
    home, call, without_systemd, arguments, words
):
    done = call("install", *arguments)
    assert done.code != 0 and words in done.err and len(done.err.strip().splitlines()) <= 3
    assert files(home) == {}


def test_paths_in_the_settings_do_not_depend_on_the_folder(home, call, without_systemd, tmp_path):
    (tmp_path / "my.yaml").write_text("method: SS\n", "ascii")
    planned = json.loads(call("install", "--dry-run", "--json", "--config", "my.yaml").out)
    if sys.platform == "linux":
        assert f"--config={tmp_path / 'my.yaml'}" in planned["plan"]["write"][0]["content"]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="launchd knows users by their numbers")
def test_the_agent_of_macos(home):
    plan = plan_install(["--method=CAN"], "darwin")
    (path, content), *rest = plan.write
    agent = plistlib.loads(content.encode())
    assert not rest and path == home / "Library/LaunchAgents/rtdenoise.microphone.plist" and MARK in content
    live = ["-m", "rtdenoise", "live", "--output", "speaker:BlackHole", "--method=CAN", "--control", "--quiet"]
    assert agent["ProgramArguments"] == [sys.executable, *live]
    assert agent["RunAtLoad"] and agent["KeepAlive"] == {"SuccessfulExit": False}
    domain = f"gui/{os.getuid()}"
    assert [command.words for command in plan.after] == [
        ("launchctl", "bootout", f"{domain}/rtdenoise.microphone"),
        ("launchctl", "bootstrap", domain, str(path)),
    ]
    carry_out(Plan(write=plan.write), lambda _line: None)
    found = systems.starter("darwin")
    assert found is not None and found.program == Path(sys.executable)
    assert plan_uninstall("darwin").remove == (path,)


def test_the_startup_file_of_windows(home, monkeypatch, tmp_path):
    folder = tmp_path / "Programs 50%"
    folder.mkdir()
    for name in ("python.exe", "pythonw.exe"):
        (folder / name).touch()
    monkeypatch.setattr(sys, "executable", str(folder / "python.exe"))
    plan = plan_install(["--input=mic:Head set"], "win32")
    ((path, content),) = plan.write
    assert path.parent.name == "Startup" and path.is_relative_to(home / "AppData")
    assert content.splitlines()[0] == "@echo off" and "\r\n" in content and f"rem {MARK}" in content
    quoted = str(folder / "pythonw.exe").replace("%", "%%")
    assert f'start "" "{quoted}" "-m" "rtdenoise" "live" "--output" "speaker:CABLE" "--input=mic:Head set"' in content
    carry_out(plan, lambda _line: None)
    found = systems.starter("win32")
    assert found is not None and found.program == folder / "pythonw.exe"
    assert plan_uninstall("win32").remove == (path,)


# doctor


@linux
def test_doctor_tells_whether_it_is_installed_runs_and_can_start(home, call, systemctl, monkeypatch):
    assert doctor._service().state == "ok" and "not installed" in doctor._service().found
    call("install")
    assert doctor._service().found.startswith("runs, installed in ")
    monkeypatch.setenv("STATE", "failed")
    down = doctor._service()
    assert (down.state, "(failed)" in down.found) == ("warning", True) and "journalctl" in down.remedy
    monkeypatch.setattr(sys, "executable", str(home / "gone 50% $x" / "python"))
    call("install")
    orphaned = doctor._service()
    assert orphaned.state == "failed" and "gone 50% $x/python, which is not there any more" in orphaned.found
    monkeypatch.setattr(systems, "systemd_answers", lambda: False)
    call("install")
    assert "gone 50% $x/python, which is not there any more" in doctor._service().found


# the real thing


def test_what_the_unit_starts_is_the_microphone_until_it_is_stopped(desktop, home, call, systemctl, monkeypatch):
    for name, value in desktop.environment.items():  # the home folder is another one, the server is not
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    call("install", "--method", "bypass")
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(home / ".config/systemd/user/rtdenoise.service", "utf-8")
    line = unit["Service"]["ExecStart"]  # no name in it needs escapes: a shell reads it as systemd does
    with subprocess.Popen(["sh", "-c", f"exec {line}"], stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until(lambda: fed(desktop, process), START_SECONDS)
            shown = desktop.pactl("list", "sources")
            assert "Description: rtdenoise microphone" in shown
            with Control() as control:
                assert control.ask("status")["status"]["method"] == "bypass"
        finally:
            process.send_signal(signal.SIGTERM)  # as systemd does
        assert process.wait(20) == 0, process.stderr.read()
    assert traces(desktop) == [] and "rtdenoise" not in desktop.names("sources")
