"""The watchdog: what tells a stream that runs from one that only seems to."""

from __future__ import annotations

import threading
import time
from typing import Any

from rtdenoise.errors import DeviceError
from rtdenoise.live.devices import list_devices

_SILENT_SECONDS = 0.5  # without a callback
_SILENT_BLOCKS = 10
_STARTING_SECONDS, _STARTING_SILENT_SECONDS = 4.0, 1.5  # PulseAudio may begin with a pause and a burst
_ZERO_SECONDS = 3.0
_SUSPEND_SECONDS = 2.0


class Watch:
    """Looks at the heartbeat, the zeros and the clock of one opening.

    Parameters
    ----------
    source : mapping, optional
        The input device as the audio process reported it.
    """

    def __init__(self, source: dict[str, Any] | None = None) -> None:
        self._source = source
        self._callbacks = [-1, -1]
        self._opened = time.monotonic()
        self._moved = [self._opened] * 2
        self._zeros_told = False
        self._gone = threading.Event()
        self._asleep = _suspended_seconds()

    def trouble(self, live: Any, tell: Any) -> str:
        """Why the devices must be opened again, or nothing; `live` is the (1,) record, `tell` gets remarks."""
        now, record = time.monotonic(), live[0]
        for clock, name in enumerate(("callbacks", "play_callbacks")):
            if int(record[name]) != self._callbacks[clock] or (clock == 1 and record["play_rate"] == 0.0):
                self._callbacks[clock], self._moved[clock] = int(record[name]), now
        block_seconds = float(record["block"]) / max(1.0, float(record["rate"]))
        still = now - min(self._moved)
        patience = _STARTING_SILENT_SECONDS if now - self._opened < _STARTING_SECONDS else _SILENT_SECONDS
        if still > max(patience, _SILENT_BLOCKS * block_seconds):
            return f"no audio for {still:.1f} s: the device or its server is gone"
        asleep = _suspended_seconds()
        if asleep - self._asleep > _SUSPEND_SECONDS:
            return "the computer was suspended"
        self._asleep = asleep
        self._look_at_zeros(record, tell)
        return "the input device is gone" if self._gone.is_set() else ""

    def _look_at_zeros(self, record: Any, tell: Any) -> None:
        """Exact zeros: a muted microphone, or a source that vanished behind a server that hides it."""
        zero_seconds = int(record["zero_run"]) / max(1.0, float(record["rate"]))
        if self._source is None or zero_seconds < _ZERO_SECONDS:
            if self._zeros_told and zero_seconds == 0.0:
                self._zeros_told = False
                tell("the input is back")
            return
        if not self._zeros_told:
            self._zeros_told = True
            tell(f"the input is digital silence: {self._source['name']!r} is muted, disconnected or not permitted")
            threading.Thread(target=self._look_for_source, daemon=True).start()

    def _look_for_source(self) -> None:
        """Ask, in a process that may hang, whether the source is still there."""
        assert self._source is not None
        try:
            names = {device.name for device in list_devices() if device.channels_in > 0}
        except DeviceError:
            return
        if self._source["name"] not in names:
            self._gone.set()


def _suspended_seconds() -> float:
    """How long this computer has slept since it started; 0 where the system does not say."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
