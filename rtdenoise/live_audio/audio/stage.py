"""The current stage of opening the devices, and its deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

from rtdenoise.cache import entries
from rtdenoise.live_audio.plan import LivePlan


@dataclass(slots=True)
class Stage:
    """One of "listing", "preparing" and "opening", with its deadline."""

    name: str = ""
    deadline: float = 0.0
    on_jack: bool = True  # also while unknown: no device is held then

    def enter(self, name: str, seconds: float) -> None:
        """Enter a stage that may last `seconds`."""
        self.name, self.deadline = name, time.monotonic() + seconds

    def begin(self, seconds: float) -> None:
        """Start listing devices, with a limit of `seconds`; nothing is known of them yet."""
        self.enter("listing", seconds)
        self.on_jack = True

    @property
    def overdue(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def preparing(self, plan: LivePlan) -> str:
        """The slow step in progress; empty before the devices are listed and while they are being opened."""
        if self.name != "preparing":
            return ""
        if plan.uses_engine:
            return f"preparing: loading the network of {plan.settings.method}"
        return f"preparing: {_why_it_takes_long()}"


@lru_cache(maxsize=1)
def _why_it_takes_long() -> str:
    """Why compiling takes long; cached because it is polled and writes to the disk."""
    if entries.writable() is not None:
        return "the first use of a method compiles it for this machine"
    return f"compiling it for this machine; {entries.not_kept()}"
