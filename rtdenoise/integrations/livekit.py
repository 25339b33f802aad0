"""A frame processor for LiveKit's audio streams and agents (``pip install 'rtdenoise[livekit]'``)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rtdenoise.choice import Choice, Config
from rtdenoise.errors import RtDenoiseError, reason
from rtdenoise.integrations.session import Session, checked, missing_extra

try:
    from livekit.rtc import AudioFrame, FrameProcessor
except ModuleNotFoundError as error:
    raise missing_extra("noise suppression for LiveKit", "livekit", "livekit") from error

_log = logging.getLogger(__name__)

_AGENT_RATE_HZ = 24000  # what livekit-agents asks for unless told otherwise


class NoiseSuppressor(FrameProcessor[AudioFrame]):  # type: ignore[misc]  # livekit is not installed where types are checked
    """What `noise_suppression` returns; see there."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._enabled = True
        self._publication: str | None = None
        self._sessions: dict[tuple[int, int], Session] = {}
        self._asked: dict[tuple[int, int], threading.Thread] = {}
        self._said: set[str] = set()

    @property
    def enabled(self) -> bool:
        """Whether frames are enhanced; LiveKit leaves the processor out while they are not."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if value and not self._enabled:
            self._reset()  # frames were left out
        self._enabled = value

    def latency_samples(self, sample_rate: int = _AGENT_RATE_HZ, channels: int = 1) -> int:
        """Return the delay of the output against the input; 0 if nothing is built for such frames yet."""
        session = self._sessions.get((sample_rate, channels))
        return 0 if session is None else session.latency_samples

    def prepare(self, sample_rate: int = _AGENT_RATE_HZ, channels: int = 1) -> None:
        """Wait until everything for frames of this rate is built: for ``prewarm_fnc``, or in a thread.

        Raises
        ------
        ConfigError, ModelError, MissingExtraError
            What frames of this rate would only log.
        """
        thread = self._ask(sample_rate, channels)
        thread.join()
        if (sample_rate, channels) not in self._sessions:
            self._sessions[sample_rate, channels] = Session(self._choice, sample_rate, channels)

    def _process(self, frame: AudioFrame) -> AudioFrame:
        key = frame.sample_rate, frame.num_channels
        session = self._sessions.get(key)
        if not self._enabled:
            return frame
        if session is None:
            self._ask(*key)
            return frame
        try:
            size = frame.samples_per_channel * frame.num_channels
            samples = np.frombuffer(frame.data, np.int16)[:size]
            if frame.num_channels > 1:
                samples = samples.reshape(-1, frame.num_channels)
            data = session.process(samples).tobytes()
            return AudioFrame(data, *key, frame.samples_per_channel, userdata=frame.userdata)
        except Exception as error:  # noqa: BLE001 - LiveKit would log a traceback with every frame
            self._say(f"frames stay unchanged: {reason(error)}")
            return frame

    def _close(self) -> None:
        self._reset()
        self._publication = None

    def _on_stream_info_updated(self, *, room_name: str, participant_identity: str, publication_sid: str) -> None:
        if publication_sid != self._publication:
            self._publication = publication_sid
            self._reset()

    def _on_stream_info_cleared(self) -> None:
        self._publication = None

    def _reset(self) -> None:
        for session in list(self._sessions.values()):  # a thread may add one
            session.reset()

    def _ask(self, sample_rate: int, channels: int) -> threading.Thread:
        """Return the thread that builds for frames of this rate, started if there is none yet."""
        thread = self._asked.get((sample_rate, channels))
        if thread is None:
            thread = threading.Thread(target=self._build, args=(sample_rate, channels), name="rtdenoise builds")
            self._asked[sample_rate, channels] = thread
            thread.start()
        return thread

    def _build(self, sample_rate: int, channels: int) -> None:
        try:
            self._sessions[sample_rate, channels] = Session(self._choice, sample_rate, channels)
        except RtDenoiseError as error:
            self._say(f"frames of {sample_rate} Hz, {channels} channels, stay unchanged: {reason(error)}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _log.error(text)


def noise_suppression(
    method: str | None = None,
    preset: str = "low",
    model: str | Path | None = None,
    attenuation_limit_db: float | None = None,
    *,
    rates_hz: Iterable[int] = (_AGENT_RATE_HZ,),
    channels: int = 1,
    config: Config | None = None,
    channel_mode: str | None = None,
    mix: float | None = None,
) -> NoiseSuppressor:
    """Return what ``AudioInputOptions`` of livekit-agents and ``rtc.AudioStream`` take as ``noise_cancellation``.

    Frames keep their length, rate and channels; the delay is held back once, as silence.  Each rate has a state of its
    own, which starts anew with another publication and when the processor is enabled again.  After ``_close()`` it can
    be used again.

    Building takes from milliseconds to, where compiled code is not yet in the cache, a minute.  It is done in a thread:
    frames stay unchanged until it is done.  `NoiseSuppressor.prepare` waits for it.

    Parameters
    ----------
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF", or "CAN" with a `model`.
    preset : "quality", "balanced", "low", "ultra" or "asr"
    model : str or path, optional
    attenuation_limit_db : float, optional
    rates_hz : iterable of int
        What to build ahead for; other rates are built when their first frame comes.  Clients that send audio from
        before the connection often send it at 48000.
    channels : int
        What to build ahead for.
    config, channel_mode, mix
        As for `rtdenoise.stream`.

    Raises
    ------
    ConfigError, ModelError
        For settings that cannot work.
    """
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    processor = NoiseSuppressor(checked(choice))
    for rate in rates_hz:
        processor._ask(rate, channels)
    return processor
