"""However a command ends, nothing hidden stays and no process; what SIGKILL left goes with the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import COMMAND, names, start

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts processes in /proc")
FILE = ["-f", "in/0.wav", "-o", "out.flac", "-a", "bypass", "--overwrite"]
FOLDER = ["-f", "in", "-o", "out", "-a", "bypass", "--jobs", "2", "--overwrite"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings that take a while."""
    (tmp_path / "in").mkdir()
    for i in range(3):
        soundfile.write(tmp_path / "in" / f"{i}.wav", np.zeros((48000 * 600, 2), np.int16), 48000)
    return tmp_path


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(".*"))


def living(session: int) -> list[str]:
    """Processes of a session that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(entry.name)
    return found


def begun(folder: Path, arguments: list[str], count: int) -> subprocess.Popen[bytes]:
    """Start it, and wait until it writes that many files at once."""
    process = start(*arguments, folder=folder, start_new_session=True)
    deadline = time.monotonic() + 90
    while len(parts(folder)) < count and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(parts(folder)) >= count
    return process


def wait_until(true: object, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
@pytest.mark.parametrize(("arguments", "count"), [(FILE, 1), (FOLDER, 2)], ids=["file", "folder"])
def test_a_closed_terminal_and_other_signals_leave_nothing(folder, arguments, count, number):
    process = begun(folder, arguments, count)
    os.killpg(process.pid, number)  # as a terminal does, to every process of the command
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert parts(folder) == []
    assert wait_until(lambda: living(process.pid) == [])


def test_workers_of_a_killed_parent_end_and_leave_nothing(folder):
    process = begun(folder, FOLDER, 2)
    process.kill()
    process.communicate(timeout=60)
    assert wait_until(lambda: living(process.pid) == [] and parts(folder) == [])


def test_the_next_run_removes_what_sigkill_left(folder):
    process = begun(folder, FILE, 1)
    process.kill()
    process.communicate(timeout=60)
    assert len(parts(folder)) == 1
    soundfile.write(folder / "short.wav", np.zeros(100), 16000)
    done = subprocess.run([*COMMAND, "-f", "short.wav", "-a", "bypass"], cwd=folder, timeout=60, check=False)
    assert done.returncode == 0
    assert names(folder) == ["in", "short.wav", "short_BYPASS_denoised.wav"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_an_evaluation_ends_with_its_workers_and_their_programs(tmp_path, number):
    pytest.importorskip("pystoi", reason="package pystoi is not installed")
    rng = np.random.default_rng(0)
    for kind in ("clean", "noisy"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            soundfile.write(tmp_path / kind / f"{i}.wav", 0.1 * rng.standard_normal(32000), 16000)
    peer = tmp_path / "peer.sh"
    peer.write_text('#!/bin/sh\ncp "$1" "$2"\n[ -e first ] || { touch first; exit 0; }\necho $$ >> pids\nsleep 100\n')
    peer.chmod(0o755)
    process = start(
        "evaluate", "--clean", "clean", "--noisy", "noisy", "--no-peers", "--no-dnsmos", "--no-cost", "-a", "bypass",
        "--jobs", 2, "--peer", f"slow={peer} {{in}} {{out}}", folder=tmp_path, start_new_session=True,
    )  # fmt: skip
    pids = tmp_path / "pids"
    assert wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 90)
    os.killpg(process.pid, number) if number != signal.SIGKILL else process.kill()
    process.communicate(timeout=60)
    programs = [int(pid) for pid in pids.read_text().split()]
    assert wait_until(lambda: living(process.pid) == [] and not any(map(living, programs)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_bench_ends_with_its_worker_and_the_load_beside_it(tmp_path, number):
    process = start(
        "bench", "-a", "bypass", "--seconds", "100", "--load", "-o", "b", folder=tmp_path, start_new_session=True
    )
    assert wait_until(lambda: len(living(process.pid)) >= 2, 90)
    time.sleep(1.0)
    os.killpg(process.pid, number) if number != signal.SIGKILL else process.kill()
    process.communicate(timeout=60)
    assert wait_until(lambda: living(process.pid) == [])
    assert names(tmp_path) == []
