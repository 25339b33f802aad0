"""`rtdenoise doctor`: what it finds of PortAudio and of permissions, and what it says to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from rtdenoise.cache import entries
from rtdenoise.cli.commands.live_audio.doctor import with_waiting_notice
from rtdenoise.errors import DeviceError
from rtdenoise.live_audio import doctor, troubles
from rtdenoise.live_audio.audio import devices
from rtdenoise.live_audio.audio.devices import about_portaudio, how_to_be_allowed
from rtdenoise.live_audio.troubles import TROUBLES
from tests.live.test_errors import as_ordinary_user, held
from tests.virtual_card.card import VirtualCard

__all__ = ["held"]

DOCTOR = [sys.executable, "-m", "rtdenoise", "doctor", "--method", "bypass", "--seconds", "0.5"]


def test_portaudio_and_its_hosts_are_told_in_text_and_json(server):
    with VirtualCard(server.name):
        lines = subprocess.run(DOCTOR, capture_output=True, text=True, timeout=240, check=False).stdout.splitlines()
        told = subprocess.run([*DOCTOR, "--json"], capture_output=True, text=True, timeout=240, check=False).stdout
    finding = {each["name"]: each for each in json.loads(told)}["PortAudio"]
    assert finding["state"] == "ok" and finding["found"].startswith("V19.")
    assert "JACK Audio Connection Kit (3 devices)" in finding["found"]
    assert f"ok    PortAudio: {finding['found']}" in lines
    assert any(text.startswith("ok    permissions: ") for text in lines)


def test_portaudio_without_a_host_is_a_failure_with_a_remedy(monkeypatch):
    monkeypatch.setattr(doctor, "about_portaudio", lambda: {"version": "PortAudio V19.6.0", "host_apis": {}})
    finding = doctor._portaudio()
    assert (finding.state, finding.found) == ("failed", "V19.6.0, no host API")
    assert "apt install" in finding.remedy


def test_portaudio_that_hangs_keeps_nobody(monkeypatch):
    monkeypatch.setattr(devices, "_LIST_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(DeviceError, match="did not answer"):
        about_portaudio()


PERMISSIONS = """
import sys
from pathlib import Path
from rtdenoise.live_audio import doctor
from rtdenoise.live_audio.audio import devices
devices._SOUND = Path(sys.argv[1])
finding = doctor._permissions()
print(finding.state, "|", finding.found, "|", finding.remedy)
"""


@pytest.mark.parametrize(
    ("modes", "words"),
    [
        ((), "ok | none are needed"),
        ((0o600, 0o600), "ok | 2 of 2 sound devices"),
        ((0o600, 0), "warning | 1 of 2 sound devices of the system may be opened | add yourself to the group audio"),
    ],
)
def test_permissions_for_sound_cards(held, tmp_path, modes, words):
    for number, mode in enumerate(modes):
        card = tmp_path / f"pcmC{number}D0p"
        card.touch()
        card.chmod(mode)
    assert as_ordinary_user("-c", PERMISSIONS, str(tmp_path)).stdout.startswith(words)


def test_who_joined_the_group_has_to_log_in_again(monkeypatch, tmp_path):
    grp = pytest.importorskip("grp")
    monkeypatch.setenv("LOGNAME", "me")
    member = SimpleNamespace(gr_name="audio", gr_gid=max(os.getgroups(), default=0) + 1, gr_mem=["me"])
    monkeypatch.setattr(grp, "getgrgid", lambda _number: member)
    assert "log out and in again" in how_to_be_allowed(tmp_path)
    member.gr_mem = ["you"]
    assert "add yourself to the group audio" in how_to_be_allowed(tmp_path)


@pytest.mark.parametrize(("system", "where"), [("darwin", "System Settings"), ("win32", "desktop apps")])
def test_elsewhere_it_says_where_the_microphone_is_allowed(monkeypatch, system, where):
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(platform=system))
    finding = doctor._permissions()
    assert finding.state == "ok" and "cannot be asked" in finding.found and where in finding.remedy


def test_a_check_that_takes_its_time_is_told_once(capsys):
    def slow():
        yield 1
        time.sleep(0.3)
        yield 2

    assert list(with_waiting_notice(slow(), 0.1)) == [1, 2]
    assert capsys.readouterr().err.count("note: still checking: the first use of a method") == 1


def test_where_compiled_code_is_kept_and_what_to_do_where_it_is_not(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "ours"))
    entries.keep("a", bytes(2_000_000))
    finding = doctor._compiled_code()
    assert finding.state == "ok"
    assert finding.found == f"kept in {tmp_path / 'ours'} (2 MB in 1 entries, chosen by RTDENOISE_CACHE_DIR)"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "file"))
    finding = doctor._compiled_code()
    assert (finding.state, finding.found) == ("warning", "cannot be kept: every start compiles")
    assert finding.remedy == "set RTDENOISE_CACHE_DIR to a folder that you can write"
    (tmp_path / "temporary").mkdir()
    finding = doctor._compiled_code()
    assert finding.state == "warning" and f"because {tmp_path / 'file'} cannot be written" in finding.found


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes are POSIX's")
def test_a_cache_that_others_can_write_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "ours"))
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours").chmod(0o777)
    finding = doctor._compiled_code()
    assert finding.state == "warning" and "others can write there" in finding.found
    assert finding.remedy == f"chmod go-w {tmp_path / 'ours'}"


@pytest.mark.parametrize(("bits", "words"), [(256, "16 multiplied by one instruction"), (0, "has no instruction")])
def test_how_weights_of_networks_are_multiplied_is_named(monkeypatch, bits, words):
    monkeypatch.setattr("rtdenoise.kernels.eight_bits.vector_bits", lambda: bits)
    assert words in doctor._weights().found


def test_the_engines_of_networks_are_named_with_what_is_missing(monkeypatch):
    there = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "ai_edge_litert" else there(name))
    finding = doctor._engines()
    assert finding.state == "ok" and finding.found.startswith("compiled code; not LiteRT")
    assert finding.remedy.endswith("pip install 'rtdenoise[litert]'")
    monkeypatch.undo()
    if doctor.find_spec("ai_edge_litert") is not None:
        finding = doctor._engines()
        assert finding.found.startswith("compiled code, LiteRT ") and not finding.remedy


def test_every_remedy_stands_in_the_list_that_the_page_on_troubleshooting_is_made_from():
    """No check makes up a text of its own: those from elsewhere are the list's, too."""
    import ast
    import inspect

    calls = [node for node in ast.walk(ast.parse(inspect.getsource(doctor))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    states = {word.value.id for call in made for word in call.keywords if word.arg == "state"}
    assert len(made) > 10 and states == {"OK", "FAILED"}
    with_remedy = [call for call in made if any(word.arg == "remedy" for word in call.keywords)]
    assert len(with_remedy) == 1, "the failure of a check itself, whose remedy is its error's"
    assert {trouble.check for trouble in TROUBLES} >= set(doctor._CHECKS) - {"network weights"}
    assert devices.CONNECT_ONE in troubles.NO_DEVICES.remedies
    assert troubles.NOT_PERMITTED.remedies == (devices.ALLOW_AND_LOG_IN, devices.LOG_IN_AGAIN.format(group="audio"))
