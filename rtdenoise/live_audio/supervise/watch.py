"""The watchdog: detects a stream that has stalled, lost its device or receives only zeros."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import Device, list_devices

_SILENT_SECONDS = 0.5  # without a callback
_SILENT_BLOCKS = 10
_STARTING_SECONDS, _STARTING_SILENT_SECONDS = 4.0, 1.5  # PulseAudio may start with a pause and a burst
_ZERO_SECONDS = 3.0
_LOOK_SECONDS = 10.0  # between checks for a source that delivers zeros; zeros this long cause a reopening
_TARGET_SECONDS = 10.0  # between checks for an output that may vanish silently; a check costs 0.1 s of a core
_LOOK_PATIENCE_SECONDS = 60.0  # a check blocks nothing, and killing it would stall a synchronous JACK
_SUSPEND_SECONDS = 2.0


@dataclass(slots=True)
class Zeros:
    """State of a run of exact zeros at the input, kept across reopenings."""

    told: bool = False
    reopened: bool = False


class Watch:
    """Checks the heartbeat, runs of zeros, clock and devices of one opening.

    Parameters
    ----------
    source, target : Device, optional
        The devices as the audio process reported them.
    zeros : Zeros, optional
        From the previous opening, read and written.
    """

    def __init__(
        self,
        source: Device | None = None,
        target: Device | None = None,
        zeros: Zeros | None = None,
    ) -> None:
        self._source, self._target = source, target
        self._zeros = zeros if zeros is not None else Zeros()
        self._callbacks = [-1, -1]
        self._opened = time.monotonic()
        self._moved = [self._opened] * 2
        self._asleep = _suspended_seconds()
        self._look: threading.Thread | None = None
        self._looked = self._opened
        self._missing: set[str] | None = None  # of "source" and "target"; None before the first result

    def trouble(self, live: Any, tell: Any) -> str:
        """Why the devices must be reopened, or an empty string; `live` is the (1,) record, `tell` receives messages."""
        now, record = time.monotonic(), live[0]
        still = self.still_seconds(live)
        patience = _STARTING_SILENT_SECONDS if now - self._opened < _STARTING_SECONDS else _SILENT_SECONDS
        if still > max(patience, _SILENT_BLOCKS * block_seconds(live)):
            return f"no audio for {still:.1f} s: the device or its server is gone"
        asleep = _suspended_seconds()
        if asleep - self._asleep > _SUSPEND_SECONDS:
            return "the computer was suspended"
        self._asleep = asleep
        return self._target_trouble(now) or self._zeros_trouble(record, now, tell)

    def leave_out_target(self) -> None:
        """Leave the output device to a cheaper check elsewhere."""
        self._target = None

    def still_seconds(self, live: Any) -> float:
        """Seconds since the last callback of the slower of the clocks; `live` is the (1,) record."""
        now, record = time.monotonic(), live[0]
        for clock, name in enumerate(("callbacks", "play_callbacks")):
            if int(record[name]) != self._callbacks[clock] or (clock == 1 and record["play_rate"] == 0.0):
                self._callbacks[clock], self._moved[clock] = int(record[name]), now
        return now - min(self._moved)

    def _target_trouble(self, now: float) -> str:
        """Detect a vanished JACK client: a stream that plays to it keeps running, unheard."""
        if self._target is None or "JACK" not in self._target.host_api:
            return ""
        if "target" in (self._missing or ()):
            return "the output device is gone"
        self._look_every(_TARGET_SECONDS, now)
        return ""

    def _zeros_trouble(self, record: Any, now: float, tell: Any) -> str:
        """Exact zeros: a muted microphone, or a source that vanished behind a server that hides it."""
        zeros, zero_seconds = self._zeros, int(record["zero_run"]) / max(1.0, float(record["rate"]))
        if self._source is None or zero_seconds < _ZERO_SECONDS:
            if zero_seconds == 0.0 and record["energy_in"] > 0.0:
                if zeros.told:
                    tell("the input is back")
                zeros.told = zeros.reopened = False
            return ""
        name = self._source.name
        if not zeros.told:
            zeros.told = True
            tell(f"the input is digital silence: {name!r} is muted, disconnected or not permitted")
            self._missing, self._looked = None, -math.inf
        self._look_every(_LOOK_SECONDS, now)
        if self._missing is None:
            return ""
        listed_in_use = "ALSA" not in self._source.host_api
        if "source" in self._missing and (listed_in_use or not zeros.reopened):
            zeros.reopened = True
            return "the input device is gone"
        if zero_seconds >= _LOOK_SECONDS and not zeros.reopened:
            zeros.reopened = True
            return f"{name!r} is there, yet silent for {zero_seconds:.0f} s: it may have been plugged in again"
        return ""

    def _look_every(self, seconds: float, now: float) -> None:
        """Check which devices still exist, unless a check is running or was started within this time."""
        if now - self._looked >= seconds and (self._look is None or not self._look.is_alive()):
            self._looked = now
            self._look = threading.Thread(target=self._look_for_devices, daemon=True)
            self._look.start()

    def _look_for_devices(self) -> None:
        """List devices in a separate process, which may hang; a host API that lists none is not conclusive."""
        try:
            listed = list_devices(_LOOK_PATIENCE_SECONDS)
        except DeviceError:
            return
        missing = set()
        for kind, device in (("source", self._source), ("target", self._target)):
            if device is None:
                continue
            own = [d for d in listed if d.host_api == device.host_api]
            names = {d.name for d in own if (d.channels_in if kind == "source" else d.channels_out) > 0}
            if own and device.name not in names:
                missing.add(kind)
        self._missing = missing


def block_seconds(live: Any) -> float:
    """Duration of the last block; `live` is the (1,) record."""
    return float(live["block"][0]) / max(1.0, float(live["rate"][0]))


def _suspended_seconds() -> float:
    """How long this computer has been suspended since boot; 0 if the system does not report it."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
