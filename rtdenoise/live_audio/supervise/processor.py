"""Processor time of this program and, where the system reports it, of its child processes."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")
_SHORTEST_SECONDS = 0.5  # the system counts in ticks of 10 ms, which are too coarse for a shorter interval


class Processor:
    """Share of a core that this program used between two calls of `percent`.

    Attributes
    ----------
    whole : bool
        Whether the audio and engine processes are included; only Linux reports them.
    """

    def __init__(self) -> None:
        self.whole = any(_TASKS.glob("*/children"))
        self._at, self._used = time.monotonic(), _used_seconds()
        self._percent = 0.0

    def percent(self) -> float:
        """Percent of one core since the last call; repeats the last value if that call was too recent."""
        at = time.monotonic()
        if at - self._at >= _SHORTEST_SECONDS:
            used = _used_seconds()
            self._percent = 100.0 * max(0.0, (used - self._used) / (at - self._at))
            self._at, self._used = at, used
        return self._percent


def _used_seconds() -> float:
    """Of this process, its ended children and its running children."""
    return sum(os.times()[:4]) + sum(_of_child(number) for path in _TASKS.glob("*/children") for number in _pids(path))


def _pids(path: Path) -> list[int]:
    with suppress(OSError):  # the thread ended meanwhile
        return [int(number) for number in path.read_text().split()]
    return []


def _of_child(number: int) -> float:
    with suppress(OSError, IndexError):  # it ended meanwhile
        after_name = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in after_name[11:15]) / os.sysconf("SC_CLK_TCK")
    return 0.0
