"""JSON-lines protocol between the program and its audio processes."""

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
    """Encode a Python object as text, for another process of this program."""
    return base64.b64encode(pickle.dumps(value)).decode("ascii")


def decode(text: str) -> Any:
    """Decode the text made by `encode`."""
    return pickle.loads(base64.b64decode(text))


class ChildEnd:
    """The child's side: orders come on standard input, events go out where standard output was.

    Library output goes to standard error instead.  At the end of standard input the parent is gone, and this process
    ends at once.
    """

    def __init__(self, on_order: Callable[[ChildEnd, dict[str, Any]], None] | None = None) -> None:
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
                self._on_order(self, order)
            self.orders.put(order)
        os._exit(0)

    def send(self, event: str, **fields: Any) -> None:
        """Send an event to the parent."""
        data = (json.dumps({"event": event, **fields}) + "\n").encode()
        with self._lock:
            os.write(self._events, data)

    def wait(self, timeout_seconds: float) -> dict[str, Any] | None:
        """The next order, or None after the timeout."""
        try:
            return self.orders.get(timeout=timeout_seconds)
        except Empty:
            return None
