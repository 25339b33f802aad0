"""Lines of JSON between the program and the processes that do its audio."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable
from queue import Empty, Queue
from typing import Any


def encode(value: Any) -> str:
    """A Python object as text, for a process of this very program."""
    return base64.b64encode(pickle.dumps(value)).decode("ascii")


def decode(text: str) -> Any:
    """The object behind `encode`'s text."""
    return pickle.loads(base64.b64decode(text))


class ChildEnd:
    """The child's side: orders come on standard input, events go out where standard output was.

    What libraries print goes to standard error instead.  When standard input ends the parent is gone, and so is this
    process, at once.
    """

    def __init__(self, on_order: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._events = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self.orders: Queue[dict[str, Any]] = Queue()
        self._on_order = on_order
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            order = json.loads(line)
            if self._on_order is not None:
                self._on_order(order)
            self.orders.put(order)
        os._exit(0)

    def send(self, event: str, **fields: Any) -> None:
        """Tell the parent."""
        data = (json.dumps({"event": event, **fields}) + "\n").encode()
        with self._lock:
            os.write(self._events, data)

    def wait(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The next order, or None after the time."""
        try:
            return self.orders.get(timeout=timeout_seconds)
        except Empty:
            return None
