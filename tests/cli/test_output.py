"""Standard output that is full or closed, whether Python buffers it or not: one line or none, and an exit code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import COMMAND

FULL = Path("/dev/full")
COMMANDS = [["--help"], ["--version"], ["methods"], ["methods", "--json"], ["demo", "--help"], []]
SILENT = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "timeout": 120}


@pytest.fixture(params=["buffered", "unbuffered"])
def environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """As a terminal's shell gives it, or as containers do."""
    more = {"PYTHONUNBUFFERED": "1"} if request.param == "unbuffered" else {}
    return {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"} | more


def to_nobody(arguments: list[object], environment: dict[str, str], folder: Path) -> tuple[int, str]:
    """Run it with a standard output whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    try:
        command = [*COMMAND, *map(str, arguments)]
        done = subprocess.run(command, stdout=write, env=environment, cwd=folder, check=False, **SILENT)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_output_is_one_line(arguments, environment):
    with FULL.open("w") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, env=environment, check=False, **SILENT)
    assert done.returncode == 1
    assert done.stderr == "rtdenoise: error: standard output: cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_closed_output_is_quiet(arguments, environment, tmp_path):
    assert to_nobody(arguments, environment, tmp_path) == (141, "")


@pytest.mark.parametrize("more", [[], ["--json"], ["-o", "-"]], ids=["line", "json", "audio"])
def test_a_report_and_audio_for_nobody(make, tmp_path, environment, more):
    make()
    assert to_nobody(["-f", "noisy.wav", "-a", "bypass", *more], environment, tmp_path) == (141, "")


def test_tables_for_nobody(make, tmp_path, environment):
    make("in/a.wav")
    assert to_nobody(["-f", "in", "-a", "bypass"], environment, tmp_path) == (141, "")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_nothing_to_complain_to(environment):
    with FULL.open("w") as full:
        for arguments, code in ((["methods"], 1), (["nonsense"], 2)):
            streams = {**SILENT, "stderr": full}
            done = subprocess.run([*COMMAND, *arguments], stdout=full, env=environment, check=False, **streams)
            assert done.returncode == code
