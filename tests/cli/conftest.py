"""The command line, called in this process where that shows the same, and as a process where it does not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtdenoise.cli.entry import run
from tests.files.conftest import make, voice

__all__ = ["COMMAND", "make", "start", "voice"]

COMMAND = [sys.executable, "-m", "rtdenoise"]


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Run the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    logger, handler = logging.getLogger("rtdenoise"), signal.getsignal(signal.SIGTERM)
    before = (logger.handlers, logger.propagate, logger.level)

    def run_here(*arguments: object) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return Result(code, shown.out, shown.err)

    yield run_here
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])
    signal.signal(signal.SIGTERM, handler)


def start(*arguments: object, folder: Path | None = None, **more: object) -> subprocess.Popen[bytes]:
    """Start the command line as a process with pipes on all three streams."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=folder, env=environment, **streams)  # type: ignore[call-overload]


def names(folder: Path) -> list[str]:
    """What is in a folder, sorted, hidden files included."""
    return sorted(path.name for path in folder.iterdir())
