"""End a session's audio process: in order if it can answer, in less than a second in any case."""

from __future__ import annotations

import time
from typing import Any

from rtdenoise.live.children import Child
from rtdenoise.live.record import FINISHED, STOPPING
from rtdenoise.live.watch import Watch, block_seconds

STOP_SECONDS = 0.75
_STEP_SECONDS = 0.01
_LEAVE_SECONDS = 0.7  # for a process that may be in the midst of a word to the sound server
_CEASED_SECONDS = 0.2  # without a callback, and two blocks: nobody is there to end in order


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
