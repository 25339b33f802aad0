"""Messages between the program and its child processes: dataclasses, each a line of JSON on a pipe."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import fields
from queue import Empty, Queue
from typing import Any, TypeVar

T = TypeVar("T")

_KINDS: dict[str, type[Any]] = {}
_NAME = "@"  # no field has this name


def message(kind: type[T]) -> type[T]:
    """Let a dataclass pass between processes, by its name, alone or inside another message."""
    _KINDS[kind.__name__] = kind
    return kind


def encode(value: Any) -> bytes:
    """Encode a message, or what else JSON can hold, with messages inside, as one line."""
    return json.dumps(value, default=_fields).encode() + b"\n"


def decode(line: bytes | str) -> Any:
    """Decode a line made by `encode`.

    Raises
    ------
    ValueError
        If it is no such line, or holds a message that this process does not know.
    """
    return json.loads(line, object_hook=_made)


def _fields(value: Any) -> dict[str, Any]:
    name = type(value).__name__
    if _KINDS.get(name) is not type(value):
        raise TypeError(f"{name} is no message")
    return {_NAME: name} | {field.name: getattr(value, field.name) for field in fields(value)}


def _made(values: dict[str, Any]) -> Any:
    if _NAME not in values:
        return values
    kind = _KINDS.get(values.pop(_NAME))
    if kind is None:
        raise ValueError("unknown message")
    return kind(**values)


class ChildEnd:
    """The child's side: orders come on standard input, events go out where standard output was.

    Library output goes to standard error instead.  At the end of standard input the parent is gone, and this process
    ends at once.
    """

    def __init__(self, on_order: Callable[[ChildEnd, Any], None] | None = None) -> None:
        self._events = os.dup(1)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._orders: Queue[Any] = Queue()
        self._on_order = on_order
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            order = decode(line)
            if self._on_order is not None:
                self._on_order(self, order)
            self._orders.put(order)
        os._exit(0)

    def send(self, event: Any) -> None:
        """Send an event to the parent."""
        data = encode(event)
        with self._lock:
            os.write(self._events, data)

    def wait_for(self, kind: type[T], timeout_seconds: float | None = None) -> T | None:
        """The next order of this kind, or None after the timeout; others before it are dropped."""
        limit = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            try:
                order = self._orders.get(timeout=None if limit is None else max(0.0, limit - time.monotonic()))
            except Empty:
                return None
            if isinstance(order, kind):
                return order
