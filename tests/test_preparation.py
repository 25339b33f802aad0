"""Compiling ahead: what is prepared is there at its first use, in a folder, in the cache and in a wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import rtdenoise
from rtdenoise.cache import processors
from rtdenoise.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
FIRST_USE = """
import numpy as np, rtdenoise
from rtdenoise.cache import entries
out = rtdenoise.denoise(np.ones(8000, np.float32), 8000, "bypass", preset="low")
print(out.size, entries.missed())
"""


def first_use(**variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE],
        env=os.environ | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "new"
    said = []
    found = rtdenoise.prepare(
        "bypass", preset="low", sample_rate=8000, live=False, to=folder, portable=True, on_item=said.append
    )
    assert found == said
    return folder, found


def test_what_is_prepared_is_not_compiled_again(prepared):
    folder, found = prepared
    assert {(p.method, p.name, p.sample_rate, p.channels) for p in found} == {("bypass", "low", 8000, 1)}
    assert first_use(RTDENOISE_CACHE_DIR=str(folder)) == "8000 False"


READ_ONLY = "mount --bind / / && mount -o remount,bind,ro / && ! touch {probe} 2>/dev/null && exec {command}"
NOBODY = (
    "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
)
"""Another user, without a home; it may read, since an interpreter may lie in a folder that only root may enter."""


def test_an_image_runs_what_was_prepared_as_nobody_with_nothing_to_write_to(prepared, tmp_path):
    """The Dockerfile of docs/deploy.md: not root, a file system that is read only, no home."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("needs root, unshare and setpriv")
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody have mounts of its own")
    nobody = NOBODY.format(right="dac_read_search")
    command = f"{nobody} {sys.executable} -m rtdenoise -f - -o - --rate 8000 --method bypass --preset low"
    sound = np.random.default_rng(0).integers(-9000, 9000, 8000).astype("<i2").tobytes()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", READ_ONLY.format(probe=tmp_path / "probe", command=command)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "RTDENOISE_CACHE_DIR": str(prepared[0])},
        input=sound,
        capture_output=True,
        check=False,
    )
    assert done.stderr == b"", "a compiler would say that it is at work, a cache that it cannot keep anything"
    assert done.returncode == 0 and len(done.stdout) == len(sound) and any(done.stdout)


def test_portable_code_names_the_processors_it_is_for(prepared):
    names = [p.processor for p in prepared[1]]
    assert names and set(names) <= {"x86-64-v3", "x86-64-v2", "generic"}
    assert "generic" in processors.runnable()


def test_the_command_says_what_is_ready(tmp_path):
    command = [
        sys.executable,
        "-m",
        "rtdenoise",
        "prepare",
        "-a",
        "bypass",
        "--rate",
        "8000,16000",
        "--no-live",
        "--json",
    ]
    environment = os.environ | {"RTDENOISE_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["sample_rate"] for line in lines if line["name"] == "balanced"] == [8000, 16000]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "XY"}, "XY"),
        ({"preset": "nothing"}, "nothing"),
        ({"sample_rate": 5}, "sample_rate=5"),
        ({"portable": True}, "to="),
        ({"model": "can-live", "method": "WF"}, "can-live"),
        ({"to": "/dev/null/x"}, "/dev/null/x"),
    ],
)
def test_what_cannot_be_prepared_is_said_before_anything_is_compiled(options, words):
    with pytest.raises(ConfigError, match=words):
        rtdenoise.prepare(**options)


@pytest.mark.parametrize(("rate", "words"), [("x", "--rate x"), ("16000,", "--rate 16000,"), ("5", "sample_rate=5")])
def test_a_bad_rate_is_one_line(rate, words):
    command = [sys.executable, "-m", "rtdenoise", "prepare", "--rate", rate]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_wheel_holds_compiled_code_that_an_installation_uses(prepared, tmp_path):
    """The build hook with a folder that is there already: what it compiles itself takes minutes."""
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    if not (ROOT / "hatch_build.py").is_file():
        pytest.skip("no source checkout")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = os.environ | {"RTDENOISE_PREPARE": str(prepared[0])}
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, env=environment)
    wheel = next(tmp_path.glob("*.whl"))
    assert not wheel.name.endswith("none-any.whl"), "the code is this machine's"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {"PYTHONPATH": str(tmp_path / "site"), "RTDENOISE_CACHE_DIR": str(tmp_path / "own")}
    whence = "import os, rtdenoise as found; assert found.__file__.startswith(os.path.realpath('site'))"
    script = whence + FIRST_USE
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "8000 False", done.stderr
