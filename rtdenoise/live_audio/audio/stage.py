"""How far an opening of the devices has come, and how long it may take there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

from rtdenoise.cache import entries
from rtdenoise.live_audio.plan import LivePlan


@dataclass(slots=True)
class Stage:
    """One of "listing", "preparing" and "opening", and until when it has to be over."""

    name: str = ""
    deadline: float = 0.0
    on_jack: bool = True  # or unknown: then no device is held

    def enter(self, name: str, seconds: float) -> None:
        """It begins now, and may last that long."""
        self.name, self.deadline = name, time.monotonic() + seconds

    def begin(self, seconds: float) -> None:
        """Devices are listed, within so long; nothing is known of them."""
        self.enter("listing", seconds)
        self.on_jack = True

    @property
    def overdue(self) -> bool:
        """Whether it lasts longer than it may."""
        return time.monotonic() > self.deadline

    def preparing(self, plan: LivePlan) -> str:
        """What takes its time; empty before the devices are listed, and when they are being opened."""
        if self.name != "preparing":
            return ""
        if plan.uses_engine:
            return f"preparing: loading the network of {plan.settings.method}"
        return f"preparing: {_why_it_takes_long()}"


@lru_cache(maxsize=1)
def _why_it_takes_long() -> str:
    """Asked for many times while nothing changes; writes to the disk."""
    if entries.writable() is not None:
        return "the first use of a method at a rate compiles it for this machine"
    return f"compiling it for this machine; {entries.not_kept()}"
