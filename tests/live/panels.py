"""A panel in a process of its own, and pages of it in a real browser."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import BROWSERS

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/#(\S+)")


class Panel:
    """`rtdenoise panel`, from when it has printed its address."""

    def __init__(self, socket: Path, *more: object) -> None:
        self.socket = socket
        command = [
            sys.executable,
            "-m",
            "rtdenoise",
            "panel",
            "--no-browser",
            "--control",
            str(socket),
            *map(str, more),
        ]
        self.process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        found = ADDRESS.search(self.process.stdout.readline())
        assert found, self.process.communicate()[1]
        self.address, self.port, self.token = found[0], int(found[1]), found[2]
        self.words: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.words += self.process.stderr

    def close(self) -> None:
        """End it, in whatever way."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self._reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def end(self) -> int:
        """End it in order; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@contextmanager
def panel(socket: Path, *more: object) -> Iterator[Panel]:
    """A panel, ended at the end."""
    found = Panel(socket, *more)
    try:
        yield found
    finally:
        found.close()


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window; skips where there is none."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium: apt install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="package playwright is not installed")
    with sync_api.sync_playwright() as play:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        found = play.chromium.launch(executable_path=program, args=arguments)
        yield found
        found.close()


@contextmanager
def opened(chromium: Any, address: str, **options: Any) -> Iterator[Any]:
    """A page, its `problems` noted: errors on its console and requests that failed."""
    context = chromium.new_context(**({"viewport": {"width": 1100, "height": 900}} | options))
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("requestfailed", lambda request: page.problems.append(request.url))
    page.goto(address)
    yield page
    context.close()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What the condition gives once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
    return found
