"""The session that listens at the control socket: watched, and asked for changes, on threads that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.control.client import Control
from rtdenoise.tray.shown import Status

_EVERY_SECONDS = 1.0
_LOOK_SECONDS = 1.0


class Follower:
    """A client of the control socket that comes back when a session does.

    Parameters
    ----------
    path : Path
        Of the socket.
    show : callable
        Called with each status, and with None while no session runs; from two threads, one at a time.
    complain : callable
        Called with one line where a session refused what it was asked.
    """

    def __init__(self, path: Path, show: Callable[[Status | None], None], complain: Callable[[str], None]) -> None:
        self._path, self._show, self._complain = path, show, complain
        self._showing = threading.Lock()
        self._asked: SimpleQueue[Callable[[Control], dict[str, Any]]] = SimpleQueue()

    def start(self) -> None:
        """Start to watch; both threads end with the process."""
        for work in (self._watch, self._work):
            threading.Thread(target=work, daemon=True).start()

    def ask(self, command: str, **fields: Any) -> None:
        """Have a command of the control socket carried out, after those before it; returns at once."""
        self._asked.put(lambda control: control.ask(command, **fields))

    def toggle_bypass(self) -> None:
        """Switch between the method and the unprocessed input, as the session has it when its turn comes."""
        self._asked.put(
            lambda control: control.ask("set", bypass=not control.ask("status")["status"]["bypass"]),
        )

    def _watch(self) -> None:
        while True:
            with (
                suppress(DeviceError, ValueError),
                Control(self._path) as control,
            ):  # a killed session's last line is cut
                for event in control.watch(_EVERY_SECONDS):
                    if event["event"] == "status":
                        self._tell(event["status"])
            self._tell(None)
            time.sleep(_LOOK_SECONDS)

    def _work(self) -> None:
        while True:
            asked = self._asked.get()
            try:
                with Control(self._path) as control:
                    asked(control)
                    with suppress(DeviceError):  # it was asked to end
                        self._tell(control.ask("status")["status"])
            except (DeviceError, ValueError) as error:
                self._complain(str(error))

    def _tell(self, status: Status | None) -> None:
        with self._showing:
            self._show(status)
