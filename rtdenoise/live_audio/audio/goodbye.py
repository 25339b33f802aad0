"""Leave the sound server in order: a synchronous one waits for a client that went without a word, for 20 seconds."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, NoReturn

_CLOSE_SECONDS = 0.6


class Goodbye:
    """What this process has open at the sound server, and how it leaves.

    Attributes
    ----------
    streams : list
        What is open; closed at the end, the last first.
    talking : lock
        Held by whoever calls PortAudio.  Who leaves takes it for good: until then a word to the server is finished,
        and afterwards there will be none.
    """

    def __init__(self) -> None:
        self.streams: list[Any] = []
        self.talking = threading.Lock()

    def on_order(self, order: dict[str, Any]) -> None:
        """Leave if that is the order, whatever else this process is doing: importing, compiling, waiting."""
        if order["order"] == "leave":
            patience = float(order.get("patience_seconds", _CLOSE_SECONDS))
            threading.Thread(target=self.leave, args=(0, patience), daemon=True).start()

    def leave(self, code: int, patience_seconds: float = _CLOSE_SECONDS) -> NoReturn:
        """Say goodbye and end this process; a server that does not hear it is waited for so long only."""
        self.talking.acquire()
        parting = threading.Thread(target=self._part, daemon=True)
        parting.start()
        parting.join(patience_seconds)
        sys.stderr.flush()
        os._exit(code)  # not through atexit: PortAudio's goodbye can hang

    def _part(self) -> None:
        for stream in reversed(self.streams):
            stream.close()
        if "sounddevice" in sys.modules:
            sys.modules["sounddevice"]._terminate()
