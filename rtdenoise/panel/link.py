"""The connection to whatever session listens at the control socket; it comes back when a session does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.control.place import connect

_LOOK_SECONDS = 0.25
_ANSWER_SECONDS = 15.0
_LINE_MAX = 1 << 20
_METERS = b'{"event": "meters"'
NO_SESSION = "no session runs; start one"


class Link:
    """A client of the control socket.

    Parameters
    ----------
    path : Path
        Of the socket.
    hear : callable
        Called with each event but meters, and when a session comes and goes: ``{"event": "here"}``, ``{"event": "gone",
        "in_order": bool}``.
    pass_on : callable
        Called with each line of meters, as it is.
    """

    def __init__(self, path: Path, hear: Callable[[dict[str, Any]], None], pass_on: Callable[[str], None]) -> None:
        self._path, self._hear, self._pass_on = path, hear, pass_on
        self._writer: asyncio.StreamWriter | None = None
        self._token = ""
        self._asked = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._look = asyncio.Event()

    @property
    def there(self) -> bool:
        """Whether a session is connected."""
        return self._writer is not None

    def look(self) -> None:
        """Look for a session now."""
        self._look.set()

    async def run(self) -> None:
        """Connect, listen, and connect again, until cancelled."""
        while True:
            if await asyncio.to_thread(self._path.exists):
                with suppress(DeviceError, OSError):
                    await self._follow(*await asyncio.to_thread(connect, self._path))
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._look.wait(), _LOOK_SECONDS)
            self._look.clear()

    async def _follow(self, connection: Any, token: str) -> None:
        connection.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=connection, limit=_LINE_MAX)
        self._token, in_order = token, False
        self._hear({"event": "here"})
        try:
            while line := await reader.readline():
                in_order = self._take(line) or in_order
        except (OSError, ValueError):
            pass
        finally:
            self._writer.close()
            self._writer = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(DeviceError("the session has ended"))
            self._answers.clear()
            self._hear({"event": "gone", "in_order": in_order})

    def _take(self, line: bytes) -> bool:
        """Handle a line; True if it announces the end."""
        if line.startswith(_METERS):
            self._pass_on(line.decode())
            return False
        message = json.loads(line)
        if "ok" in message:
            answer = self._answers.pop(message.get("id"), None)
            if answer is not None and not answer.done():
                answer.set_result(message)
            return False
        if message["event"] == "ended":
            return True
        self._hear(message)
        return False

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its answer.

        Raises
        ------
        DeviceError
            If there is no session, it refuses, or it does not answer.
        """
        if self._writer is None:
            raise DeviceError(NO_SESSION)
        self._asked += 1
        number = self._asked
        request = {"command": command, "id": number, **fields} | ({"token": self._token} if self._token else {})
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps(request).encode() + b"\n")
        try:
            answer = await asyncio.wait_for(self._answers[number], _ANSWER_SECONDS)
        except asyncio.TimeoutError as error:
            raise DeviceError("the session does not answer; end it, or look at its terminal") from error
        finally:
            self._answers.pop(number, None)
        if not answer["ok"]:
            raise DeviceError(str(answer["error"]))
        return answer
