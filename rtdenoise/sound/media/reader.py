"""Sound in what libsndfile cannot read (phone recordings, video), decoded by FFmpeg's libraries through PyAV.

PyAV is the extra ``media``; without it, a message names the extra and the ffmpeg command that converts the file.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import AudioFileError, MissingExtraError
from rtdenoise.sound.containers.sniff import Kind
from rtdenoise.sound.encoding import Encoding
from rtdenoise.sound.reader import regular_file_size
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

_GAP_SECONDS = 0.05  # time stamps are rounded to milliseconds, and frames are up to 43 ms long
_GAP_SECONDS_MAX = 3600.0  # more is a time stamp that is wrong
_SHORT_SECONDS = 0.25  # by how much a container may overstate its length
_LENGTH_KNOWN = frozenset({"mov", "matroska", "asf", "flv", "avi"})  # containers that say how long they are
_TAGS = {"title", "copyright", "artist", "comment", "date", "album", "genre"}
_RENAMED = {"track": "tracknumber", "encoder": "software"}
_LOSSLESS = frozenset({"alac", "flac", "wavpack", "tta", "ape", "mlp", "truehd", "shorten"})


def have_media() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def missing_media(name: str, kind_name: str) -> MissingExtraError:
    """The error that says what is missing and how to do without it."""
    source = "INPUT" if name == STANDARD_INPUT else shlex.quote(name)
    stem = "OUTPUT" if name == STANDARD_INPUT else str(Path(name).with_suffix(""))
    return MissingExtraError(
        f"{name}: {kind_name} needs one more package: pip install 'rtdenoise[media]'; "
        f"or convert it: ffmpeg -i {source} {shlex.quote(stem + '.wav')}"
    )


STANDARD_INPUT = "standard input"
"""Name used in messages."""


class MediaSource:
    """The sound of an open container, as `rtdenoise.sound.reader.Source` has it.

    Parameters
    ----------
    path : Path
    kind : Kind
        What its first bytes say it is.
    name : str, optional
        Name used in messages.

    Attributes
    ----------
    encoding, n_samples, n_read, tags, warnings, incomplete
        As for `Source`; `n_samples` is what the container says.
    track : int
        Index of the stream of sound.
    start_seconds : float
        Time of the first sample on the container's clock, which pictures go by.

    Raises
    ------
    AudioFileError
        If it cannot be opened, or has no sound that can be decoded.
    MissingExtraError
        Without PyAV.
    """

    def __init__(self, path: Path, kind: Kind, name: str | None = None) -> None:
        self.path = path
        self.name = name if name is not None else str(path)
        regular_file_size(path)
        if not have_media():
            raise missing_media(self.name, kind.name)
        self._kind = kind
        self.warnings: list[str] = []
        self.incomplete = False
        self.n_read = 0
        self._damaged: list[float] = []
        self._last_seconds = 0.0
        self._file = path.open("rb")
        try:
            self._container = open_container(self._file, kind, self.name)
            self._start()
        except BaseException:
            self._file.close()
            raise

    def _start(self) -> None:
        import av

        audio = self._container.streams.audio
        if not audio:
            what = "only pictures" if self._container.streams.video else "nothing that can be heard"
            raise AudioFileError(f"{self.name}: has no sound ({what})")
        best = self._container.streams.best("audio")
        self._stream: Any = best if best is not None else audio[0]
        if len(audio) > 1:
            which = audio.index(self._stream) + 1
            language = self._stream.language
            self._warn(
                f"has {len(audio)} sound tracks; number {which}{f' ({language})' if language else ''} is denoised"
            )
        self.track = self._stream.index
        if self._stream.codec_context is None:
            raise AudioFileError(f"{self.name}: its sound cannot be decoded: an unknown or copy-protected format")
        self._frames = self._decoded()
        try:
            first = next(self._frames, None)
        except av.FFmpegError as error:  # not even a packet
            raise AudioFileError(f"{self.name}: damaged: it cannot be decoded ({short(error)})") from error
        if first is None:
            codec = self._stream.codec_context.name
            raise AudioFileError(
                f"{self.name}: none of its sound ({codec}) can be decoded; it is empty, damaged or copy-protected"
            )
        self._first = first
        self.start_seconds = max(0.0, self._seconds(first) or 0.0)
        self.encoding = self._encoding(first)
        self.n_samples = self._stated_samples()
        self.tags = self._read_tags()

    def _encoding(self, first: Any) -> Encoding:
        context = self._stream.codec_context
        rate, channels = int(first.sample_rate), len(first.layout.channels)
        kbps = (context.bit_rate or 0) * 1e-3
        return Encoding(self._kind.name, _subtype(context, first), "FILE", rate, channels, kbps)

    def _stated_samples(self) -> int | None:
        seconds = self._stated_seconds()
        return None if seconds is None else round(seconds * self.encoding.sample_rate)

    def _stated_seconds(self) -> float | None:
        """Length of the sound as the container has it; an estimate for streams of bare frames."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration * 1e-6

    def _read_tags(self) -> dict[str, str]:
        found = {**self._container.metadata, **self._stream.metadata}
        named = {_RENAMED.get(key.lower(), key.lower()): str(text) for key, text in found.items()}
        return {key: text for key, text in named.items() if key in _TAGS or key == "tracknumber"}

    def _seconds(self, frame: Any) -> float | None:
        """Time of a frame on the clock that starts with the container."""
        if frame.pts is None or frame.time_base is None:
            return None
        return float(frame.pts * frame.time_base) - start_of(self._container)

    def _decoded(self) -> Iterator[Any]:
        """Frames of the sound; what cannot be decoded is noted and left out."""
        import av

        packets = self._container.demux()  # all of it: by the other streams' end a file that is cut off is known
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError as error:
                if not isinstance(error, EOFError):
                    self._damaged.append(self._last_seconds)
                return
            if packet.pts is not None and packet.time_base is not None:
                end = packet.pts + (packet.duration or 0)
                self._last_seconds = max(self._last_seconds, float(end * packet.time_base) - start_of(self._container))
            if packet.stream.index != self._stream.index:
                continue
            try:
                yield from packet.decode()
            except av.FFmpegError:
                if packet.size:
                    self._damaged.append(self._last_seconds)

    def blocks(self, block_samples: int) -> Iterator[F32]:
        """All samples in blocks of about `block_samples`.

        Yields
        ------
        (n, channels) float32
            Full scale 1.0.  The array is the caller's to change.
        """
        waiting: list[F32] = []
        n_waiting = 0
        for part in self._parts():
            waiting.append(part)
            n_waiting += len(part)
            if n_waiting >= block_samples:
                yield self._joined(waiting)
                waiting, n_waiting = [], 0
        if n_waiting:
            yield self._joined(waiting)
        self._tell_end()

    def _joined(self, parts: list[F32]) -> F32:
        block = np.ascontiguousarray(np.concatenate(parts), np.float32)
        self.n_read += len(block)
        return block

    def _parts(self) -> Iterator[F32]:
        """Samples frame by frame, at the first frame's rate and channels, with silence where the clock runs on."""
        import av

        rate, first = self.encoding.sample_rate, self._first
        layout = first.layout.name
        resampler: Any = None
        form: tuple[Any, ...] = ()
        done = 0
        for frame in self._with_first():
            seconds = self._seconds(frame)
            gap = 0.0 if seconds is None else seconds - self.start_seconds - done / rate
            if _GAP_SECONDS < gap < _GAP_SECONDS_MAX:
                silence = np.zeros((round(gap * rate), self.encoding.channels), np.float32)
                self._tell_gap(done / rate, gap)
                done += len(silence)
                yield silence
            if form != (frame.format.name, frame.layout.name, frame.sample_rate):
                if resampler is not None:
                    for part in _samples(resampler, None):
                        done += len(part)
                        yield part
                    self._tell_change(done / rate, frame)
                form = frame.format.name, frame.layout.name, frame.sample_rate
                resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
            for part in _samples(resampler, frame):
                done += len(part)
                yield part
        if resampler is not None:
            yield from _samples(resampler, None)

    def _with_first(self) -> Iterator[Any]:
        yield self._first
        yield from self._frames

    def _tell_change(self, seconds: float, frame: Any) -> None:
        """Say what a recording that changes on its way becomes."""
        there = self.encoding
        if (frame.sample_rate, len(frame.layout.channels)) != (there.sample_rate, there.channels):
            self._warn(
                f"goes on at {frame.sample_rate} Hz with {len(frame.layout.channels)} channels after {seconds:.2f} s; "
                f"converted to {there.sample_rate} Hz, {there.channels} channels"
            )

    def _tell_gap(self, seconds: float, gap: float) -> None:
        if self._damaged:
            self._damaged.clear()
            self._lose(f"damaged at {seconds:.2f} s: {gap:.2f} s are lost, and silent in the output")
        else:
            self._warn(f"holds no sound from {seconds:.2f} s to {seconds + gap:.2f} s; the output is silent there")

    def _tell_end(self) -> None:
        there = self.n_read / self.encoding.sample_rate
        stated = self._stated_seconds() if self._kind.demuxer in _LENGTH_KNOWN else None
        ends = there if self._stream.duration is not None else max(self._last_seconds, there)
        if stated is not None and ends < stated - _SHORT_SECONDS:
            self._lose(f"ends after {ends:.2f} s of {stated:.2f} s; the rest is missing")
        elif self._damaged:
            self._lose(f"damaged at {self._damaged[0]:.2f} s; {len(self._damaged)} packets could not be decoded")

    def _warn(self, message: str) -> None:
        self.warnings.append(f"{self.name}: {message}")
        _log.warning("%s", self.warnings[-1])

    def _lose(self, message: str) -> None:
        self.incomplete = True
        self._warn(message)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._file.close()

    def __enter__(self) -> MediaSource:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Bytes:
    """A file for FFmpeg: a damaged one sends it to places that are none, which PyAV would print, and raise later."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there; -1, an error in FFmpeg's terms, if there is no such place."""
        try:
            return int(self._file.seek(offset, whence))
        except (OSError, ValueError, OverflowError):
            return -1


def open_container(file: Any, kind: Kind, name: str) -> Any:
    """An open container; FFmpeg gets no name, so that it opens nothing but this file.

    Raises
    ------
    AudioFileError
        If it cannot be opened.
    """
    import av

    av.logging.set_level(av.logging.PANIC)  # errors in a file are reported by this package, in one line
    try:
        return av.open(_Bytes(file), format=kind.demuxer, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        hint = "; an interrupted recording lacks its index (moov)" if kind.demuxer == "mov" else ""
        raise AudioFileError(f"{name}: {kind.name} that cannot be read ({short(error)}){hint}") from error


def start_of(container: Any) -> float:
    """Time at which a container's clock starts, in seconds."""
    return (container.start_time or 0) * 1e-6


def is_cover(stream: Any) -> bool:
    """Whether a stream of pictures is the cover of a recording."""
    from av.stream import Disposition

    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def short(error: BaseException) -> str:
    """Return FFmpeg's message without leading numbers and names."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def _samples(resampler: Any, frame: Any) -> Iterator[F32]:
    if frame is not None:
        frame.pts = None  # the samples are in a row; the gaps between them are filled already
    for made in resampler.resample(frame):
        channels = len(made.layout.channels)
        yield np.ascontiguousarray(made.to_ndarray().reshape(-1, channels), np.float32)


def _subtype(context: Any, first: Any) -> str:
    """Libsndfile's name for what has one, else FFmpeg's; the bits of lossless formats are part of it."""
    name: str = context.codec.canonical_name
    bits = {"s16": 16, "s32": 24, "flt": 32, "u8": 8}.get(first.format.name.removesuffix("p"), 16)
    if name in ("pcm_f32le", "pcm_f32be"):
        return "FLOAT"
    if name.startswith("pcm_") and name not in ("pcm_alaw", "pcm_mulaw"):
        depth = "".join(char for char in name[4:] if char.isdigit())
        return f"PCM_{depth}" if depth in ("16", "24", "32") else "PCM_16"
    return f"{name.upper()}_{bits}" if name in _LOSSLESS else name.upper()
