"""A detector of voice activity for Pipecat (``pip install 'rtdenoise[pipecat]'``)."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rtdenoise.choice import Choice, Config
from rtdenoise.errors import RtDenoiseError, reason
from rtdenoise.integrations.session import LOW, checked, missing_extra

try:
    from pipecat.audio.vad.vad_analyzer import VADAnalyzer, VADParams, VADState
except ModuleNotFoundError as error:
    raise missing_extra("voice activity for Pipecat", "pipecat-ai", "pipecat") from error

if TYPE_CHECKING:
    from rtdenoise.integrations.pipecat import RtDenoiseFilter
    from rtdenoise.streaming.session import Stream

_log = logging.getLogger(__name__)

_WINDOWS_PER_SECOND = 50
_SPEECH = 0.5  # what `speech_probability` is calibrated for


class RtDenoiseVADAnalyzer(VADAnalyzer):  # type: ignore[misc]  # pipecat is not installed where types are checked
    """Says when somebody speaks: ``VADProcessor(vad_analyzer=RtDenoiseVADAnalyzer(audio_filter))``.

    With a filter it uses the filter's estimate, whether the filter is bypassed or not.  Without one it runs a method of
    its own, built in a thread as soon as the rate is known; until then no speech is reported.

    Parameters
    ----------
    audio_filter : RtDenoiseFilter, optional
        That of the same transport.  No speech is reported if its method has no estimate ("bypass").
    sample_rate : int, optional
        Of the audio, if it is not the pipeline's.
    params : VADParams, optional
        Pipecat's, with a confidence of 0.5 unless they are given.
    method, preset, model, config, channel_mode, attenuation_limit_db, mix
        As for `rtdenoise.stream`; used if there is no filter.

    Raises
    ------
    ConfigError, ModelError
        For settings that cannot work.
    """

    def __init__(
        self,
        audio_filter: RtDenoiseFilter | None = None,
        *,
        sample_rate: int | None = None,
        params: VADParams | None = None,
        method: str | None = None,
        preset: str = "low",
        model: str | Path | None = None,
        config: Config | None = None,
        channel_mode: str | None = None,
        attenuation_limit_db: float | None = None,
        mix: float | None = None,
    ) -> None:
        super().__init__(sample_rate=sample_rate, params=params or VADParams(confidence=_SPEECH))
        self._choice = checked(Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix))
        self._filter = audio_filter
        self._heard = 0.0  # by the filter
        self._stream: Stream | None = None
        self._building: threading.Thread | None = None
        self._said = False

    def set_sample_rate(self, sample_rate: int) -> None:
        """Take the rate of the pipeline; a new signal starts."""
        super().set_sample_rate(sample_rate)
        self._heard, self._stream = 0.0, None
        if self._filter is None:
            self._building = threading.Thread(target=self._build, args=(self.sample_rate,), name="rtdenoise builds")
            self._building.start()

    def num_frames_required(self) -> int:
        """Samples of 20 ms."""
        return max(1, int(self.sample_rate) // _WINDOWS_PER_SECOND)

    async def analyze_audio(self, buffer: bytes) -> VADState:
        """Take the next samples, s16le; the filter is asked here, in the event loop that it runs in."""
        if self._filter is not None:
            self._heard = self._filter.speech_probability or 0.0
        return await super().analyze_audio(buffer)

    def voice_confidence(self, buffer: bytes) -> float:
        """Return the probability of speech at the end of 20 ms, 0 to 1."""
        if self._filter is not None:
            return self._heard
        stream = self._stream
        if stream is None:
            return 0.0
        try:
            stream.process_bytes(buffer)
            return stream.speech_probability or 0.0
        except Exception as error:  # noqa: BLE001 - an exception would end the transport's audio for good
            self._say(f"nobody is heard: {reason(error)}")
            return 0.0

    def _build(self, sample_rate: int) -> None:
        from rtdenoise.api import stream_of

        try:
            stream = stream_of(self._choice, sample_rate, 1, default_preset=LOW)
            stream.tell = _log.warning
            if stream.speech_probability is None:
                self._say(f"nobody is heard: {self._choice.settings(LOW).title} does not know where speech is")
        except RtDenoiseError as error:
            self._say(f"nobody is heard: {reason(error)}")
            return
        if threading.current_thread() is self._building:
            self._stream = stream

    def _say(self, text: str) -> None:
        if not self._said:
            _log.error("%s", text)
        self._said = True
