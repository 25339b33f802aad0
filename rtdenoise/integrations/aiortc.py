"""A track for aiortc that denoises another one (``pip install 'rtdenoise[aiortc]'``)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.choice import Choice, Config
from rtdenoise.errors import ConfigError, RtDenoiseError, reason
from rtdenoise.integrations.session import Session, checked, missing_extra
from rtdenoise.typing import Audio

try:
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError
    from av import AudioFrame
except ModuleNotFoundError as error:
    raise missing_extra("a denoised track", "aiortc", "aiortc") from error

_log = logging.getLogger(__name__)

_BYTES = {"s16": 2, "s32": 4, "flt": 4, "dbl": 8, "u8": 1}
"""Sample formats that are enhanced, packed or planar (``s16p``), with the bytes of a sample."""


class DenoisedTrack(MediaStreamTrack):  # type: ignore[misc]  # aiortc is not installed where types are checked
    """Takes the noise out of an audio track: ``peer.addTrack(DenoisedTrack(track))``.

    Frames keep their length, format, layout, rate and time stamp; the delay is held back once, as silence.  The method
    is built in a thread when the first frame of a rate and layout comes, which waits for it; its hops run in the event
    loop.  What is no audio frame, or cannot be enhanced, goes through unchanged; the reason is logged once.

    When the track has ended, what the delay held back follows in further frames of the last one's length, filled up
    with silence, before this one ends, too.  A change of rate or layout in the middle is a new signal.

    Parameters
    ----------
    track : MediaStreamTrack
        Audio.  It is stopped with this one, and ends this one after its last frames.
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF", or "CAN" with a `model`.
    preset : "quality", "balanced", "low", "ultra" or "asr"
    model : str or path, optional
    attenuation_limit_db : float, optional
    config, channel_mode, mix
        As for `rtdenoise.stream`.

    Raises
    ------
    ConfigError, ModelError
        For settings that cannot work, or a track that is no audio.
    """

    kind = "audio"

    def __init__(
        self,
        track: MediaStreamTrack,
        method: str | None = None,
        preset: str = "low",
        model: str | Path | None = None,
        attenuation_limit_db: float | None = None,
        *,
        config: Config | None = None,
        channel_mode: str | None = None,
        mix: float | None = None,
    ) -> None:
        super().__init__()
        if getattr(track, "kind", None) != "audio":
            raise ConfigError(
                f"a track of kind {getattr(track, 'kind', None)!r} cannot be denoised; give an audio track"
            )
        self._choice = checked(Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix))
        self._track = track
        self._enabled = True
        self._format: tuple[Any, ...] | None = None  # of the frames so far
        self._session: Session | None = None
        self._waiting: AudioFrame | None = None  # taken from the track, not yet given away
        self._last: AudioFrame | None = None  # that was enhanced
        self._rest: deque[AudioFrame] = deque()  # what follows the last frame of the track
        self._said: set[str] = set()
        track.on("ended", self._end)

    @property
    def enabled(self) -> bool:
        """Whether the noise is taken out; if not, frames go through, equally late."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        if self._session is not None:
            self._session.bypassed = not value

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input; 0 before the first frame."""
        return 0 if self._session is None else self._session.latency_samples

    async def recv(self) -> Any:
        """Return the next frame, enhanced.

        Raises
        ------
        MediaStreamError
            When the track has ended and its last samples are out, or this one was stopped.
        """
        if self.readyState != "live":
            raise MediaStreamError
        if self._waiting is None and not self._rest:
            try:
                self._waiting = await self._track.recv()
            except MediaStreamError:
                self._rest.extend(self._finish())
        if self._waiting is None:
            return self._next_of_rest()
        frame = self._waiting
        if isinstance(frame, AudioFrame):
            frame = await self._enhance(frame)
        self._waiting = None
        return frame

    def stop(self) -> None:
        """Stop this track and the one that it denoises."""
        super().stop()
        self._track.stop()

    def _end(self) -> None:
        """The track has ended: so has this one, unless something is still to come."""
        if self._last is None:
            super().stop()

    def _next_of_rest(self) -> AudioFrame:
        if not self._rest:
            super().stop()
            raise MediaStreamError
        return self._rest.popleft()

    def _finish(self) -> list[AudioFrame]:
        """Frames with the last samples of the signal; none if there are none or they were given away."""
        last, self._last = self._last, None
        if last is None or self._session is None:
            return []
        rows = self._session.finish(multiple=last.samples).reshape(-1, self._session.channels)
        pieces = np.split(rows, len(rows) // last.samples)
        return [_frame_like(last, piece, late=(i + 1) * last.samples) for i, piece in enumerate(pieces)]

    async def _enhance(self, frame: AudioFrame) -> AudioFrame:
        try:
            if (key := _format(frame)) != self._format:
                self._last = None
                self._session = await self._build(frame)
                self._format = key
            if self._session is None:
                return frame
            enhanced = _enhanced(frame, self._session)
            self._last = frame if frame.samples else self._last
            return enhanced
        except Exception as error:  # noqa: BLE001 - an exception would end the peer's audio for good
            if (text := reason(error)) not in self._said:
                self._said.add(text)
                _log.error("frames stay unchanged: %s", text)
            return frame

    async def _build(self, frame: AudioFrame) -> Session | None:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        try:
            if frame.format.packed.name not in _BYTES:
                raise ConfigError(f"format {frame.format.name} is none of {', '.join(_BYTES)}")
            session = await asyncio.to_thread(Session, self._choice, rate, channels)
        except RtDenoiseError as error:
            _log.error("frames of %d Hz, %d channels, stay unchanged: %s", rate, channels, reason(error))
            return None
        session.bypassed = not self._enabled
        session.reset()
        return session


def _format(frame: AudioFrame) -> tuple[Any, ...]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _enhanced(frame: AudioFrame, session: Session) -> AudioFrame:
    """A new frame with everything but the samples from the old one."""
    samples = frame.to_ndarray()  # (1, n * channels), or (channels, n) if planar
    planar, channels = frame.format.is_planar, session.channels
    rows = samples.T if planar else samples.reshape(-1, channels)
    return _frame_like(frame, session.process(rows.reshape(-1) if channels == 1 else rows).reshape(-1, channels))


def _frame_like(frame: AudioFrame, rows: Audio, late: int = 0) -> AudioFrame:
    """A frame of these ``(n, channels)`` samples, so many samples after another of its kind."""
    array = rows.T.copy() if frame.format.is_planar else rows.reshape(1, -1)
    made = AudioFrame.from_ndarray(array, format=frame.format.name, layout=frame.layout.name)
    made.time_base, made.sample_rate = frame.time_base, frame.sample_rate
    if frame.pts is not None:
        made.pts = frame.pts + (round(late / frame.sample_rate / frame.time_base) if late else 0)
    return made
