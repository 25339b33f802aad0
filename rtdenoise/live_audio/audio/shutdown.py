"""Disconnect gracefully from the sound server: a synchronous one stalls for 20 s when a client just vanishes."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, NoReturn

_CLOSE_SECONDS = 0.6


class Shutdown:
    """The streams this process has open at the sound server, and their orderly shutdown.

    Attributes
    ----------
    streams : list
        Open streams; closed at the end, the last first.
    talking : lock
        Held during every PortAudio call.  `leave` acquires it for good: a call in progress completes first, and no
        other can follow.
    """

    def __init__(self) -> None:
        self.streams: list[Any] = []
        self.talking = threading.Lock()

    def leave_soon(self, patience_seconds: float | None) -> None:
        """`leave`, in a thread of its own."""
        patience = _CLOSE_SECONDS if patience_seconds is None else patience_seconds
        threading.Thread(target=self.leave, args=(0, patience), daemon=True).start()

    def leave(self, code: int, patience_seconds: float = _CLOSE_SECONDS) -> NoReturn:
        """Disconnect and end this process; wait at most `patience_seconds` for an unresponsive server."""
        self.talking.acquire()
        parting = threading.Thread(target=self._part, daemon=True)
        parting.start()
        parting.join(patience_seconds)
        sys.stderr.flush()
        os._exit(code)  # bypasses atexit, where PortAudio's termination can hang

    def _part(self) -> None:
        for stream in reversed(self.streams):
            stream.close()
        if "sounddevice" in sys.modules:
            sys.modules["sounddevice"]._terminate()
