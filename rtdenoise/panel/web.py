"""The web server of the panel: a page, a WebSocket, and the sound of a test (``pip install 'rtdenoise[panel]'``)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rtdenoise.errors import DeviceError, MissingExtraError
from rtdenoise.panel.guard import HEADERS, NOBODY, Guard
from rtdenoise.panel.hub import Panel

try:
    from aiohttp import WSMsgType, web
except ModuleNotFoundError as error:
    raise MissingExtraError("the panel needs the package aiohttp: pip install 'rtdenoise[panel]'") from error

LOCAL = "127.0.0.1"
_FILES = {
    "/": ("index.html", "text/html"),
    "/panel.css": ("panel.css", "text/css"),
    "/panel.js": ("panel.js", "text/javascript"),
    "/draw.js": ("draw.js", "text/javascript"),
    "/listen.js": ("listen.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_PAGES_MAX = 16
_TOKEN_SECONDS = 5.0
_MESSAGE_MAX = 1 << 14
_METERS_WAITING_MAX, _WAITING_MAX = 6, 500
_WRONG_TOKEN, _TOO_MANY = 4401, 4429  # close codes
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Page:
    """One open page; what it is sent waits here, so that a slow one holds up nobody."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self.visible = True

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; it arrives in order."""
        if self._waiting.qsize() < _WAITING_MAX:
            self._waiting.put_nowait(json.dumps(message))

    def send_meters(self, line: str) -> None:
        """Send a line, unless the page does not keep up."""
        if self._waiting.qsize() < _METERS_WAITING_MAX:
            self._waiting.put_nowait(line)

    async def deliver(self) -> None:
        """Send what waits, until cancelled or closed."""
        with suppress(ConnectionError, RuntimeError):
            while True:
                await self._socket.send_str(await self._waiting.get())


class Web:
    """What is served."""

    def __init__(self, panel: Panel, guard: Guard) -> None:
        self._panel, self._guard = panel, guard
        self._open: set[web.WebSocketResponse] = set()
        folder = Path(__file__).parent / "page"
        self._contents = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def application(self) -> web.Application:
        """The application for a runner."""
        app = web.Application(middlewares=[self._guarded()])
        app.router.add_get("/socket", self._talk)
        app.router.add_get("/take/{name}/{side}", self._take)
        for path in _FILES:
            app.router.add_get(path, self._file)
        return app

    def _guarded(self) -> Any:
        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            given = request.headers
            why = self._guard.refusal(
                given.get("Host"),
                given.get("Origin"),
                given.get("Sec-Fetch-Site") if request.path != "/" else None,  # anybody may link to the page
                needs_origin=request.path == "/socket",
            )
            if why:
                return web.Response(status=403, text=why + "\n", headers=HEADERS)
            try:
                response = await handler(request)
            except web.HTTPException as error:
                return web.Response(status=error.status, text=error.reason + "\n", headers=HEADERS)
            if not response.prepared:
                response.headers.update(HEADERS)
                response.headers["Content-Security-Policy"] = self._guard.policy
            return response

        return check

    async def _file(self, request: web.Request) -> web.Response:
        content, kind = self._contents[request.path]
        return web.Response(body=content, content_type=kind, charset="utf-8")

    async def _take(self, request: web.Request) -> web.Response:
        if not self._guard.knows(request.headers.get("Authorization")):
            return web.Response(status=401, text=NOBODY + "\n")
        name, side = request.match_info["name"], request.match_info["side"]
        sound = await asyncio.to_thread(self._panel.takes.sound, name, side)
        if sound is None:
            raise web.HTTPNotFound
        return web.Response(body=sound, content_type="audio/wav")

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=_MESSAGE_MAX, heartbeat=20.0, compress=False)
        await socket.prepare(request)
        if len(self._open) >= _PAGES_MAX:
            await socket.close(code=_TOO_MANY, message=b"too many pages")
            return socket
        self._open.add(socket)
        try:
            token = self._guard.admits(await self._token_of(socket))
            if token is None:
                await socket.close(code=_WRONG_TOKEN, message=NOBODY.encode())
            else:
                await self._attend(socket, token)
        finally:
            self._open.discard(socket)
        return socket

    @staticmethod
    async def _token_of(socket: web.WebSocketResponse) -> object:
        """What the first message says; it has to come soon."""
        with suppress(asyncio.TimeoutError, ValueError, TypeError, AttributeError):
            return json.loads(await socket.receive_str(timeout=_TOKEN_SECONDS)).get("token")
        return None

    async def _attend(self, socket: web.WebSocketResponse, token: str) -> None:
        page = _Page(socket)
        page.send({"event": "welcome", "token": token})
        delivering = asyncio.create_task(page.deliver())
        doing: set[asyncio.Task[None]] = set()
        self._panel.enter(page)
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                task = asyncio.create_task(self._do(page, message.data))
                doing.add(task)
                task.add_done_callback(doing.discard)
        finally:
            self._panel.part(page)
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _do(self, page: _Page, text: str) -> None:
        asked: Any = None
        with suppress(ValueError, RecursionError):
            asked = json.loads(text)
        page.send(await self._panel.do(page, asked))

    async def close(self) -> None:
        """Hang up."""
        for socket in list(self._open):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(socket.close(code=1001, message=b"the panel has ended"), 1.0)


@asynccontextmanager
async def listening(make: Callable[[int], Web], port: int) -> AsyncIterator[None]:
    """Serve on this machine alone, until the end of the ``with`` statement.

    Parameters
    ----------
    make : callable
        Gets the port, returns what is served.
    port : int
        0: any that is free.

    Raises
    ------
    DeviceError
        If the port cannot be had.
    """
    import socket

    with socket.socket() as place:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            place.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((LOCAL, port))
        except OSError as error:
            raise DeviceError(f"--port {port}: {error.strerror}; give another, or 0 for any that is free") from error
        served = make(int(place.getsockname()[1]))
        quiet = logging.Logger("rtdenoise.panel")  # requests that are no HTTP are nobody's business
        quiet.addHandler(logging.NullHandler())
        runner = web.AppRunner(served.application(), access_log=None, logger=quiet, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, place).start()
            yield
        finally:
            await served.close()
            await runner.cleanup()
