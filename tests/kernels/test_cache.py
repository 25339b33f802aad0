"""Compiled code on disk: what processes of their own have kept works together in another."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from rtdenoise.cache import numba_cache as cache_module

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

PROGRAM = """
import sys
import numpy as np
from rtdenoise.methods.can.compiled.voiced import fill_voiced, follow_voice, voiced_fields
from rtdenoise.methods.can.specs import SPECS

for n_bins in map(int, sys.argv[1:]):
    state = np.zeros(1, np.dtype(voiced_fields(n_bins), align=True))
    fill_voiced(state[0], SPECS["can-live"])
    for frame in np.random.default_rng(1).standard_normal((200, 2 * n_bins)).astype(np.float32):
        follow_voice(frame.view(np.complex64), frame[:512], False, state[0])
    print(repr(float(state[0]["recent"].sum())))
for overload in follow_voice.overloads.values():
    print(overload.fndesc.mangled_name)
"""


def test_layouts_compiled_in_different_processes_are_not_taken_for_each_other(tmp_path):
    """numba numbers functions and record types anew in every process, and names compiled code by these numbers."""
    (heard, name), (other_heard, other_name) = run(tmp_path, "257"), run(tmp_path, "300")
    assert heard != other_heard
    assert run(tmp_path, "257", "300") == [heard, other_heard, name, other_name]
    assert len(list(tmp_path.rglob("*.kept"))) > 1, "kept on disk"
    assert run(tmp_path / "another", "257")[1] != name


def run(cache: Path, *spans: str) -> list[str]:
    environment = os.environ | {"RTDENOISE_CACHE_DIR": str(cache)}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM, *spans]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


SMALL = """
import logging
from numba.core import event
import numpy as np
logging.basicConfig(level=logging.DEBUG)
with event.install_recorder("numba:compile") as recorder:
    from rtdenoise.streaming.resampler import Resampler
    print(Resampler(48000, 16000).push(np.ones(600, np.float32)).sum() > 0, bool(recorder.buffer))
"""


def run_small(cache: Path | str, script: str = SMALL, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"RTDENOISE_CACHE_DIR": str(cache), **variables}
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=root, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    assert run_small(folder).stdout == "True True\n"
    assert run_small(folder).stdout == "True False\n", "found again"
    return folder


def bit_of_machine_code(data: bytes) -> bytes:
    at = data.rindex(b"\x7fELF") + 200 if b"\x7fELF" in data else len(data) // 2
    return data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:300], lambda data: bytes(len(data)), bit_of_machine_code]
)
def test_damaged_code_is_compiled_again_and_never_run(filled, tmp_path, damage):
    for path in filled.glob("*.kept"):
        (tmp_path / path.name).write_bytes(damage(path.read_bytes()))
    for compiled in (True, False):
        done = run_small(tmp_path)
        assert (done.returncode, done.stdout) == (0, f"True {compiled}\n"), done.stderr[-1000:]


def test_locks_that_others_hold_and_indexes_of_numba_do_not_matter(filled, tmp_path):
    """What the cache of earlier versions left behind, and what somebody else locks."""
    fcntl = pytest.importorskip("fcntl")
    for path in filled.glob("*.kept"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name in ("rtdenoise.lock", "resample-11.py311.nbi"):
        with (tmp_path / name).open("wb") as file:
            file.write(b"\x80")
    with contextlib.ExitStack() as stack:
        for path in tmp_path.iterdir():
            file = stack.enter_context(path.open("r+b"))
            fcntl.lockf(file, fcntl.LOCK_EX)
            fcntl.flock(file, fcntl.LOCK_EX)
        assert run_small(tmp_path).stdout == "True False\n"


def test_times_of_files_do_not_matter(filled):
    for path in filled.glob("*.kept"):
        os.utime(path, (0, 0))
    assert run_small(filled).stdout == "True False\n"


ANOTHER_NUMBA = """
from importlib import metadata
version = metadata.version
metadata.version = lambda name: "0.1" if name == "numba" else version(name)
"""


def test_another_processor_or_version_is_another_entry(filled):
    assert run_small(filled, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="").stdout.endswith(" True\n")
    other = ANOTHER_NUMBA + SMALL
    assert run_small(filled, other).stdout == "True True\n"
    assert run_small(filled).stdout == "True False\n"


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="levels of x86-64 processors")
def test_code_for_a_lesser_processor_of_the_family_is_used(tmp_path):
    v2 = {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    assert run_small(tmp_path, **v2).stdout == "True True\n"
    assert run_small(tmp_path).stdout == "True False\n"
    v3 = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}
    assert run_small(tmp_path, **v3).stdout == "True True\n", "who names a processor gets that one's code"


def test_nothing_is_written_beside_the_sources(filled):
    package = Path(cache_module.__file__).parents[1]
    before = set(package.rglob("*.nb?"))
    run_small(filled / "new", NUMBA_CACHE_DIR="")
    assert set(package.rglob("*.nb?")) == before


def test_an_applications_debug_log_is_not_filled_by_the_compiler(tmp_path):
    assert "numba" not in run_small(tmp_path).stderr
    wanted = SMALL.replace("logging.basicConfig", "logging.getLogger('numba').setLevel('DEBUG')\nlogging.basicConfig")
    assert "numba" in run_small(tmp_path / "other", wanted).stderr, "somebody asked for it"
