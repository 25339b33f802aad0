"""How the suite is divided among processes, and what it notes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import group_of

ROOT = Path(__file__).parents[1]
TEST = """
import os
def test_one():
    with open({log!r}, "a") as log:
        log.write(f"{{__file__}} {{os.getpid()}} {{os.nice(0)}}\\n")
test_two = test_one
"""
SKIPS = """
import pytest
def test_one(): pass
def test_two(): pytest.skip()
@pytest.mark.parametrize("name", ["a b"])
def test_three(name): pytest.skip("now")
"""


def run(folder: Path, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_stay_together_and_what_waits_is_two_groups():
    live = {group_of(f"{path.relative_to(ROOT).as_posix()}::test_it") for path in ROOT.glob("tests/live/test_*.py")}
    assert len(live) == 2
    assert group_of("tests/virtual_card/test_apart.py::test_it") in live
    assert group_of("tests/cli/test_files.py::test_a") == group_of("tests/cli/test_files.py::test_b[live/x]")
    laws = "tests/contract/test_laws.py::test_"
    assert group_of(f"{laws}a[WF low]") == group_of(f"{laws}b[WF low-nan]") != group_of(f"{laws}a[WF ultra]")


@pytest.mark.skipif(not hasattr(os, "nice"), reason="niceness is POSIX's")
def test_what_waits_has_the_processor_before_the_rest(tmp_path):
    log = tmp_path / "log"
    for name in ("live/test_a.py", "live/test_b.py", "live/test_c.py", "rest/test_d.py", "rest/test_e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TEST.format(log=str(log)))
    run(tmp_path, "-p", "tests.workers", "-n", "4", "--dist", "loadfile", "--import-mode=importlib")
    lines = [line.split() for line in log.read_text().splitlines()]
    processes = {(Path(file).parent.name, file, pid) for file, pid, _ in lines}
    assert len(lines) == 10 and len(processes) == 5, "one process for each file"
    assert len({pid for package, _, pid in processes if package == "live"}) <= 2
    nice = {
        package: {int(n) for file, _, n in lines if Path(file).parent.name == package} for package in ("live", "rest")
    }
    assert min(nice["rest"]) > os.nice(0) and min(nice["live"]) == os.nice(0)


def test_what_is_skipped_is_noted_and_can_be_run_from_the_note(tmp_path):
    (tmp_path / "test_some.py").write_text(SKIPS)
    (tmp_path / "test_whole.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    plugin = ("-p", "tests.skipped", "--skipped-to")
    run(tmp_path, *plugin, "noted")
    noted = (tmp_path / "noted").read_text().splitlines()
    assert noted == ["test_whole.py", "test_some.py::test_two", "test_some.py::test_three[a b]"]
    run(tmp_path, *plugin, "again", "@noted")
    assert (tmp_path / "again").read_text().splitlines() == noted
