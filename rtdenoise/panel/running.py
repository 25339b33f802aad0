"""Run a panel from its start to its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rtdenoise.live_audio.audio.desktop import server_name
from rtdenoise.live_audio.controls import VIRTUAL_MICROPHONE
from rtdenoise.panel.choices import USUAL, Choices
from rtdenoise.panel.guard import Guard
from rtdenoise.panel.hub import Panel
from rtdenoise.panel.memory import Memory, usual_file
from rtdenoise.panel.web import Web, listening

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


async def run(
    socket: Path,
    recordings: Path,
    say: Callable[[str], None],
    *,
    port: int = 0,
    opens: bool = False,
    starts: bool = False,
) -> None:
    """Serve the panel until a signal or a page ends it.

    Parameters
    ----------
    socket : Path
        The control socket of the session.
    recordings : Path
        The folder of recordings.
    say : callable
        Called once with the address.
    port : int
    opens : bool
        Whether to open it in the user's browser.
    starts : bool
        Whether to start a session if none runs.

    Raises
    ------
    DeviceError
        If the port cannot be had.
    """
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in _ENDING:
        with suppress(NotImplementedError, AttributeError, RuntimeError):  # Windows raises KeyboardInterrupt instead
            loop.add_signal_handler(getattr(signal, name), end.set)
    memory = Memory(usual_file(), await asyncio.to_thread(usual))
    panel = Panel(socket, recordings.absolute(), memory, end.set)
    guards: list[Guard] = []

    def make(port: int) -> Web:
        guards.append(Guard(port))
        return Web(panel, guards[0])

    async with listening(make, port):
        say(guards[0].address)
        working = asyncio.create_task(panel.run())
        if opens and has_screen():
            await asyncio.to_thread(webbrowser.open, guards[0].invitation())
        try:
            if starts:
                await panel.start_if_none()
            waiting = asyncio.create_task(end.wait())
            await asyncio.wait((waiting, working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await panel.close()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def usual() -> Choices:
    """What is chosen on a machine where nothing was chosen yet: a microphone for calls, where there can be one."""
    return USUAL | ({"output": VIRTUAL_MICROPHONE} if shutil.which("pactl") is not None and server_name() else {})


def has_screen() -> bool:
    """Whether a browser would have a window: one in the terminal is of no use."""
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
