"""End a session's audio process: gracefully if it responds, and promptly in any case.

A synchronous JACK server stalls for 20 s when one of its clients is killed.  Killing another client during the stall
restarts the 20 s, so a timeout shorter than the stall would kill one waiting client after another.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rtdenoise.child.process import Child
from rtdenoise.live_audio.messages import Leave, Leaving
from rtdenoise.live_audio.record import FINISHED, STOPPING
from rtdenoise.live_audio.supervise.watch import Watch, block_seconds

STOP_SECONDS = 0.75
_STEP_SECONDS = 0.01
_LEAVE_SECONDS = 0.7  # for a process that may be in the middle of a call to the sound server
_ANSWER_SECONDS = 8.0  # for a process to acknowledge the order; a stopped process never does
_PATIENCE_SECONDS = 45.0  # two stalls of the server, plus a margin
_MOST = 2  # leaving at the same time; more would only queue up after them
_CEASED_SECONDS = 0.2  # without a callback (and two blocks): no graceful shutdown is possible


@dataclass(slots=True)
class _Leaving:
    worker: Child
    answer_by: float
    end_by: float
    acknowledged: bool = False


def goes_on(live: Any, watch: Watch) -> bool:
    """Whether callbacks are still arriving; they stop when the server hangs."""
    return watch.still_seconds(live) <= max(_CEASED_SECONDS, 2.0 * block_seconds(live))


def fade_out(worker: Child, live: Any, watch: Watch) -> None:
    """Let it fade out and disconnect while its callbacks keep arriving; `live` is the (1,) record, read and written."""
    live["phase"], limit = STOPPING, time.monotonic() + STOP_SECONDS
    while worker.alive and time.monotonic() < limit:
        if live["phase"][0] != FINISHED and not goes_on(live, watch):
            return
        time.sleep(_STEP_SECONDS)


def dismiss(worker: Child) -> None:
    """End it, gracefully if possible: a client that vanishes without disconnecting stalls the sound server."""
    worker.order(Leave())
    worker.end(_LEAVE_SECONDS)


class Departing:
    """Audio processes that have been ordered to leave and are still shutting down after being replaced."""

    def __init__(self) -> None:
        self._leaving: list[_Leaving] = []

    def part(self, worker: Child | None, *, on_jack: bool, running: bool) -> None:
        """End a process that is being replaced: JACK clients may take their time, others must release their devices.

        Parameters
        ----------
        worker : Child
        on_jack : bool
            Whether all its devices are JACK's, or it has none yet.
        running : bool
            Whether its callbacks are arriving.
        """
        if worker is None:
            return
        if on_jack and worker.alive and not worker.flooding:
            self._add(worker)
            return
        if running:
            dismiss(worker)
        worker.end()

    def _add(self, worker: Child) -> None:
        """Order it to leave, or to finish leaving, and wait briefly."""
        worker.order(Leave(_PATIENCE_SECONDS))
        worker.wait(_LEAVE_SECONDS)
        now = time.monotonic()
        self._leaving.append(_Leaving(worker, now + _ANSWER_SECONDS, now + _PATIENCE_SECONDS))

    @property
    def full(self) -> bool:
        """Whether the next one must wait until one of these has left."""
        return len(self._leaving) >= _MOST

    def look(self) -> None:
        """Forget those that left; end those that do not even answer, and those that take too long."""
        now = time.monotonic()
        for one in tuple(self._leaving):
            while not one.acknowledged and (event := one.worker.event()) is not None:
                one.acknowledged = isinstance(event, Leaving)
            if not one.worker.alive or now > one.end_by or (now > one.answer_by and not one.acknowledged):
                one.worker.end()
                self._leaving.remove(one)

    def end(self, last: Child | None) -> None:
        """End them all, now, and the one that was never told."""
        for worker in (last, *(one.worker for one in self._leaving)):
            if worker is not None:
                worker.end()
        self._leaving.clear()
