"""The configuration of a live session: one frozen value, passed to every process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rtdenoise.config import CanParams, Settings
from rtdenoise.errors import ConfigError, RtDenoiseError, require_choice
from rtdenoise.live_audio.record import CHANNELS_MAX
from rtdenoise.methods.can.models import engine_for, open_model

COMPILED_METHODS = ("SS", "WF", "bypass")
"""Methods that run inside the audio callback at any rate on any machine; a compiled network may (`LivePlan.run_in`)."""

RUN_IN = ("auto", "callback", "engine")
_ENGINE = "rtdenoise.registry:build"


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """One live session.

    `source`, `target`: device names as `rtdenoise.live_audio.audio.devices.find_device` takes them; None: the rings (a
    file or a pipe). `rate_hz` is the rate of a file or pipe; devices run at their own. `block`: samples, None for
    the best the host offers. `latency`: "low", "safe" or seconds. `engine`: "module:function" that builds the
    denoiser of an engine process from settings, rate and channels; `engine_always` uses it for every method.
    `two_clocks`: input and output as two streams joined by a resampler that follows their drift; None decides by
    the devices. `silent`: play nothing until the record's "loudness" is set. `channels_out`: of the output
    device; None: two, or as many as are processed. `run_in`: "callback" (what is compiled runs inside the audio
    callback), "engine" (in a process of its own) or "auto": in the callback, unless a network takes too long for it on
    this machine.
    """

    settings: Settings
    source: str | None = "mic"
    target: str | None = "speaker"
    channels: int = 1
    rate_hz: int | None = None
    block: int | None = None
    latency: str | float = "low"
    engine: str = _ENGINE
    engine_always: bool = False
    howl_guard: bool = True
    two_clocks: bool | None = None
    silent: bool = False
    channels_out: int | None = None
    run_in: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= CHANNELS_MAX:
            raise ConfigError(f"channels={self.channels} must be from 1 to {CHANNELS_MAX} for live audio")
        if self.block is not None and not 0 <= self.block <= 16384:
            raise ConfigError(f"block={self.block} must be from 0 (the host's own) to 16384 samples")
        if isinstance(self.latency, str) and self.latency not in ("low", "safe"):
            raise ConfigError(f"latency={self.latency!r} must be low, safe or a number of seconds")
        if isinstance(self.latency, float) and not 0.0 < self.latency <= 2.0:
            raise ConfigError(f"latency={self.latency} s must be above 0 and at most 2 s")
        if self.source is None and self.target is None:
            raise ConfigError("live audio needs a microphone or a speaker; for files give --input FILE alone")
        require_choice("run_in", self.run_in, RUN_IN)
        if self.run_in == "callback" and not self.fits_callback:
            raise ConfigError(
                "run_in='callback' takes SS, WF and networks over spectra in the compiled engine, at the rate of the "
                "device, one channel or linked ones; leave it out: everything else runs in an engine process"
            )

    @property
    def fits_callback(self) -> bool:
        """Whether the method can run inside the audio callback."""
        settings = self.settings
        if self.engine_always or settings.method == "bypass":
            return not self.engine_always
        together = self.channels == 1 or settings.channel_mode == "linked"
        if settings.processing_rate_hz is not None or not together:
            return False
        return settings.method in COMPILED_METHODS or (self.engine == _ENGINE and _is_compiled(settings.can))

    @property
    def uses_engine(self) -> bool:
        """Whether the method runs in a separate process."""
        return not self.fits_callback or (self.run_in == "engine" and self.settings.method != "bypass")

    @property
    def network_inside(self) -> bool:
        """Whether a network runs inside the audio callback."""
        return self.settings.method not in COMPILED_METHODS and not self.uses_engine


@lru_cache(maxsize=8)
def _is_compiled(can: CanParams) -> bool:
    """Whether a network runs as a compiled hop; one that cannot be read does not: the engine process says why."""
    try:
        return engine_for(open_model(can.model).spec, can.engine, can.precision) == "numba" and can.device == "cpu"
    except RtDenoiseError:
        return False
