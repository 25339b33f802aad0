"""Start `rtdenoise live` for the panel, and tell how it ended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtdenoise.panel.choices import Choices, as_options

KILLED = "the session ended without a word: it was killed, or crashed"
_ERROR = "rtdenoise: error: "
_LOG_BYTES = 4096
_POLL_SECONDS = 0.1


class Starter:
    """One session at a time, in a process group of its own: it need not end with the panel.

    Parameters
    ----------
    socket : Path
    recordings : Path
        The folder of its recordings.
    """

    def __init__(self, socket: Path, recordings: Path) -> None:
        self._socket, self._recordings = socket, recordings
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Any = None

    @property
    def running(self) -> bool:
        """Whether the session that was started here runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, choices: Choices) -> None:
        """Start a session; it can be spoken to once it listens at the socket."""
        own_group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        if self._log is not None:
            self._log.close()
        # a pipe would break with the panel, and the session with it
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - until the next start
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "rtdenoise", "live", "--quiet"),
                *(f"--control={self._socket}", f"--recordings={self._recordings}"),
                *as_options(choices),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            **own_group,
        )

    def ended(self) -> str | None:
        """Once after its end: why it failed, in one line, or an empty string; None before and afterwards."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process = None
        return (
            "" if code == 0 else self._last_words() or (KILLED if code < 0 else f"the session ended with code {code}")
        )

    def _last_words(self) -> str:
        self._log.seek(0, 2)
        self._log.seek(max(0, self._log.tell() - _LOG_BYTES))
        lines = [line for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if line.startswith(_ERROR)]
        last: str = (told or lines or [""])[-1]
        return last.removeprefix(_ERROR).strip()

    async def wait(self, seconds: float) -> bool:
        """Wait for its end, after it was asked for; returns whether it has ended."""
        until = asyncio.get_running_loop().time() + seconds
        while self.running and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_POLL_SECONDS)
        return not self.running

    def terminate(self) -> None:
        """Ask it to end by a signal."""
        if self._process is not None:
            with suppress(OSError):
                self._process.terminate()
