"""Compiled code on disk: found again, believed only when whole, and enough to run without the compiler."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.cache import entries, kept_files, machine_code, sources
from rtdenoise.cache.machine_code import MachineCode
from rtdenoise.config import load_settings
from rtdenoise.live_audio.callback import programs
from rtdenoise.live_audio.callback.programs import playback_callback, playback_userdata
from rtdenoise.live_audio.record import LIVE, prepare
from tests.live.harness import plan, running
from tests.live.test_faults import LIVE as COMMAND
from tests.virtual_card.card import VirtualCard


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_what_is_kept_is_found_and_nothing_else(folder):
    assert kept_files.find(dict, "a") is None
    assert kept_files.keep("a", {"b": 1})
    assert kept_files.find(dict, "a") == {"b": 1}
    assert kept_files.find(list, "a") is None, "another kind"
    assert kept_files.find(dict, "b") is None


def flipped(data: bytes) -> bytes:
    return data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-3], lambda data: b"x" + data, flipped, bytes.upper]
)
def test_a_damaged_file_is_made_again(folder, damage):
    kept_files.keep("a", {"b": "c"})
    (path,) = folder.glob("*.kept")
    path.write_bytes(damage(path.read_bytes()))
    assert kept_files.find(dict, "a") is None
    assert kept_files.keep("a", {"b": "c"})
    assert kept_files.find(dict, "a") == {"b": "c"}


def test_what_is_whole_but_no_longer_understood_is_made_again(folder):
    entries.keep("live a", b"cno_such_module\nthing\n.")
    assert kept_files.find(dict, "a") is None


def test_a_folder_that_cannot_be_written_costs_only_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert not kept_files.keep("a", 1)
    assert kept_files.find(int, "a") is None


def test_a_start_is_kept_by_the_content_of_what_was_fitted(folder, monkeypatch, tmp_path):
    """Installers give files of equal size equal times: only their content tells one version from the next."""
    tables = tmp_path / "models" / "wf-prior"
    tables.mkdir(parents=True)
    keys = []
    for content in (b"one", b"two"):
        (tables / "context.npz").write_bytes(content)
        os.utime(tables / "context.npz", (0, 0))
        sources.content_of.cache_clear()
        monkeypatch.setattr(programs, "data_folder", lambda name: tmp_path / name)
        monkeypatch.setattr(kept_files, "find", lambda _kind, *found: keys.append(found[0]) or "found")
        programs.start_of(load_settings(method="WF", preset="low"), 16000, 1)
    assert keys[0] != keys[1]
    sources.content_of.cache_clear()


def test_code_that_needs_what_is_not_here_is_not_loaded():
    code = MachineCode(content=b"", symbol="f", needed=("no_such_function_anywhere",), libraries=())
    assert machine_code.load(code) is None
    code = MachineCode(content=b"", symbol="f", needed=(), libraries=(("numba", "no_such.so"),))
    assert machine_code.load(code) is None


def test_a_callback_from_disk_is_the_callback_that_was_compiled(tmp_path):
    """The output stream's callback before there is anything to play: zeros, and one call counted."""
    pointer, signature = ctypes.c_void_p, ctypes.CFUNCTYPE
    call_type = signature(ctypes.c_int, pointer, pointer, ctypes.c_ulong, pointer, ctypes.c_ulong, pointer)
    for count in (1, 2):
        loaded = playback_callback()
        live, ring = np.zeros(1, LIVE), np.zeros((1024, 1), np.float32)
        prepare(live, rate=16000, channels=1, channels_in=1, channels_out=0, hop=64, latency=64)
        live["capacity"], live["clean"], live["play_rate"], live["play_channels"] = 1024, ring.ctypes.data, 16000, 1
        table = np.zeros((257, 32), np.float32)
        live["play_table"], userdata = table.ctypes.data, playback_userdata(live.ctypes.data)
        out, times = np.ones((128, 1), np.float32), np.zeros(3)
        for _ in range(count):
            call_type(loaded.address)(None, out.ctypes.data, 128, times.ctypes.data, 0, userdata.ctypes.data)
        assert live["play_callbacks"][0] == count
        assert not out.any()


def test_the_audio_process_of_a_second_start_runs_without_the_compiler(server):
    with VirtualCard(server.name):
        for attempt in range(2):
            with running(plan("WF")) as live:
                mapped = Path(f"/proc/{live.session._worker.pid}/maps").read_text()
            assert "llvmlite" in mapped
            if attempt == 1:
                assert "/scipy/" not in mapped, "it came with the compiler"


def test_nor_does_the_command_load_it(server):
    """Before its devices run: what is imported at the end delays nobody, but there is nothing of the kind either."""
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    with VirtualCard(server.name):
        command = [*COMMAND, "--duration", "0.3", "--quiet"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time")}
    assert "rtdenoise.live_audio.session" in imported
    assert not {"numba", "scipy.signal", "scipy.fft"} & imported
