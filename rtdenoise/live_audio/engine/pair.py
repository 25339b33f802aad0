"""Manage a session's engine processes (one active, one spare) and switch between methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rtdenoise.child.process import Child
from rtdenoise.live_audio.engine.progress import Progress
from rtdenoise.live_audio.messages import Build, Built, Failed, Load, Work, packed
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import expect_engine
from rtdenoise.live_audio.shared_memory import Region

_PROVE_SECONDS = 5.0  # an engine that has not caught up by then is too slow
_BACKOFF_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before a dead engine is replaced: first death, second, ...
_LONG_LIFE_SECONDS = 60.0  # a death after running this long counts as the first again
_TELL_EVERY = 10  # deaths
_LAST_WORD_SECONDS = 0.05


class Engines:
    """Starts, replaces and ends engine processes; they share state only through the record.

    Parameters
    ----------
    tell : callable
        Called with one line for each event the user should know about.
    wake_fd : int
        The eventfd that wakes the active engine; -1 if there is none.

    Attributes
    ----------
    restarts : int
        How often a dead engine was replaced.
    """

    def __init__(self, tell: Callable[[str], None], wake_fd: int) -> None:
        self._tell, self._wake_fd = tell, wake_fd
        self.restarts = 0
        self._working: Child | None = None
        self._spare: Child | None = None
        self._plan: LivePlan | None = None
        self._region: Region | None = None
        self._rate = 0
        self._next: LivePlan | None = None  # what takes the place of the engine that is fading out
        self._proved_by: float | None = None  # while a switch is under way: when the engine must have caught up
        self._loading = False
        self._deaths = 0  # in a row
        self._began = 0.0  # when the active engine was ordered to run
        self._reason = ""  # last error message of a failed engine
        self._due: float | None = None  # when the dead engine is replaced; None if none is dead
        self._built: Child | None = None  # last engine that reported being built; before that, silence is normal
        self._progress = Progress()
        self._slow = ""  # method already reported as too slow for this machine

    @property
    def plan(self) -> LivePlan | None:
        """Of the stream, or of the engine that was switched to last."""
        return self._plan

    # --- processes --------------------------------------------------------------------------------------------

    def open(self, plan: LivePlan, region: Region) -> None:
        """Prepare an engine, if the method needs one, before a stream opens."""
        self._plan, self._region = plan, region
        self._loading, self._proved_by, self._due, self._next = False, None, None, None
        if plan.uses_engine:
            self._start()

    def _start(self) -> None:
        """Take the spare engine, or start one."""
        if self._spare is not None and self._spare.alive:
            self._working, self._spare = self._spare, None
        else:
            self._working = self._new()

    def _new(self) -> Child:
        assert self._region is not None and self._plan is not None
        engine = Child("rtdenoise.live_audio.engine.worker", (self._region.fd, self._wake_fd), "engine")
        engine.order(Load(packed(self._plan)))
        if self._rate:
            engine.order(Build(self._rate))
        return engine

    def set_rate(self, rate: int) -> None:
        """Build the engine for the sample rate of the devices, now that it is known."""
        before, self._rate = self._rate, rate
        if self._working is None or before == rate:
            return
        if before:
            self._working.end()
            self._working = self._new()
        else:
            self._working.order(Build(rate))

    def run(self) -> None:
        """Order the active engine to run; the rings are ready."""
        if self._working is not None and self._region is not None:
            self._working.order(Work(self._region.handle, self._wake_fd))
            self._began, self._due = time.monotonic(), None
            self._progress.begin()

    def prepare_spare(self) -> None:
        """Build a spare engine, so that a dead one can be replaced at once."""
        if self._plan is not None and self._plan.uses_engine and self._spare is None:
            self._spare = self._new()

    def end(self) -> None:
        """End all engine processes; they still map the memory of the ending stream."""
        for child in (self._working, self._spare):
            if child is not None:
                child.end()
        self._working = self._spare = None

    # --- while audio runs -------------------------------------------------------------------------------------

    def step(self, live: Any, worker: Child | None, wanted: Mapping[str, float]) -> str:
        """Handle the engine's events, replace it if it died, and continue a pending switch.

        Returns
        -------
        str
            The reason a switch failed; empty otherwise.

        Raises
        ------
        ModelError, MissingExtraError, ConfigError
            If the engine of a stream that is not yet open cannot be built.
        """
        engine = self._working
        while engine is not None and (event := engine.event()) is not None:
            if isinstance(event, Built):
                self._built = engine
                if self._loading:
                    self._enter(live, event, wanted)
                elif worker is not None:
                    worker.order(event)
            elif isinstance(event, Failed):
                if self._loading:
                    self._abandon(live)
                    return event.text
                self._on_error(live, event)
        if engine is not None and live["engine_on"][0]:
            self._look_after(engine, live)
        return self._prove(live)

    def _on_error(self, live: Any, failed: Failed) -> None:
        """Raise before the first block; later, keep the message for the death that `_replace` then handles."""
        if not live["callbacks"][0]:
            raise failed.error
        self._reason = failed.text

    def _look_after(self, engine: Child, live: Any) -> None:
        """Replace the engine if it died or hangs; report once if it is too slow."""
        if not engine.alive:
            self._replace(engine, "ended")
        elif engine is self._built:
            if self._progress.hung(live):
                self._replace(engine, "does not answer")
            elif self._proved_by is None and (share := self._progress.unprocessed(live)):
                self._tell_slow(share)

    def _replace(self, dead: Child, fate: str) -> None:
        """Replace a dead engine: immediately the first time, with growing delays after repeated deaths."""
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
        reason = self._reason if event is None else event.text if isinstance(event, Failed) else ""
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

    def switch_to(self, plan: LivePlan, live: Any) -> bool:
        """Switch to the engine of `plan`, cross-fading as soon as it keeps up; from another engine by the compiled hop.

        Returns
        -------
        bool
            Whether the compiled hop is heard in the meantime, because one engine takes the place of another.
        """
        same = self._plan is not None and self._plan.uses_engine and self._plan.settings == plan.settings
        if live["share_target"][0] > 0.0:
            if not same and not live["engine_inside"][0]:
                live["share_target"], self._next = 0.0, plan
                return True
            return False
        if not same and live["share"][0] > 0.0 and live["engine_on"][0] and not live["engine_inside"][0]:
            self._next = plan  # the engine before is fading out
            return False
        self._next = None
        if self._loading or self._proved_by is not None:
            if same:
                return False
            self._abandon(live)
        self._plan = plan
        if live["engine_inside"][0] or (
            self._working is not None and self._working.alive and same and live["engine_hop"][0]
        ):
            live["engine_weight"] = live["was_wet"] = 0
            self._await_proof(live)
        else:
            self.end()
            self._working, self._loading, self._due = self._new(), True, None
        return False

    def _enter(self, live: Any, built: Built, wanted: Mapping[str, float]) -> None:
        assert self._plan is not None
        self._loading = False
        expect_engine(live, built, self._plan.latency)
        if "engine_gain_min" in wanted:
            live["engine_gain_min"] = wanted["engine_gain_min"]
        self.run()
        self._await_proof(live)

    def _await_proof(self, live: Any) -> None:
        self._proved_by = time.monotonic() + _PROVE_SECONDS
        self._progress.begin()
        live["engine_on"] = 1

    def _prove(self, live: Any) -> str:
        """Make the engine audible once it keeps up; switch it off once it is inaudible."""
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
            if self._next is not None:
                plan, self._next = self._next, None
                self.switch_to(plan, live)
        return ""

    def leave(self, live: Any) -> None:
        """Cross-fade to the compiled hop; the engine stays alive, idle."""
        self._loading, self._proved_by, self._next = False, None, None
        live["share_target"] = 0.0

    def _abandon(self, live: Any) -> None:
        self.leave(live)
        live["engine_on"] = 0
        if self._working is not None:
            self._working.end()
            self._working = None
