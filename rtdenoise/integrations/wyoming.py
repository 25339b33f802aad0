"""A Wyoming service in front of a microphone service (``pip install 'rtdenoise[wyoming]'``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from urllib.parse import urlparse

from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError, RtDenoiseError, reason
from rtdenoise.integrations.session import Bytes, Session, checked, missing_extra

try:
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncClient
    from wyoming.event import Event, async_read_event, async_write_event
except ModuleNotFoundError as error:
    raise missing_extra("a Wyoming service", "wyoming", "wyoming") from error

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 10.0
_RATE_HZ = 16000  # what Wyoming's microphones give
_BROKEN = (OSError, EOFError, asyncio.TimeoutError)


class Line:
    """What one microphone says to one client, denoised.

    Parameters
    ----------
    choice : Choice
    """

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._format: tuple[int, int, int] | None = None
        self._bytes: Bytes | None = None
        self._last: AudioChunk | None = None  # of the signal that goes on

    async def pass_on(self, event: Event) -> list[Event]:
        """Return the event, with the samples of an audio chunk enhanced, after what is left of a signal that it ends.

        A start, a stop and another format end the signal before.
        """
        if AudioStart.is_type(event.type) or AudioStop.is_type(event.type):
            return [*self.finish(), event]
        if not AudioChunk.is_type(event.type):
            return [event]
        rest: list[Event] = []
        try:
            chunk = AudioChunk.from_event(event)
            if (form := (chunk.rate, chunk.width, chunk.channels)) != self._format:
                rest = self.finish()
                self._format, self._bytes = form, None
                self._bytes = await self._build(*form)
            if self._bytes is not None:
                event.payload = self._bytes.process(chunk.audio)
                self._last = chunk
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("an audio chunk goes through unchanged: %s", reason(error))
        return [*rest, event]

    def finish(self) -> list[Event]:
        """End the signal and return its last samples, which the delay held back, as a chunk; nothing if none came."""
        last, self._last = self._last, None
        if last is None or self._bytes is None:
            return []
        rest = self._bytes.finish()
        when = None if last.timestamp is None else last.timestamp + round(1000 * last.seconds)
        return [AudioChunk(last.rate, last.width, last.channels, rest, timestamp=when).event()] if rest else []

    async def _build(self, rate: int, width: int, channels: int) -> Bytes | None:
        try:
            if width not in (1, 2, 4):
                raise ConfigError(f"width={width} must be 1, 2 or 4 bytes")
            return Bytes(await asyncio.to_thread(Session, self._choice, rate, channels), width)
        except RtDenoiseError as error:
            _log.error("audio of %s Hz goes through unchanged: %s", rate, reason(error))
            return None


class Service:
    """Listens at an address; each client gets a connection of its own to the microphone service.

    Events go both ways as they are, apart from the audio that the microphone sends, which is enhanced: each chunk keeps
    its length, the delay is held back once, as silence, and the last samples come in one more chunk when a signal ends.

    Parameters
    ----------
    uri, upstream_uri : str
        Where to listen, and where the microphone is: ``tcp://HOST:PORT`` or ``unix://PATH``.  Port 0 is any free one.
    choice : Choice

    Raises
    ------
    ConfigError
        For another kind of address.
    """

    def __init__(self, uri: str, upstream_uri: str, choice: Choice) -> None:
        for name, given in (("uri", uri), ("upstream_uri", upstream_uri)):
            _check(name, given)
        self._uri, self._upstream_uri, self._choice = uri, upstream_uri, checked(choice)
        self._clients: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[str], object]) -> None:
        """Build, listen, and serve until cancelled; `ready` gets the address once clients may connect."""
        await asyncio.to_thread(Session, self._choice, _RATE_HZ, 1)  # compiles: no client shall wait for it
        place = urlparse(self._uri)
        if place.scheme == "unix":
            server: asyncio.AbstractServer = await asyncio.start_unix_server(self._serve, path=place.path)
            ready(self._uri)
        else:
            server = await asyncio.start_server(self._serve, place.hostname, place.port)
            ready(f"tcp://{place.hostname}:{server.sockets[0].getsockname()[1]}")
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for task in self._clients:
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            pass  # the service ends, perhaps while it disconnects; asyncio's streams would log it as an error
        finally:
            self._clients.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = AsyncClient.from_uri(self._upstream_uri, connect_timeout=_CONNECT_SECONDS)
        try:
            await upstream.connect()
            await _first_of(self._towards(reader, upstream), self._back(upstream, writer))
        except _BROKEN as error:
            _log.warning("a client is gone: %s: %s", self._upstream_uri, reason(error))
        finally:
            writer.close()
            with suppress(*_BROKEN):
                await upstream.disconnect()

    @staticmethod
    async def _towards(reader: asyncio.StreamReader, upstream: AsyncClient) -> None:
        while (event := await async_read_event(reader)) is not None:
            await upstream.write_event(event)

    async def _back(self, upstream: AsyncClient, writer: asyncio.StreamWriter) -> None:
        line = Line(self._choice)
        while (event := await upstream.read_event()) is not None:
            for one in await line.pass_on(event):
                await async_write_event(one, writer)
        for one in line.finish():
            await async_write_event(one, writer)


async def _first_of(*ways: Coroutine[Any, Any, None]) -> None:
    """Run until one way ends, then end the other."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check(name: str, uri: str) -> None:
    try:
        place = urlparse(uri)
        usable = (
            bool(place.path)
            if place.scheme == "unix"
            else place.scheme == "tcp"
            and None
            not in (
                place.hostname,
                place.port,
            )
        )
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise ConfigError(f"{name}={uri!r} must be tcp://HOST:PORT or unix://PATH")
