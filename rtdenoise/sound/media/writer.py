"""Write what libsndfile cannot, phone recordings and video, copying video streams unchanged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import PartFile
from rtdenoise.errors import AudioFileError
from rtdenoise.sound.containers.sniff import kind_of_file
from rtdenoise.sound.encoding import Encoding
from rtdenoise.sound.media.encoding import bits_per_second, codec_of, container_for, encoder_for, sample_format
from rtdenoise.sound.media.reader import (
    MediaSource,
    have_media,
    is_cover,
    missing_media,
    open_container,
    short,
    start_of,
)
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)


_WMA_FRAME_SAMPLES = 2048
_AMR_BPS, _AMR_HZ = 12_200, 8000
_PRIVATE_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})
_PIECE_SECONDS = 1.0  # written between two looks at the pictures


class MediaTarget:
    """A new file written by FFmpeg's libraries, with the pictures of its source; as `Target`, it appears whole or not.

    Parameters
    ----------
    path : Path
    encoding : Encoding
        By `encoding_in`.
    tags : mapping
        Title, artist and so on, for sources without tags of FFmpeg's own.
    source : Source or MediaSource, optional
        What the pictures, other tracks, chapters and tags are copied from.
    overwrite : bool

    Attributes
    ----------
    clipped : int
        Number of samples clipped to full scale.
    lost_tags : list of str
    notes : list of str
        What of the source could not be copied.

    Raises
    ------
    AudioFileError
        If the place cannot be written or the container cannot hold such a signal.
    MissingExtraError
        Without PyAV.
    """

    def __init__(
        self, path: Path, encoding: Encoding, tags: Mapping[str, str], *, source: Any, overwrite: bool
    ) -> None:
        if not have_media():
            raise missing_media(str(path), f"writing {path.suffix}")
        self.path = path
        self.encoding = encoding
        self.clipped = 0
        self.lost_tags: list[str] = []
        self.notes: list[str] = []
        self._n_written = 0
        self._begin = 0
        self._others = _Others(source) if isinstance(source, MediaSource) else None
        self._part = PartFile(path, overwrite=overwrite)
        try:
            self._open(source, tags)
        except BaseException:
            self._abandon()
            raise

    def _open(self, source: Any, tags: Mapping[str, str]) -> None:
        import av

        container = container_for(self.path)
        options = {"brand": container.brand} if container.brand else {}
        try:
            self._out: Any = av.open(self._part.file, "w", format=container.muxer, options=options)
            if self._others is not None:
                self._out.metadata.update(self._others.tags())
                self._stream = self._others.prepare(
                    self._out, self._add_sound, pictures=container.pictures, covers=container.muxer == "mp4"
                )
                self.notes.extend(f"{self.path}: {text}" for text in self._others.left_out)
                if self._others.has_pictures:
                    self._begin = round(source.start_seconds * self.encoding.sample_rate)
            else:
                self._out.metadata.update(tags)
                self._stream = self._add_sound()
            self._out.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            if isinstance(error, AudioFileError):
                raise
            enc = self.encoding
            what = f"{enc.channels} channels at {enc.sample_rate} Hz as {enc.subtype} in {self.path.suffix}"
            raise AudioFileError(
                f"{self.path}: cannot write {what} ({short(error)}); --output NAME.wav can hold it"
            ) from error

    def _add_sound(self) -> Any:
        import av

        enc = self.encoding
        codec = codec_of(enc.subtype)
        encoder = av.Codec(encoder_for(codec), "w")
        rate = _rate_for(encoder, enc.sample_rate) if codec != "AMR_NB" else _AMR_HZ
        stream = self._out.add_stream(encoder.name, rate=rate)
        context = stream.codec_context
        context.layout = "mono" if codec == "AMR_NB" else _layout(enc.channels)
        context.time_base = Fraction(1, rate)
        form = sample_format(enc.subtype)
        if form:
            context.format = form
        bit_rate = _AMR_BPS if codec == "AMR_NB" else bits_per_second(enc)
        if bit_rate:
            context.bit_rate = bit_rate
        if self._others is not None:
            stream.metadata.update(self._others.sound_tags())
        return stream

    def write(self, samples: F32) -> None:
        """Append samples, and the pictures up to their time.

        Parameters
        ----------
        samples : (n, channels) float32, read
            Full scale 1.0; limited to it.

        Raises
        ------
        AudioFileError
            If writing to disk fails.
        """
        self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
        limited = np.clip(samples, -1.0, 1.0)
        piece = max(1, round(_PIECE_SECONDS * self.encoding.sample_rate))
        for start in range(0, len(limited), piece):
            self._do(lambda part=limited[start : start + piece]: self._write_piece(part))

    def _write_piece(self, samples: F32) -> None:
        import av

        rate = self.encoding.sample_rate
        packed = np.ascontiguousarray(samples.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=_layout(self.encoding.channels))
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = self._begin + self._n_written
        self._n_written += len(samples)
        if self._others is not None:
            self._others.copy_until(self._out, (self._begin + self._n_written) / rate)
        self._out.mux(self._stream.encode(frame))

    def _do(self, action: Any) -> None:
        import av

        try:
            action()
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, AudioFileError):
                raise
            raise AudioFileError(f"{self.path}: cannot be written: {short(error)}; nothing was kept") from error

    def _finish(self) -> None:
        if not self._n_written:
            raise AudioFileError(f"{self.path}: an empty recording cannot be held; --output NAME.wav can")
        if self.encoding.subtype == "WMAV2":  # its encoder keeps the last frame to itself
            self._write_piece(np.zeros((_WMA_FRAME_SAMPLES, self.encoding.channels), np.float32))
        self._out.mux(self._stream.encode(None))
        if self._others is not None:
            self._others.copy_until(self._out, float("inf"))
        self._out.close()
        self._close_others()

    def __enter__(self) -> MediaTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.end(lambda: self._do(self._finish), self._abandon, failed=kind is not None)

    def _abandon(self) -> None:
        import av

        with suppress(av.FFmpegError, OSError, ValueError, AttributeError):
            self._out.close()
        self._close_others()
        self._part.discard()

    def _close_others(self) -> None:
        if self._others is not None:
            self._others.close()


class _Others:
    """All of a container but the sound that is denoised: packets of pictures, subtitles and further tracks."""

    def __init__(self, source: MediaSource) -> None:
        kind = kind_of_file(source.path)
        assert kind is not None
        self._file = source.path.open("rb")
        try:
            self._container = open_container(self._file, kind, source.name)
        except BaseException:
            self._file.close()
            raise
        self._sound = self._container.streams[source.track]
        self._start_seconds = start_of(self._container)
        self._outs: dict[int, Any] = {}
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self.left_out: list[str] = []
        self.has_pictures = False

    def tags(self) -> dict[str, str]:
        return {key: text for key, text in self._container.metadata.items() if key.lower() not in _PRIVATE_TAGS}

    def sound_tags(self) -> dict[str, str]:
        kept = ("language", "title", "handler_name")
        return {key: text for key, text in self._sound.metadata.items() if key in kept}

    def prepare(self, out: Any, add_sound: Callable[[], Any], *, pictures: bool, covers: bool) -> Any:
        """Make a place in `out` for every stream that it can hold, in their order; returns that of the new sound."""
        import av

        sound: Any = None
        for stream in self._container.streams:
            if stream.index == self._sound.index:
                sound = add_sound()
                sound.disposition = stream.disposition
            elif covers if is_cover(stream) else pictures:
                self._place(out, stream)
            elif stream.type == "video":
                self.left_out.append(f"the {_what(stream)} of the source cannot be kept in it")
        with suppress(AttributeError, av.FFmpegError, ValueError):
            chapters = self._container.chapters()
            if chapters:
                out.set_chapters(chapters)
        if self._outs:
            self._packets = iter(self._container.demux())
            self._next = self._take()
        return sound

    def _place(self, out: Any, stream: Any) -> None:
        import av

        try:
            made = out.add_stream_from_template(stream, opaque=True)
        except (av.FFmpegError, ValueError, KeyError, NotImplementedError, AttributeError):
            self.left_out.append(f"the {_what(stream)} of the source cannot be kept in it")
            return
        made.metadata.update(stream.metadata)
        made.disposition = stream.disposition
        self._outs[stream.index] = made
        self.has_pictures = self.has_pictures or (stream.type == "video" and not is_cover(stream))

    def _take(self) -> Any:
        import av

        while True:
            try:
                packet = next(self._packets, None)
            except av.FFmpegError:  # reading the sound says where the file is damaged
                return None
            if packet is None or (packet.size and packet.stream.index in self._outs):
                return packet

    def copy_until(self, out: Any, seconds: float) -> None:
        """Copy every packet that begins before a time, counted from the start of the container."""
        while self._next is not None:
            packet = self._next
            shift = round(self._start_seconds / packet.time_base)
            time = packet.dts if packet.dts is not None else packet.pts
            if time is not None and float((time - shift) * packet.time_base) > seconds:
                return
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.stream = self._outs[packet.stream.index]
            out.mux(packet)
            self._next = self._take()

    def close(self) -> None:
        self._container.close()
        self._file.close()


def _what(stream: Any) -> str:
    if is_cover(stream):
        return "cover"
    return {"video": "pictures", "audio": "further sound"}.get(stream.type, f"{stream.type} track")


def _rate_for(encoder: Any, rate: int) -> int:
    """The rate itself, or the nearest above it that an encoder takes, or its highest."""
    rates = sorted(encoder.audio_rates or [rate])
    return int(next((possible for possible in rates if possible >= rate), rates[-1]))


def _layout(channels: int) -> str:
    names = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
    return names.get(channels, f"{channels}C")
