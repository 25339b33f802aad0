"""What the processes of a live session tell each other.

The session gives orders to its audio process and its engine processes, which answer with events; `child.lines` carries
both.  This module imports little: the audio process hears an order to leave while it is still importing the rest.
"""

from __future__ import annotations

import base64
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtdenoise import errors
from rtdenoise.child.lines import message
from rtdenoise.child.scheduling import Grant
from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.audio.devices import Device

if TYPE_CHECKING:
    from rtdenoise.live_audio.plan import LivePlan


def packed(plan: LivePlan) -> str:
    """A plan as text; to unpack it, a process imports all that plans consist of."""
    return base64.b64encode(pickle.dumps(plan)).decode("ascii")


def unpacked(text: str) -> LivePlan:
    """The plan that `packed` made a text of."""
    plan: LivePlan = pickle.loads(base64.b64decode(text))
    return plan


# --- orders to the audio process ------------------------------------------------------------------------------------


@message
@dataclass(frozen=True, slots=True)
class Open:
    """Open the devices of a plan and run their stream."""

    plan: str
    """`packed`."""
    region: str
    """`handle` of the session's region."""
    wake_fd: int
    """The eventfd that wakes the engine; -1 if there is none."""


@message
@dataclass(frozen=True, slots=True)
class AddNetwork:
    """Let the callback that runs have the network of a plan, too, if it is fast enough; answered by `RunsIn`."""

    plan: str
    """`packed`."""


@message
@dataclass(frozen=True, slots=True)
class Leave:
    """Close all streams and end, whatever is being done; answered by `Leaving`."""

    patience_seconds: float | None = None
    """What a server that does not answer may take; None: as long as usual."""


# --- orders to an engine process ------------------------------------------------------------------------------------


@message
@dataclass(frozen=True, slots=True)
class Load:
    """Import what the method of a plan needs."""

    plan: str
    """`packed`."""


@message
@dataclass(frozen=True, slots=True)
class Build:
    """Build the method for the rate of the devices; answered by `Built`."""

    rate_hz: int


@message
@dataclass(frozen=True, slots=True)
class Work:
    """Denoise what comes into the rings of a region, which are ready."""

    region: str
    """`handle` of the session's region."""
    wake_fd: int
    """The eventfd on which to wait for blocks; -1 if there is none."""


# --- events of the audio process, in their order --------------------------------------------------------------------


@message
@dataclass(frozen=True, slots=True)
class RateFound:
    """The devices have been listed and found; their method is prepared."""

    rate_hz: int


@message
@dataclass(frozen=True, slots=True)
class RunsIn:
    """Where a network runs: "callback" or "engine", and a line for the user, if there is one."""

    where: str
    line: str = ""


@message
@dataclass(frozen=True, slots=True)
class Prepared:
    """The rings are ready for the engine, whose `Built` has been read."""


@message
@dataclass(frozen=True, slots=True)
class OpeningDevices:
    """From now on nothing compiles: the devices are opened, which belong to these host APIs."""

    host_apis: list[str]


@message
@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was opened; callbacks have come, or may yet come."""

    source: Device | None = None
    target: Device | None = None
    rate_hz: int = 0
    """Of the input; 0 before anything was opened."""
    latency_in_seconds: float = 0.0
    latency_out_seconds: float = 0.0
    rules: dict[str, int] = field(default_factory=dict)
    """By name of a compiled method: the value of the record's ``rule``."""

    @property
    def names(self) -> dict[str, str | None]:
        """The names of "source" and "target"."""
        return {
            "source": self.source.name if self.source else None,
            "target": self.target.name if self.target else None,
        }


@message
@dataclass(frozen=True, slots=True)
class Granted:
    """What the system granted to the audio process."""

    grants: list[Grant]


@message
@dataclass(frozen=True, slots=True)
class WatchingTarget:
    """The audio process itself looks whether the output device is still there."""


@message
@dataclass(frozen=True, slots=True)
class TargetGone:
    """The output device is gone."""


@message
@dataclass(frozen=True, slots=True)
class Finished:
    """The stream has come to its end."""


@message
@dataclass(frozen=True, slots=True)
class Refused:
    """The sound server takes no new program; the process ends."""


@message
@dataclass(frozen=True, slots=True)
class Leaving:
    """The order to leave was heard."""


# --- events of an engine process, and of both -----------------------------------------------------------------------


@message
@dataclass(frozen=True, slots=True)
class Built:
    """Properties of a method that an engine has built; the session passes them on to the audio process."""

    hop: int
    latency: int
    """Samples."""
    rate_hz: float
    """At which it runs inside all adapters."""
    limits: bool
    """Whether it respects an attenuation limit itself."""
    gain_min: float
    """That limit, as an amplitude."""


@message
@dataclass(frozen=True, slots=True)
class Failed:
    """The process ends because of an error, one of ours by name."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: Exception, otherwise: type[RtDenoiseError]) -> Failed:
        """Describe an error in one line; one that is not ours counts as `otherwise`."""
        if isinstance(error, RtDenoiseError):
            kind = next(kind for kind in type(error).__mro__ if hasattr(errors, kind.__name__))
            return cls(kind.__name__, str(error))
        return cls(otherwise.__name__, f"{type(error).__name__}: {' '.join(str(error).split())}")

    @property
    def error(self) -> RtDenoiseError:
        """The error, to be raised in this process."""
        found: RtDenoiseError = getattr(errors, self.kind)(self.text)
        return found
