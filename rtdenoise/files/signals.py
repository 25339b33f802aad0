"""Defer Ctrl-C until code that must not be interrupted reaches a safe point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rtdenoise.child.endings import ENDING_SIGNALS


class DeferredSignals:
    """Ctrl-C and every other signal that ends a process wait for `check`, or come at once inside `allowed`.

    libsndfile calls back into Python to write; an exception raised by a signal handler there would be printed and lost.
    Outside the main thread, where no handler runs, this does nothing.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        self._pending: int | None = None
        self._open = False

    def __enter__(self) -> DeferredSignals:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING_SIGNALS:
                if callable(signal.getsignal(number)):
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.check()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._pending = number
        if self._open:
            self.check(frame)

    def check(self, frame: FrameType | None = None) -> None:
        """Handle any deferred signal now; usually raises KeyboardInterrupt."""
        number, self._pending = self._pending, None
        if number is not None:
            self._previous[number](number, frame)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let signals take effect at once inside the context, for blocking calls."""
        self._open = True
        try:
            self.check()
            yield
        finally:
            self._open = False
