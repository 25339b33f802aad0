"""An audio filter for Pipecat's transports (``pip install 'rtdenoise[pipecat]'``)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtdenoise.choice import Choice, Config
from rtdenoise.errors import ConfigError, RtDenoiseError, reason
from rtdenoise.integrations.session import Bytes, Session, checked, missing_extra

try:
    from pipecat.audio.filters.base_audio_filter import BaseAudioFilter
    from pipecat.frames.frames import FilterControlFrame, FilterEnableFrame, FilterUpdateSettingsFrame
except ModuleNotFoundError as error:
    raise missing_extra("the filter for Pipecat", "pipecat-ai", "pipecat") from error

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0  # newer releases end a pipeline whose processors have not started after 20


class RtDenoiseFilter(BaseAudioFilter):  # type: ignore[misc]  # pipecat is not installed where types are checked
    """Takes the noise out of a transport's audio: ``TransportParams(audio_in_filter=RtDenoiseFilter())``.

    Exactly as many samples come out as go in, `latency_samples` later.  The method is built in a thread when the
    transport starts; its hops run in the event loop, some 10 us each for WF.  Before `start`, after `stop`, where a
    method cannot be built and while it is compiled for the first time, both of which are logged, audio goes through
    unchanged.

    ``FilterEnableFrame(False)`` bypasses at equal delay.  ``FilterUpdateSettingsFrame`` takes "enabled" and every
    parameter below but `channels`; what another method needs is built while the old one goes on.

    Parameters
    ----------
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF", or "CAN" with a `model`.
    preset : "quality", "balanced", "low", "ultra" or "asr"
    model : str or path, optional
    attenuation_limit_db : float, optional
    channels : int
        Of the transport (``audio_in_channels``), which does not tell its filters.
    config, channel_mode, mix
        As for `rtdenoise.stream`.

    Raises
    ------
    ConfigError, ModelError
        For settings that cannot work.
    """

    def __init__(
        self,
        method: str | None = None,
        preset: str = "low",
        model: str | Path | None = None,
        attenuation_limit_db: float | None = None,
        channels: int = 1,
        *,
        config: Config | None = None,
        channel_mode: str | None = None,
        mix: float | None = None,
    ) -> None:
        super().__init__()
        self._choice = checked(Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix))
        self._channels = channels
        self._enabled = True
        self._line: Bytes | None = None
        self._rate_hz: int | None = None  # while started
        self._newest = 0  # number of the last build that was asked for: an older one is dropped
        self._building: set[asyncio.Task[None]] = set()  # an event loop alone would not keep them
        self._failed = False

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input; 0 while nothing runs."""
        return 0 if self._line is None else self._line.session.latency_samples

    @property
    def speech_probability(self) -> float | None:
        """Whether somebody speaks, 0 to 1, at the end of the audio that came in; None where that is not known."""
        return None if self._line is None else self._line.session.speech_probability

    @property
    def enabled(self) -> bool:
        """Whether the noise is taken out; if not, audio goes through, equally late."""
        return self._enabled

    async def start(self, sample_rate: int) -> None:
        """Build the method for the rate of the transport; a new signal starts."""
        self._line, self._rate_hz, self._failed = None, sample_rate, False
        await self._change(self._choice)

    async def stop(self) -> None:
        """Forget the signal; audio then goes through unchanged."""
        self._line, self._rate_hz = None, None
        self._newest += 1

    async def cleanup(self) -> None:
        """As `stop`."""
        await self.stop()

    async def process_frame(self, frame: FilterControlFrame) -> None:
        """Enable, bypass or change settings; what cannot be set is logged, and changes nothing."""
        if isinstance(frame, FilterEnableFrame):
            self._enable(frame.enable)
        elif isinstance(frame, FilterUpdateSettingsFrame):
            try:
                await self._update(frame.settings)
            except RtDenoiseError as error:
                _log.warning("settings of the filter stay as they are: %s", reason(error))

    async def filter(self, audio: bytes) -> bytes:
        """Enhance s16le samples, interleaved, of any length."""
        if self._line is None:
            return audio
        try:
            return self._line.process(audio)
        except Exception as error:  # noqa: BLE001 - an exception would end the transport's audio for good
            if not self._failed:
                _log.error("audio goes through unchanged: %s", reason(error))
            self._failed = True
            return audio

    def _enable(self, enable: bool) -> None:
        self._enabled = enable
        if self._line is not None:
            self._line.session.bypassed = not enable

    async def _update(self, settings: Mapping[str, Any]) -> None:
        settings = dict(settings)
        enable = settings.pop("enabled", self._enabled)
        if not isinstance(enable, bool):
            raise ConfigError(f"enabled={enable!r} must be True or False")
        choice = checked(self._choice.changed(**settings))
        self._enable(enable)
        if choice != self._choice:
            await self._change(choice)

    async def _change(self, choice: Choice) -> None:
        """Build in a thread and put to use, for the pipeline's sake in the background where that takes long."""
        self._newest += 1
        if self._rate_hz is None:
            self._choice = choice
            return
        building = asyncio.create_task(self._build(choice, self._rate_hz, self._newest))
        self._building.add(building)
        building.add_done_callback(self._building.discard)
        try:
            done, _ = await asyncio.wait({building}, timeout=_PATIENCE_SECONDS)
        except asyncio.CancelledError:
            self._newest += 1
            raise
        if not done:
            _log.warning(
                "compiling takes a minute, once on a machine: until then audio goes through %s", self._meanwhile()
            )

    async def _build(self, choice: Choice, rate_hz: int, number: int) -> None:
        """Build and put to use, unless something newer was asked for in the meantime."""
        try:
            line = Bytes(await asyncio.to_thread(Session, choice, rate_hz, self._channels))
        except RtDenoiseError as error:
            _log.error("audio goes through %s: %s", self._meanwhile(), reason(error))
            return
        if number != self._newest:
            return
        self._choice = choice
        if self._line is not None:
            line.take_over(self._line)
        else:
            line.session.bypassed = not self._enabled
            line.reset()
        self._line = line

    def _meanwhile(self) -> str:
        return "unchanged" if self._line is None else "as before"
