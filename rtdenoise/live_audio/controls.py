"""Status and controls of a running session, for any thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtdenoise.config import load_settings
from rtdenoise.errors import ConfigError, DeviceError, require_choice
from rtdenoise.live_audio.assembly import Assembly
from rtdenoise.live_audio.device_names import is_device
from rtdenoise.live_audio.meters import Meters
from rtdenoise.live_audio.monitor import count_xruns
from rtdenoise.live_audio.plan import COMPILED_METHODS
from rtdenoise.methods.can.models import open_model

METHODS = (*COMPILED_METHODS, "CAN")
LIMIT_NONE_DB = 100.0
VIRTUAL_MICROPHONE = "virtual-mic"
_MARKS_MAX = 1000
ENDED = "the live session has ended; rtdenoise.live() makes a new one"


def check_limit(limit_db: float | None) -> None:
    """Raise `ConfigError` if it is neither a valid limit nor None, which means no limit."""
    if limit_db is not None and not 0.0 <= limit_db <= LIMIT_NONE_DB:
        raise ConfigError(f"attenuation_limit_db={limit_db} must be from 0 to {LIMIT_NONE_DB:.0f} dB, or None")


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked moment of a session: seconds of audio since its start, and an optional text."""

    seconds: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """Snapshot of a live session's measurements; counters cover the whole session.

    `state`: "starting", "running", "waiting" (for a device to come back) or "finished".  `preset`, `model`,
    `attenuation_limit_db` (None: no limit) and `mix`: as they are now; `model` counts for the method CAN alone.
    `input`, `output`: as they were chosen; None for a file, a pipe or nothing; `devices`: the names of what was opened.
    `default_microphone`: whether the virtual microphone was made the system's default; None if there is none.
    `latency_ms`: the parts of the delay from input to output and their "total".
    `level_in_dbfs`, `level_out_dbfs`: of the last tenth of a second.
    `noise_reduction_db`: in the pauses of the last ten seconds; None while unknown.  `compute_us`: percentiles
    of a callback's time ("p50", "p99.9", "max" ...); `late_blocks`: callbacks that took longer than their block lasts.
    `lost_samples`: input that no callback delivered.  `missing_samples`: samples of a played file that came too late.
    `marks`: the moments that were marked.
    `details`: the whole report, as ``rtdenoise live --json`` prints it.
    """

    state: str
    method: str
    preset: str
    model: str
    bypass: bool
    attenuation_limit_db: float | None
    mix: float
    input: str | None
    output: str | None
    default_microphone: bool | None
    seconds: float
    rate_hz: float
    devices: dict[str, str | None]
    latency_ms: dict[str, float]
    level_in_dbfs: float
    level_out_dbfs: float
    noise_reduction_db: float | None
    compute_us: dict[str, float]
    budget_used_percent: dict[str, float]
    callbacks: int
    late_blocks: int
    xruns: int
    lost_samples: int
    missing_samples: int
    reopened: int
    engine_restarts: int
    recording: bool
    marks: tuple[Mark, ...]
    details: dict[str, Any] = field(repr=False)


class Controls:
    """Read and change a running session from any thread.

    `lock` is held during each call; the thread that drives the session holds it during each step.
    """

    def __init__(self, live: Assembly) -> None:
        self._live, self.lock = live, threading.RLock()
        self._marks: list[Mark] = []
        self._limit_db: float | None = None  # of the last stream; one that is being opened has none yet

    def status(self) -> LiveStatus:
        """The current measurements, or the final ones if the session has ended."""
        with self.lock:
            session, monitor = self._live.session, self._live.session.monitor
            total = monitor.total()
            return LiveStatus(
                state=session.state,
                method=session.method,
                preset=session.plan.settings.preset,
                model=session.plan.settings.can.model,
                bypass=session.bypassed,
                attenuation_limit_db=self._limit(),
                mix=session.mix,
                input=session.plan.source,
                output=VIRTUAL_MICROPHONE if self._live.default is not None else session.plan.target,
                default_microphone=self._live.default.taken if self._live.default is not None else None,
                seconds=total["seconds"],
                rate_hz=float(monitor.devices.rate_hz),
                devices=monitor.devices.names,
                latency_ms=total["latency_ms"],
                level_in_dbfs=monitor.level_in_db,
                level_out_dbfs=monitor.level_out_db,
                noise_reduction_db=total["noise_reduction_db"],
                compute_us=total["compute_us"],
                budget_used_percent=total["budget_used_percent"],
                callbacks=total["callbacks"],
                late_blocks=total["late_blocks"],
                xruns=count_xruns(total),
                lost_samples=total["lost"],
                missing_samples=total["missing"],
                reopened=session.reopened,
                engine_restarts=session.engine_restarts,
                recording=self._live.recorder.running,
                marks=tuple(self._marks),
                details=total,
            )

    def _limit(self) -> float | None:
        """The last attenuation limit that a stream had."""
        session = self._live.session
        if session.state == "running":
            limit = session.attenuation_limit_db
            self._limit_db = None if limit >= LIMIT_NONE_DB else round(limit, 2)
        return self._limit_db

    def set_method(self, name: str) -> None:
        """Cross-fade to "WF", "SS", "CAN" or "bypass", as soon as it is ready.

        Raises
        ------
        ConfigError
            If there is no such method.
        """
        require_choice("method", name, METHODS)
        with self.lock:
            self._active().session.set_method(name)

    def set_bypass(self, on: bool) -> None:
        """Cross-fade to the time-aligned dry signal, or back."""
        with self.lock:
            self._active().session.set_bypass(on)

    @property
    def attenuation_limit_db(self) -> float | None:
        """The most that the audible method may lower noise, in dB; None: no limit."""
        with self.lock:
            limit = self._active().session.attenuation_limit_db
        return None if limit >= LIMIT_NONE_DB else limit

    def set_attenuation_limit_db(self, limit_db: float | None) -> None:
        """Set `attenuation_limit_db`.

        Raises
        ------
        ConfigError
            If it is not from 0 to 100 dB, or None.
        """
        check_limit(limit_db)
        with self.lock:
            self._active().session.set_attenuation_limit_db(LIMIT_NONE_DB if limit_db is None else limit_db)

    def set_mix(self, share: float) -> None:
        """Set the enhanced share of the output.

        Raises
        ------
        ConfigError
            If it is not from 0 to 1.
        """
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"mix={share} must be from 0 to 1")
        with self.lock:
            self._active().session.set_parameter("mix", share)

    def set_default_microphone(self, on: bool) -> None:
        """Make the virtual microphone the default of other programs, or give the former one back, as the end does.

        It asks the sound server, which may take seconds; `lock` is not held.

        Raises
        ------
        ConfigError
            If the session plays into no virtual microphone.
        DeviceError
            If the sound server does not do it.
        """
        default = self._active().default
        if default is None:
            raise ConfigError("default_microphone: this session has no virtual microphone; give --output virtual-mic")
        if on:
            default.take(self._live.session.audio_process)
        else:
            default.give_back()

    def record(self, folder: Path | None = None) -> None:
        """Start a recording, into the session's folder or another.

        Raises
        ------
        AudioFileError
            If the folder cannot be made or written.
        ConfigError
            If one is running already.
        """
        with self.lock:
            recorder = self._active().recorder
            if recorder.running:
                raise ConfigError(f"a recording into {recorder.folder} is being made; stop it first")
            recorder.folder = folder or recorder.folder
            recorder.start()

    def finish_recording(self) -> str:
        """Finish the recording, if there is one; returns why it is incomplete, or an empty string."""
        with self.lock:
            self._live.recorder.stop()
            return self._live.recorder.failed

    @property
    def recorded(self) -> list[Path]:
        """The files of the last recording that was finished: the noisy one, then the enhanced one."""
        return self._live.recorder.files

    @property
    def meters(self) -> Meters:
        """New meters of the session's sound; they need no lock."""
        return Meters(self._live.session)

    def mark(self, text: str = "") -> Mark:
        """Mark this moment; `status` lists all marks.

        Raises
        ------
        ConfigError
            If there are a thousand already.
        """
        with self.lock:
            if len(self._marks) >= _MARKS_MAX:
                raise ConfigError(f"{_MARKS_MAX} moments are marked already; a new session begins a new list")
            seconds = round(self._active().session.monitor.total()["seconds"], 3)
            self._marks.append(Mark(seconds, text))
            return self._marks[-1]

    def use(
        self,
        *,
        input: str | None = None,
        output: str | None = None,
        method: str | None = None,
        preset: str | None = None,
        model: str | None = None,
    ) -> None:
        """Reopen the devices with another device, method, preset or network; whatever is None stays as it is.

        A preset replaces all parameters but the mix.  A network selects the method CAN, unless `method` is given.  If
        the devices cannot be opened this way, the session goes back to the previous ones.

        Raises
        ------
        ConfigError, ModelError
            For an unknown device, method, preset or network; nothing changes then.
        """
        with self.lock:
            session = self._active().session
            plan = session.plan
            for name, wanted, now in (("input", input, plan.source), ("output", output, plan.target)):
                if wanted is not None and (now is None or not is_device(wanted)):
                    why = "is no device" if now is not None else "cannot be chosen: a file or a pipe is there"
                    raise ConfigError(f"{name}={wanted!r} {why}; `rtdenoise devices` lists what there is")
            settings = plan.settings
            if preset is not None:
                spectral = load_settings(preset=preset).spectral
                settings = replace(settings, preset=preset, spectral=replace(spectral, mix=settings.spectral.mix))
            if model is not None:
                open_model(model)
                settings = replace(settings, can=replace(settings.can, model=model), method="CAN")
            if method is not None:
                settings = replace(settings, method=method)
            session.change(replace(plan, settings=settings, source=input or plan.source, target=output or plan.target))

    def _active(self) -> Assembly:
        """The assembly while it can be changed: its shared memory is gone once it has ended."""
        if self._live.session.state == "finished":
            raise DeviceError(ENDED)
        return self._live
