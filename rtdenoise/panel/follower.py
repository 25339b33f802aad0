"""The list of devices, made again when something was plugged in or pulled out."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.audio.devices import Device, list_devices

_SETTLE_SECONDS = 0.7  # a device comes as several events
_LOOK_SECONDS = 2.0
_BLIND_SECONDS = 60.0  # where nothing tells of changes: a list takes a process
_CARDS = (Path("/dev/snd"), Path("/proc/asound/cards"))
_TELLING = (" on source #", " on sink #", " on card #")


class Follower:
    """Lists devices at first, whenever the system tells of a change, and when asked to.

    Parameters
    ----------
    changed : callable
        Called without arguments when `devices` or `error` has changed.

    Attributes
    ----------
    devices : list of Device
    error : str
        Why they could not be listed; empty if they could.
    watched : bool
        Whether somebody looks at the list.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.devices: list[Device] = []
        self.error = ""
        self.watched = False
        self._told = False  # whether the sound server tells of changes
        self._due = asyncio.Event()

    def refresh(self) -> None:
        """List again soon."""
        self._due.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        told = asyncio.create_task(self._listen())
        looking = asyncio.create_task(self._look())
        try:
            while True:
                await self._list()
                await self._due.wait()
                await asyncio.sleep(_SETTLE_SECONDS)
                self._due.clear()
        finally:
            told.cancel()
            looking.cancel()
            await asyncio.gather(told, looking, return_exceptions=True)

    async def _list(self) -> None:
        before = self.devices, self.error
        try:
            self.devices, self.error = await asyncio.to_thread(list_devices), ""
        except RtDenoiseError as error:
            self.devices, self.error = [], str(error)
        if (self.devices, self.error) != before:
            self._changed()

    async def _look(self) -> None:
        """Compare what the system lists of its own; where that tells nothing, list once in a while."""
        seen, waited = _cards(), 0.0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
            blind = waited >= _BLIND_SECONDS and self.watched and not self._told
            if (now := _cards()) != seen or blind:
                seen, waited = now, 0.0
                self.refresh()

    async def _listen(self) -> None:
        """Hear of changes from the desktop's sound server."""
        if sys.platform != "linux" or shutil.which("pactl") is None:
            return
        while True:
            with suppress(OSError):
                process = await asyncio.create_subprocess_exec(
                    "pactl",
                    "subscribe",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                try:
                    await self._hear(process)
                except asyncio.CancelledError:
                    process.kill()
                    raise
                finally:
                    self._told = False
                    await process.wait()
            await asyncio.sleep(_BLIND_SECONDS)  # there is no server

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            text, self._told = line.decode("utf-8", "replace"), True
            if "on server" in text or ("'change'" not in text and any(words in text for words in _TELLING)):
                self.refresh()


def _cards() -> tuple[object, ...]:
    found: list[object] = []
    for place in _CARDS:
        with suppress(OSError):
            found.append(tuple(sorted(p.name for p in place.iterdir())) if place.is_dir() else place.read_text())
    return tuple(found)
