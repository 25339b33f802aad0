"""Talk to a session over its control socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.control.place import connect, usual_place

_ANSWER_SECONDS = 30.0  # listing devices starts a process; the rest takes milliseconds


class Control(AbstractContextManager["Control"]):
    """A connection to a running session.

    Parameters
    ----------
    path : Path, optional
        As given to ``rtdenoise live --control``; by default the usual one.

    Raises
    ------
    DeviceError
        If no session listens there.

    Examples
    --------
    >>> with Control() as control:  # doctest: +SKIP
    ...     control.ask("set", bypass=True)
    ...     print(control.ask("status")["status"]["latency_ms"])
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or usual_place()
        self._connection, self._token = connect(self._path)
        self._connection.settimeout(_ANSWER_SECONDS)
        self._lines = self._connection.makefile("rb")
        self._asked = 0

    def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command of `rtdenoise.live_audio.control.schema.COMMANDS` and return its answer.

        Raises
        ------
        DeviceError
            If it was refused, with the reason, or the session has ended.
        """
        self._asked += 1
        request = {"command": command, "id": self._asked, **fields}
        if self._token:
            request["token"] = self._token
        self._send(request)
        while (answer := self._next()).get("id") != self._asked or "ok" not in answer:
            if answer.get("ok") is False and "id" not in answer:
                break
        if not answer["ok"]:
            raise DeviceError(str(answer["error"]))
        return answer

    def watch(self, every_seconds: float = 1.0) -> Iterator[dict[str, Any]]:
        """Yield events, ``{"event": "status", "status": {...}}`` and ``{"event": "told", "line": "..."}``, to the end.

        Raises
        ------
        DeviceError
            If the session cannot be watched.
        """
        self.ask("watch", every_seconds=every_seconds)
        self._connection.settimeout(every_seconds + _ANSWER_SECONDS)
        while True:
            try:
                event = self._next()
            except DeviceError:
                return
            if event.get("event") == "ended":
                return
            if "event" in event:
                yield event

    def close(self) -> None:
        """Hang up; the session goes on."""
        self._lines.close()
        self._connection.close()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise DeviceError(f"{self._path}: the session has ended") from error

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise DeviceError(f"{self._path}: the session does not answer: {error}") from error
        if not line:
            raise DeviceError(f"{self._path}: the session has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer
