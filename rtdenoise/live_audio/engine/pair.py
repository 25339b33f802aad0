"""The engine processes of a session: one works, one waits; and the change from one method to another."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rtdenoise import errors
from rtdenoise.child.lines import encode
from rtdenoise.child.process import Child
from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.engine.progress import Progress
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import expect_engine
from rtdenoise.live_audio.shared_memory import Region

_PROVE_SECONDS = 5.0  # an engine that has not caught up within this cannot
_BACKOFF_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before one that died is replaced, the first time and later
_LONG_LIFE_SECONDS = 60.0  # an engine that worked so long may die as if it were the first
_TELL_EVERY = 10  # deaths
_LAST_WORD_SECONDS = 0.05


class Engines:
    """Starts, replaces and ends engine processes; everything they need to know of each other is in the record.

    Parameters
    ----------
    tell : callable
        Gets one line for everything a user should know.
    wake_fd : int
        The eventfd that wakes the one that works; -1 if there is none.

    Attributes
    ----------
    restarts : int
        How often one that had died was replaced.
    """

    def __init__(self, tell: Callable[[str], None], wake_fd: int) -> None:
        self._tell, self._wake_fd = tell, wake_fd
        self.restarts = 0
        self._working: Child | None = None
        self._spare: Child | None = None
        self._plan: LivePlan | None = None
        self._region: Region | None = None
        self._rate = 0
        self._proved_by: float | None = None  # while a switch is under way: when the engine must have caught up
        self._loading = False
        self._deaths = 0  # in a row
        self._began = 0.0  # when the one that works was told to
        self._reason = ""  # the last words of one that failed
        self._due: float | None = None  # when the dead one is replaced; None while none is dead
        self._built: Child | None = None  # the last one that said that it is: until then it may be silent
        self._progress = Progress()
        self._slow = ""  # the method of which it was said that this machine does not keep up

    # --- processes --------------------------------------------------------------------------------------------

    def open(self, plan: LivePlan, region: Region) -> None:
        """A stream is about to open: have an engine ready if its method needs one."""
        self._plan, self._region = plan, region
        self._loading, self._proved_by, self._due = False, None, None
        if plan.uses_engine:
            self._start()

    def _start(self) -> None:
        """Take the spare engine, or start one."""
        if self._spare is not None and self._spare.alive:
            self._working, self._spare = self._spare, None
        else:
            self._working = self._new()

    def _new(self) -> Child:
        assert self._region is not None
        engine = Child("rtdenoise.live_audio.engine.worker", (self._region.fd, self._wake_fd), "engine")
        engine.order("plan", plan=encode(self._plan))
        if self._rate:
            engine.order("build", rate=self._rate)
        return engine

    def set_rate(self, rate: int) -> None:
        """The rate of the devices is known."""
        before, self._rate = self._rate, rate
        if self._working is None or before == rate:
            return
        if before:
            self._working.end()
            self._working = self._new()
        else:
            self._working.order("build", rate=rate)

    def run(self) -> None:
        """The rings stand: work."""
        if self._working is not None and self._region is not None:
            self._working.order("run", region=self._region.handle, wake_fd=self._wake_fd)
            self._began, self._due = time.monotonic(), None
            self._progress.begin()

    def prepare_spare(self) -> None:
        """Have another one built, so that one that dies is replaced at once."""
        if self._plan is not None and self._plan.uses_engine and self._spare is None:
            self._spare = self._new()

    def end(self) -> None:
        """End all of them; they hold the memory of the stream that ends."""
        for child in (self._working, self._spare):
            if child is not None:
                child.end()
        self._working = self._spare = None

    # --- while audio runs -------------------------------------------------------------------------------------

    def step(self, live: Any, worker: Child | None, wanted: Mapping[str, float]) -> str:
        """Hear what the engine says, replace it if it died, go on with a switch.

        Returns
        -------
        str
            Why a switch failed; empty if none did.

        Raises
        ------
        ModelError, MissingExtraError, ConfigError
            If the engine of a stream that is not yet open cannot be built.
        """
        engine = self._working
        while engine is not None and (event := engine.event()) is not None:
            if event["event"] == "built":
                self._built = engine
            if event["event"] == "built" and self._loading:
                self._enter(live, event, wanted)
            elif event["event"] == "built" and worker is not None:
                worker.order("engine", **{name: event[name] for name in ("hop", "latency", "limits", "gain_min")})
            elif event["event"] == "error" and self._loading:
                self._abandon(live)
                return str(event["message"])
            elif event["event"] == "error":
                self._on_error(live, event)
        if engine is not None and live["engine_on"][0]:
            self._look_after(engine, live)
        return self._prove(live)

    def _on_error(self, live: Any, event: Mapping[str, Any]) -> None:
        """Before the first block it is the end; later `_replace` counts it with the death that follows."""
        if not live["callbacks"][0]:
            raise getattr(errors, event["kind"], RtDenoiseError)(event["message"])
        self._reason = str(event["message"])

    def _look_after(self, engine: Child, live: Any) -> None:
        """Replace it if it died or hangs; say once that it is too slow."""
        if not engine.alive:
            self._replace(engine, "ended")
        elif engine is self._built:
            if self._progress.hung(live):
                self._replace(engine, "does not answer")
            elif self._proved_by is None and (share := self._progress.unprocessed(live)):
                self._tell_slow(share)

    def _replace(self, dead: Child, fate: str) -> None:
        """Put another one in the place of one that died: at once the first time, later and later if they go on."""
        now = time.monotonic()
        if self._due is None:
            dead.end()
            self._deaths = 1 if now - self._began > _LONG_LIFE_SECONDS else self._deaths + 1
            self._due = now + _BACKOFF_SECONDS[min(self._deaths, len(_BACKOFF_SECONDS)) - 1]
            self._tell_death(dead, fate)
        if now >= self._due:
            self.restarts += 1
            self._start()
            self.run()
            self._spare = self._new()

    def _tell_death(self, dead: Child, fate: str) -> None:
        event = dead.event(_LAST_WORD_SECONDS)
        reason = str(event.get("message", "")) if event is not None else self._reason
        self._reason = ""
        if self._deaths > 1 and self._deaths % _TELL_EVERY:
            return
        times = f" for the {self._deaths}th time" if self._deaths > 1 else ""
        self._tell(
            f"the engine process {fate}{times}{reason and f' ({reason})'} and is started again; "
            "the sound is unprocessed meanwhile"
        )

    def _tell_slow(self, share: float) -> None:
        assert self._plan is not None
        method = self._plan.settings.method
        if self._slow == method:
            return
        self._slow = method
        self._tell(
            f"this machine does not keep up with {method}: {100.0 * share:.0f} % of blocks unprocessed; "
            "use a lighter method (--method WF) or larger --block"
        )

    # --- switching --------------------------------------------------------------------------------------------

    def switch_to(self, plan: LivePlan, live: Any) -> None:
        """Bring the engine of `plan` in: it is heard, cross-faded, as soon as it answers in time."""
        if live["share_target"][0] > 0.0 or self._loading or self._proved_by is not None:
            return
        known = self._plan is not None and self._plan.uses_engine and self._plan.settings.can == plan.settings.can
        self._plan = plan
        if self._working is not None and self._working.alive and known and live["engine_hop"][0]:
            live["engine_weight"] = live["was_wet"] = 0
            self._await_proof(live)
            return
        if self._working is not None:
            self._working.end()
        self._working, self._loading = self._new(), True

    def _enter(self, live: Any, built: Mapping[str, Any], wanted: Mapping[str, float]) -> None:
        assert self._plan is not None
        self._loading = False
        expect_engine(live, built, self._plan.latency)
        for name in ("engine_gain_min",):
            if name in wanted:
                live[name] = wanted[name]
        self.run()
        self._await_proof(live)

    def _await_proof(self, live: Any) -> None:
        self._proved_by = time.monotonic() + _PROVE_SECONDS
        self._progress.begin()
        live["engine_on"] = 1

    def _prove(self, live: Any) -> str:
        """Let the engine be heard once it keeps up; switch one off that is no longer heard."""
        if self._proved_by is not None:
            if live["was_wet"][0] and live["engine_weight"][0] >= live["wet_target"][0]:
                live["share_target"] = 1.0
                self._proved_by = None
                self.prepare_spare()
            elif time.monotonic() > self._proved_by:
                self._abandon(live)
                return "it does not keep up on this machine"
        elif live["engine_on"][0] and live["share_target"][0] == 0.0 and live["share"][0] == 0.0:
            live["engine_on"] = 0
        return ""

    def leave(self, live: Any) -> None:
        """Hear the compiled hop from now on; the engine stays, asleep."""
        self._loading, self._proved_by = False, None
        live["share_target"] = 0.0

    def _abandon(self, live: Any) -> None:
        self.leave(live)
        live["engine_on"] = 0
        if self._working is not None:
            self._working.end()
            self._working = None
