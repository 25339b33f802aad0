"""A live session: its processes, its watchdog, and the parameters that can change while it runs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rtdenoise.child.process import Child
from rtdenoise.child.scheduling import Grant
from rtdenoise.errors import DeviceError, RtDenoiseError
from rtdenoise.live_audio import messages
from rtdenoise.live_audio.audio.ahead import Ahead, audio_process
from rtdenoise.live_audio.audio.stage import Stage
from rtdenoise.live_audio.engine.pair import Engines
from rtdenoise.live_audio.monitor import Monitor
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import FINISHED
from rtdenoise.live_audio.shared_memory import Region
from rtdenoise.live_audio.supervise.ending import STOP_SECONDS, Departing, dismiss, fade_out, goes_on
from rtdenoise.live_audio.supervise.watch import Watch, Zeros
from rtdenoise.units import amplitude_from_db

_BACKOFF_SECONDS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
_LIST_SECONDS = 10.0  # for the process to start and the sound system to list its devices
_LIST_AGAIN_SECONDS = 30.0  # a synchronous JACK stalls for 20 s after a client is killed
_OPEN_SECONDS = 10.0
_COMPILE_SECONDS = 300.0
_SETTLED_SECONDS = 5.0  # of callbacks; devices that fail sooner are reopened with growing delays
_OF_METHOD = ("rule", "wet_target", "gain_min", "engine_gain_min")  # parameters that depend on the settings
_FIRST_ATTEMPTS = 3  # to open devices that have never run; afterwards there is no limit
Tell = Callable[[str], None]


class Session:
    """Opens a plan's devices in a process, watches it, and restarts it when needed.

    Drive it by calling `step` some twenty times a second until it returns False; then `close`.

    Parameters
    ----------
    plan : LivePlan
    tell : callable
        Called with one line for each event the user should know about.
    ahead : Ahead, optional
        The first audio process; by default it is started now.

    Attributes
    ----------
    monitor : Monitor
    region : Region
        Of the current stream; a new one after every reopening.
    state : str
        "starting", "running", "waiting" (for a device to come back) or "finished".
    """

    def __init__(self, plan: LivePlan, tell: Tell, ahead: Ahead | None = None) -> None:
        self.plan, self._tell = plan, tell
        ahead = ahead or Ahead()
        self.monitor, self.region = Monitor(), Region(file=ahead.file)
        self.state = "starting"
        self.reopened = 0
        self.grants: list[Grant] = []
        self._worker: Child | None = None
        self._wake_fd = ahead.wake_fd
        self._ever_ran = self._back_untold = False
        self._attempts, self._not_before = 0, 0.0
        self._stage, self._departing = Stage(), Departing()
        self._engines = Engines(tell, self._wake_fd)
        self._rules: dict[str, int] = {}
        self._heard = plan.settings.method
        self._place = ""
        self._network = ""  # of this stream: "asked", then "callback" or "engine"
        self._zeros, self._watch = Zeros(), Watch()
        self._wanted: dict[str, float] = {}
        self._opened = plan  # the plan of the stream that runs or is being opened
        self._then_enhanced = False  # whether a bypass ends once the chosen method is there
        self._former: LivePlan | None = None  # before a change that has not run yet
        self._open(ahead.take())

    def _open(self, worker: Child | None = None) -> None:
        if worker is None:
            self.region.close()
            self.region = Region()
            worker = audio_process(self.region.fd, self._wake_fd)
        self._attempts += 1
        self.state, self._network = "starting", ""
        self._stage.begin(_LIST_AGAIN_SECONDS if self._ever_ran else _LIST_SECONDS)
        self._worker, self._opened = worker, self.plan
        worker.order(messages.Open(messages.packed(self.plan), self.region.handle, self._wake_fd))
        self._engines.open(self.plan, self.region)

    @property
    def preparing(self) -> str:
        """The slow step before the devices are opened; empty before they are listed and once they are being opened."""
        return self._stage.preparing(self._engines.plan or self.plan) if self.state == "starting" else ""

    def step(self) -> bool:
        """Supervise everything once; False when the session is over.

        Raises
        ------
        DeviceError, ConfigError, ModelError, MissingExtraError
            If the session cannot start.
        """
        self._departing.look()
        if self.state == "waiting":
            if time.monotonic() >= self._not_before:
                self._open()
            return True
        self._hear_worker()
        if self.state in ("starting", "running"):
            self._hear_engine()
        if self.state == "running":
            self.monitor.update()
            self._settle()
            trouble = self._watch.trouble(self.region.live, self._tell)
            if trouble:
                self._reopen(trouble)
        elif self.state == "starting" and self._stage.overdue:
            self._on_silence()
        return self.state != "finished"

    def _on_silence(self) -> None:
        """Reopen after a timeout; raise if no device ever ran or was listed: the server needs a manual restart."""
        if self._stage.name == "listing" and not self._ever_ran:
            self.close()
            raise DeviceError(f"the sound system did not answer within {_LIST_SECONDS:.0f} s; restart its server")
        if self._departing.full:  # this process is queued after them, and so would the next be
            self._stage.enter(self._stage.name, _LIST_AGAIN_SECONDS)
            self._tell("the sound system still does not answer")
        else:
            self._reopen("the sound system does not answer")

    def _hear_worker(self) -> None:
        worker = self._worker
        if worker is None:
            return
        ended = not worker.alive
        time.sleep(0.05 if ended else 0.0)  # its final messages may still be in transit
        while worker is self._worker and (event := worker.event()) is not None:
            self._on_worker(event)
        if ended and worker is self._worker and self.state in ("starting", "running"):
            self._on_end(worker)

    def _on_end(self, worker: Child) -> None:
        """Handle an unannounced end; a PortAudio crash for lack of a sound system is fatal, as it would recur."""
        if worker.crash and self._stage.name == "listing" and not self._ever_ran:
            self.close()
            raise DeviceError(f"PortAudio cannot list devices: {worker.crash}")
        self._reopen("the audio process ended" + (": the sound server is gone" if worker.flooding else ""))

    def _on_worker(self, event: Any) -> None:
        if isinstance(event, (messages.Failed, messages.Refused, messages.Finished)) and self._worker is not None:
            self._worker.wait(STOP_SECONDS)  # it disconnects from the sound server first
        match event:
            case messages.RateFound():
                self._stage.enter("preparing", _COMPILE_SECONDS)
                self._engines.set_rate(event.rate_hz)
            case messages.RunsIn():
                self._on_place(event)
            case messages.Prepared():
                self._engines.run()
            case messages.OpeningDevices():
                self._stage.enter("opening", _OPEN_SECONDS)
                self._stage.on_jack = all("JACK" in host for host in event.host_apis)
            case messages.Opened():
                self._on_running(event)
            case messages.Granted():
                self.grants = event.grants
            case messages.WatchingTarget():
                self._watch.leave_out_target()
            case messages.TargetGone() if self.state == "running":
                self._reopen("the output device is gone")
            case messages.Refused():
                self._reopen("the sound server takes no new program")
            case messages.Failed():
                self._on_error(event)
            case messages.Finished():
                self.state = "finished"

    def _on_place(self, place: messages.RunsIn) -> None:
        """The audio process has measured where the network runs; it waits for an engine where that is not in itself."""
        if place.line and place.line != self._place:
            self._place = place.line
            self._tell(self._place)
        self._network = place.where
        if self.state == "running":
            if "engine_gain_min" in self._wanted:
                self.region.live["engine_gain_min"] = self._wanted["engine_gain_min"]
            if self.plan.network_inside:  # still the one that is wanted
                self._switch_to_network()
        elif place.where == "engine":
            self._engines.open(replace(self._opened, run_in="engine"), self.region)

    def _on_running(self, running: messages.Opened) -> None:
        for name, value in self._wanted.items():
            self.region.live[name] = value
        self.monitor.open(self.region.live, running)
        self._watch = Watch(running.source, running.target, self._zeros)
        self.reopened += self._ever_ran and self._former is None
        self._ever_ran, self._former = True, None
        self.state = "running"
        self._rules = running.rules
        self._engines.prepare_spare()
        if self.plan.settings.method != self._opened.settings.method:  # chosen meanwhile
            self._heard = self._opened.settings.method
            self.set_method(self.plan.settings.method, keep_bypass=True)

    def _settle(self) -> None:
        """Report that audio is back, if its loss was reported; reset the attempts once it has run long enough."""
        record = self.region.live[0]
        if self._back_untold and record["callbacks"] > 0:
            self._back_untold = False
            self._tell("audio is back")
        if (int(record["last_ns"]) - int(record["first_ns"])) * 1e-9 > _SETTLED_SECONDS:
            self._attempts = 1

    def _on_error(self, failed: messages.Failed) -> None:
        if not self._ever_ran:
            self.close()
            raise failed.error
        if self._former is not None:
            self.plan, self._former = self._former, None
            self._heard = self.plan.settings.method
            self._tell(f"{failed.text}; what was before goes on")
            self._part(0.0)
            return
        self._reopen(failed.text)

    def _hear_engine(self) -> None:
        try:
            failure = self._engines.step(self.region.live, self._worker, self._wanted)
        except RtDenoiseError:
            self.close()
            raise
        if failure:
            self._tell(f"{self.plan.settings.method} cannot be used: {failure}; {self._heard} goes on")
            self._remember(self._heard)
        elif self.region.live["share_target"][0] > 0.0 and self._heard != self.plan.settings.method:
            self._heard = self.plan.settings.method
            if self._then_enhanced:
                self.set_bypass(False)

    def _reopen(self, reason: str) -> None:
        """Abandon the audio process and retry, with growing delays."""
        if not self._ever_ran and self._attempts >= _FIRST_ATTEMPTS:
            words = list(self._worker.words)[-1:] if self._worker is not None else []
            self.close()
            raise DeviceError(": ".join([f"{reason} {_FIRST_ATTEMPTS} times", *words]) + "; see `rtdenoise doctor`")
        delay = _BACKOFF_SECONDS[min(self._attempts - 1, len(_BACKOFF_SECONDS) - 1)]
        if self._attempts <= 2 or self._attempts % 10 == 0 or (self.state == "starting" and self._stage.overdue):
            self._tell(f"{reason}; opening the devices again")
            self._back_untold = self._ever_ran
        self._part(delay)

    def _part(self, delay_seconds: float) -> None:
        running = self.state == "running" and goes_on(self.region.live, self._watch)
        self._departing.part(self._worker, on_jack=self._stage.on_jack, running=running)
        self._worker = None
        self._engines.end()
        self.state = "waiting"
        self._not_before = time.monotonic() + delay_seconds

    def change(self, plan: LivePlan) -> None:
        """Reopen the devices with another plan; if that fails, with the last plan that ran.

        Parameters set while audio ran are kept, unless the new plan has other settings.
        """
        former, self.plan = self.plan, plan
        if former.settings != plan.settings:
            self._wanted = {name: value for name, value in self._wanted.items() if name not in _OF_METHOD}
        self._former = self._former or former
        self._heard = plan.settings.method
        self._attempts = 1
        self._part(0.0)

    def set_parameter(self, name: str, value: float) -> None:
        """Write a parameter of the record ("wet_target", "rule", "gain_min", "mix" ...); it survives reopening."""
        self._wanted[name] = value
        self.region.live[name] = value

    def set_bypass(self, on: bool) -> None:
        """Cross-fade to the time-aligned dry signal, or back to the enhanced one."""
        self._then_enhanced = False
        self.set_parameter("wet_target", 0.0 if on else 1.0)

    @property
    def bypassed(self) -> bool:
        """Whether the dry signal was chosen."""
        return self._wanted.get("wet_target", 0.0 if self.plan.settings.method == "bypass" else 1.0) == 0.0

    def set_method(self, name: str, *, keep_bypass: bool = False) -> None:
        """Cross-fade to another method; one that needs an engine process becomes audible once the engine keeps up.

        It ends a bypass, unless that is to be kept or is chosen again before the method is there.
        """
        if name == "bypass":
            self.set_bypass(True)
            return
        self._remember(name)
        if self.state != "running":  # it is what the devices open with, or what `_on_running` switches to
            self._heard = name
            self._wanted.pop("rule", None)
            self.set_bypass(False)
        elif self.plan.uses_engine or self.plan.network_inside:
            self._then_enhanced = self._then_enhanced or not keep_bypass
            self._switch_to_network()
        else:
            self._heard, self._then_enhanced = name, False
            self.set_parameter("rule", self._rules[name])
            if not keep_bypass:
                self.set_bypass(False)
            self._engines.leave(self.region.live)

    def _switch_to_network(self) -> None:
        """Go on towards what runs in an engine or is a network in the callback: ask for it, or switch to it."""
        live, plan = self.region.live, self.plan
        if plan.network_inside and not live["engine_inside"][0]:  # the running callback has no network in it
            if self._network == "" and self._worker is not None:
                self._network = "asked"  # `_on_place` goes on
                self._worker.order(messages.AddNetwork(messages.packed(plan)))
            if self._network != "engine":
                return
            plan = replace(plan, run_in="engine")
        if self._engines.switch_to(plan, live):
            self._heard = next((each for each, rule in self._rules.items() if rule == live["rule"][0]), self._heard)

    def _remember(self, name: str) -> None:
        self.plan = replace(self.plan, settings=replace(self.plan.settings, method=name))

    @property
    def method(self) -> str:
        """The method that is audible now; the old one while another is loading."""
        return self._heard

    def set_attenuation_limit_db(self, limit_db: float) -> None:
        """Set the most that the audible method may lower noise, as a positive number of dB."""
        self.set_parameter(self._limit_name, amplitude_from_db(-limit_db))

    @property
    def attenuation_limit_db(self) -> float:
        """The current limit in dB; 100 if there is none."""
        return -20.0 * math.log10(max(float(self.region.live[self._limit_name][0]), 1e-5))

    @property
    def mix(self) -> float:
        """The enhanced share of the output."""
        return float(self._wanted.get("mix", self.plan.settings.spectral.mix))

    @property
    def _limit_name(self) -> str:
        return "engine_gain_min" if self.region.live["share_target"][0] > 0.0 else "gain_min"

    @property
    def engine_restarts(self) -> int:
        """How often a dead engine process was replaced."""
        return self._engines.restarts

    @property
    def audio_process(self) -> int:
        """PID of the process that holds the devices; 0 if there is none."""
        return self._worker.pid if self._worker is not None and self.state == "running" else 0

    def close(self) -> None:
        """Fade out, end every process and free all resources; takes less than a second."""
        worker = self._worker
        if worker is not None and worker.alive and self.state == "running" and self.region.live["phase"][0] != FINISHED:
            fade_out(worker, self.region.live, self._watch)
        elif worker is not None and self.state == "starting":
            dismiss(worker)
        self.monitor.freeze()
        self._departing.end(worker)
        self._worker = None
        self._engines.end()
        self.state = "finished"
        self.region.close()
        if self._wake_fd >= 0:
            os.close(self._wake_fd)
            self._wake_fd = -1
