"""The server of a session's control socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError, DeviceError, RtDenoiseError
from rtdenoise.live_audio.control.place import HAS_UNIX, bind
from rtdenoise.live_audio.control.schema import EVERY_SECONDS, LINE_MAX, checked
from rtdenoise.live_audio.controls import Controls

_CLIENTS_MAX = 32
_WAITING_MAX = 1 << 20  # unread bytes after which a client is disconnected
_END_SECONDS = 2.0


class ControlServer(AbstractContextManager["ControlServer"]):
    """Listens while the ``with`` statement lasts, then removes the socket's file.

    Parameters
    ----------
    controls : Controls
    path : Path
    quit_ : callable
        Called from another thread when a client asks for the end of the session.
    unix : bool
        Whether to use a Unix socket; otherwise a loopback port, with a secret in the file.

    Raises
    ------
    DeviceError
        If it cannot listen there.
    """

    def __init__(self, controls: Controls, path: Path, quit_: Callable[[], None], *, unix: bool = HAS_UNIX) -> None:
        self._controls, self._quit = controls, quit_
        self._bound = bind(path, unix=unix)
        self._loop = asyncio.new_event_loop()
        self._clients: set[_Client] = set()
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtdenoise-control", daemon=True)

    def __enter__(self) -> ControlServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Announce the end to all clients and stop listening; may be called twice."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(_END_SECONDS)
        self._bound.remove()

    def tell(self, line: str) -> None:
        """Send a line for the user to every client that watches; may be called from any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._spread, {"event": "told", "line": line})

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._bound.listening.setblocking(False)
        start = asyncio.start_unix_server if not self._bound.token else asyncio.start_server
        server = await start(self._greet, sock=self._bound.listening, limit=LINE_MAX)
        self._ready.set()
        await self._stop.wait()
        server.close()
        for client in list(self._clients):
            client.send({"event": "ended"})
            client.end()
        await asyncio.sleep(0)  # lets the last messages out

    def _end(self) -> None:
        if self._stop is not None:
            self._stop.set()

    def _spread(self, event: dict[str, Any]) -> None:
        for client in list(self._clients):
            if client.watches:
                client.send(event)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer, self)
        if len(self._clients) >= _CLIENTS_MAX:
            client.send({"ok": False, "error": f"{_CLIENTS_MAX} programs are connected already; close one"})
            client.end()
            return
        self._clients.add(client)
        try:
            while line := await _next_line(reader, client):
                await self._answer(client, line)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._clients.discard(client)
            client.end()

    async def _answer(self, client: _Client, line: bytes) -> None:
        answer: dict[str, Any] = {}
        try:
            request = json.loads(line)
            if isinstance(request, dict) and "id" in request:
                answer["id"] = request["id"]
            given = checked(request)
            token = request.get("token", "")
            if not (isinstance(token, str) and hmac.compare_digest(token.encode(), self._bound.token.encode())):
                raise DeviceError("the token is wrong; it stands in the file of the control socket")
            answer |= {"ok": True, **await self._done(client, request["command"], given)}
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            kind = error if isinstance(error, RtDenoiseError) else "this is no line of JSON"
            answer |= {"ok": False, "error": str(kind)}
        except RtDenoiseError as error:
            answer |= {"ok": False, "error": str(error)}
        client.send(answer)
        if answer["ok"] and request["command"] == "quit":
            self._quit()

    async def _done(self, client: _Client, command: str, given: dict[str, Any]) -> dict[str, Any]:
        """Carry out a command; returns the fields of its answer besides ``ok``."""
        controls = self._controls
        if command == "status":
            return {"status": self.status(details=given.get("details", False))}
        if command == "watch":
            client.watch(given.get("every_seconds", 1.0))
        elif command == "meters":
            client.measure(given.get("every_seconds", 0.05), controls)
        elif command == "set":
            _set(controls, given)
            if "default_microphone" in given:
                await asyncio.to_thread(controls.set_default_microphone, given["default_microphone"])
        elif command == "use":
            controls.use(**given)
        elif command == "record":
            failed = self._record(given["on"])
            return {"failed": failed, "files": [] if given["on"] else [str(path) for path in controls.recorded]}
        elif command == "mark":
            return {"mark": asdict(controls.mark(given.get("text", "")))}
        elif command == "devices":
            return {"devices": await asyncio.to_thread(_devices)}
        return {}

    def _record(self, on: bool) -> str:
        if on:
            self._controls.record()
            return ""
        return self._controls.finish_recording()

    def status(self, *, details: bool = False) -> dict[str, Any]:
        """The session's status as a JSON object."""
        status = self._controls.status()
        names = [field.name for field in fields(status) if details or field.name != "details"]
        return {name: getattr(status, name) for name in names} | {"marks": [asdict(mark) for mark in status.marks]}


class _Client:
    """One connection; it can be sent the status at regular intervals."""

    def __init__(self, writer: asyncio.StreamWriter, server: ControlServer) -> None:
        self._writer, self._server = writer, server
        self._watching: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None

    @property
    def watches(self) -> bool:
        """Whether it has asked for events."""
        return self._watching is not None

    def send(self, message: dict[str, Any]) -> None:
        """Send a line, or disconnect a client that does not read."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > _WAITING_MAX:
            self._writer.transport.abort()
            return
        self._writer.write(json.dumps(message).encode() + b"\n")

    def watch(self, every_seconds: float) -> None:
        """Send the status at this interval from now on."""
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self._begin(every_seconds, lambda: {"event": "status", "status": self._server.status()})

    def measure(self, every_seconds: float | None, controls: Controls) -> None:
        """Send meters at this interval from now on; None: no more."""
        if self._measuring is not None:
            self._measuring.cancel()
        self._measuring = None
        if every_seconds is not None:
            meters = controls.meters
            self._measuring = self._begin(every_seconds, lambda: _as_event(meters.read()))

    def _begin(self, every_seconds: float, make: Callable[[], dict[str, Any] | None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._repeat(max(every_seconds, EVERY_SECONDS[0]), make))

    async def _repeat(self, every_seconds: float, make: Callable[[], dict[str, Any] | None]) -> None:
        """Send what `make` returns, unless that is None or the client has not read what it was sent before."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._writer.is_closing():
            if not self._writer.transport.get_write_buffer_size() and (event := make()) is not None:
                self.send(event)
            due = max(due + every_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    def end(self) -> None:
        """Close after the pending output was sent."""
        for task in (self._watching, self._measuring):
            if task is not None:
                task.cancel()
        with suppress(OSError, RuntimeError):
            self._writer.close()


async def _next_line(reader: asyncio.StreamReader, client: _Client) -> bytes:
    """The next line; empty at the end of the connection, or after a line that is too long."""
    try:
        return await reader.readline()
    except ValueError:
        client.send({"ok": False, "error": f"a line has at most {LINE_MAX} bytes"})
        return b""


def _as_event(meters: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if meters is None else {"event": "meters", "meters": meters}


def _set(controls: Controls, given: dict[str, Any]) -> None:
    if not given:
        raise ConfigError("set: name what: bypass, method, attenuation_limit_db, mix or default_microphone")
    if "method" in given:
        controls.set_method(given["method"])
    if "attenuation_limit_db" in given:
        controls.set_attenuation_limit_db(given["attenuation_limit_db"])
    if "mix" in given:
        controls.set_mix(given["mix"])
    if "bypass" in given:
        controls.set_bypass(given["bypass"])


def _devices() -> list[dict[str, Any]]:
    from rtdenoise.live_audio.audio.devices import list_devices

    return [asdict(device) for device in list_devices()]
