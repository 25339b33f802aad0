"""End a session's audio process: in order if it can answer, soon in any case.

A synchronous JACK stands still for 20 s when one of its clients is killed.  Who is killed while it stands makes it
stand as long again, and whoever waits for it with less patience than that is the next to be killed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rtdenoise.child.process import Child
from rtdenoise.live_audio.record import FINISHED, STOPPING
from rtdenoise.live_audio.supervise.watch import Watch, block_seconds

STOP_SECONDS = 0.75
_STEP_SECONDS = 0.01
_LEAVE_SECONDS = 0.7  # for a process that may be in the midst of a word to the sound server
_ANSWER_SECONDS = 8.0  # for a process to say that it heard the order; one that is itself stopped says nothing
_PATIENCE_SECONDS = 45.0  # a server that waits twice for somebody else, and then some
_MOST = 2  # that leave at the same time; more would only wait behind them
_CEASED_SECONDS = 0.2  # without a callback, and two blocks: nobody is there to end in order


@dataclass(slots=True)
class _Leaving:
    worker: Child
    answer_by: float
    end_by: float
    heard: bool = False


def goes_on(live: Any, watch: Watch) -> bool:
    """Whether callbacks come; a server that hangs answers nobody."""
    return watch.still_seconds(live) <= max(_CEASED_SECONDS, 2.0 * block_seconds(live))


def fade_out(worker: Child, live: Any, watch: Watch) -> None:
    """Let it fade out and say goodbye, as long as its callbacks come; `live` is the (1,) record, read and written."""
    live["phase"], limit = STOPPING, time.monotonic() + STOP_SECONDS
    while worker.alive and time.monotonic() < limit:
        if live["phase"][0] != FINISHED and not goes_on(live, watch):
            return
        time.sleep(_STEP_SECONDS)


def dismiss(worker: Child) -> None:
    """End it, in order if it can: cut off from the sound server without a word it would make that wait for it."""
    worker.order("leave")
    worker.end(_LEAVE_SECONDS)


class Departing:
    """Audio processes that were told to leave and take their time, while another has their place."""

    def __init__(self) -> None:
        self._leaving: list[_Leaving] = []

    def part(self, worker: Child | None, *, on_jack: bool, running: bool) -> None:
        """End one that others shall replace: on JACK in the time that it needs, elsewhere it would hold its devices.

        Parameters
        ----------
        worker : Child
        on_jack : bool
            All its devices are JACK's, or it has none yet.
        running : bool
            Whether its callbacks come.
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
        """Tell it to leave, or to finish leaving, and wait no longer than a moment."""
        worker.order("leave", patience_seconds=_PATIENCE_SECONDS)
        worker.wait(_LEAVE_SECONDS)
        now = time.monotonic()
        self._leaving.append(_Leaving(worker, now + _ANSWER_SECONDS, now + _PATIENCE_SECONDS))

    @property
    def full(self) -> bool:
        """Whether to wait for one of them rather than send another one after them."""
        return len(self._leaving) >= _MOST

    def look(self) -> None:
        """Forget those that left; end those that do not even answer, and those that take too long."""
        now = time.monotonic()
        for one in tuple(self._leaving):
            while not one.heard and (event := one.worker.event()) is not None:
                one.heard = event["event"] == "leaving"
            if not one.worker.alive or now > one.end_by or (now > one.answer_by and not one.heard):
                one.worker.end()
                self._leaving.remove(one)

    def end(self, last: Child | None) -> None:
        """End them all, now, and the one that was never told."""
        for worker in (last, *(one.worker for one in self._leaving)):
            if worker is not None:
                worker.end()
        self._leaving.clear()
