"""A track for aiortc that denoises another one (``pip install 'rtdenoise[aiortc]'``)."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError, RtDenoiseError, reason
from rtdenoise.integrations.session import Choice, Session, missing_extra

try:
    from aiortc import MediaStreamTrack
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

    Parameters
    ----------
    track : MediaStreamTrack
        Audio.  It is stopped with this one, and ends this one.
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF", or "CAN" with a `model`.
    preset : "quality", "balanced", "low" or "ultra"
    model : str or path, optional
    attenuation_limit_db : float, optional

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
    ) -> None:
        super().__init__()
        if getattr(track, "kind", None) != "audio":
            raise ConfigError(
                f"a track of kind {getattr(track, 'kind', None)!r} cannot be denoised; give an audio track"
            )
        self._choice = Choice(method=method, preset=preset, model=model, attenuation_limit_db=attenuation_limit_db)
        self._track = track
        self._enabled = True
        self._format: tuple[Any, ...] | None = None  # of the frames so far
        self._session: Session | None = None
        self._waiting: AudioFrame | None = None  # taken from the track, not yet given away
        self._said: set[str] = set()
        track.on("ended", super().stop)

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
            When the track has ended.
        """
        if self._waiting is None:
            self._waiting = await self._track.recv()
        frame = self._waiting
        if isinstance(frame, AudioFrame):
            frame = await self._enhance(frame)
        self._waiting = None
        return frame

    def stop(self) -> None:
        """Stop this track and the one that it denoises."""
        super().stop()
        self._track.stop()

    async def _enhance(self, frame: AudioFrame) -> AudioFrame:
        try:
            if (key := _format(frame)) != self._format:
                self._session = await self._build(frame)
                self._format = key
            return frame if self._session is None else _enhanced(frame, self._session)
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
    clean = session.process(rows.reshape(-1) if channels == 1 else rows).reshape(-1, channels)
    clean = clean.T.copy() if planar else clean.reshape(1, -1)
    made = AudioFrame.from_ndarray(clean, format=frame.format.name, layout=frame.layout.name)
    made.pts, made.time_base, made.sample_rate = frame.pts, frame.time_base, frame.sample_rate
    return made
