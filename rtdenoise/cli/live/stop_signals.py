"""Signals that ask a live run to end: noted at once, answered in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rtdenoise.child.endings import ENDING_SIGNALS


class StopSignals:
    """Ctrl-C, a closed terminal and all that ends a process ask for an orderly end, however often they come.

    Attributes
    ----------
    asked : bool
        Whether to end; others may set it, too.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for number in ENDING_SIGNALS:
            if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if self._at_once and first:  # not in the middle of cleaning up
            raise SystemExit(0)

    @contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """For work before the first sample that nobody asks in between: imports, reading a file's head."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
