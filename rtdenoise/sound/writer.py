"""Write an audio file atomically."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from rtdenoise.disk.atomic import PartFile, why_not
from rtdenoise.disk.names import for_library
from rtdenoise.errors import AudioFileError
from rtdenoise.sound.containers.covers import NO_COVERS, Covers, add_covers
from rtdenoise.sound.containers.libsndfile import prefer_plain_wave
from rtdenoise.sound.encoding import FLOATING, LOSSY, Encoding, compression
from rtdenoise.sound.reader import reason
from rtdenoise.typing import F32

_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_TAGS = ("title", "copyright", "software", "artist", "comment", "date", "album", "license", "tracknumber", "genre")
_EXACT_LENGTH = frozenset({"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}) | LOSSY


class _Disk:
    """What libsndfile writes through: keeps the operating system's error, which libsndfile would swallow."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            self.error = self.error or error
        return len(data) - len(view)

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


class Target:
    """A new audio file; use it as a context: leaving by an exception leaves nothing behind.

    Parameters
    ----------
    path : Path
    encoding : Encoding
    tags : mapping
        Title, artist and so on.
    overwrite : bool
    may_shrink : bool
        Let an RF64 become a plain WAV in the end if it is short enough for one.
    covers : Covers
        Pictures of the source, kept where the container is the same.

    Attributes
    ----------
    clipped : int
        Number of samples clipped to full scale.
    lost_tags : list of str
        Tags the container cannot hold.
    notes : list of str
        What else of the source could not be copied.

    Raises
    ------
    AudioFileError
        If the place cannot be written or the container cannot hold such a signal.
    """

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        tags: Mapping[str, str],
        *,
        overwrite: bool,
        may_shrink: bool = False,
        covers: Covers = NO_COVERS,
    ) -> None:
        self.path = path
        self.encoding = encoding
        self.clipped = 0
        self.n_written = 0
        self._before = (0, 0)  # samples and bytes ahead of the last write
        self.lost_tags: list[str] = []
        kept = covers.fit(encoding.container)
        self.notes = [] if kept else [f"{path}: the cover of the source cannot be kept in it"]
        self._covers = covers if kept else NO_COVERS
        self._part = PartFile(path, overwrite=overwrite)
        self._disk = _Disk(self._part.file)
        try:
            self._sound = self._open()
            if may_shrink:
                prefer_plain_wave(self._sound)
            self._write_tags(tags)
        except BaseException:
            self._part.discard()
            raise

    def _open(self) -> soundfile.SoundFile:
        enc = self.encoding
        level, mode = compression(enc)
        try:
            return soundfile.SoundFile(
                self._disk,
                "w",
                samplerate=enc.sample_rate,
                channels=enc.channels,
                format=enc.container,
                subtype=enc.subtype,
                endian=enc.endian,
                compression_level=level,
                bitrate_mode=mode,
            )
        except (soundfile.SoundFileError, ValueError, RuntimeError) as error:
            self._raise_disk_error(error)
            what = f"{enc.channels} channels at {enc.sample_rate} Hz as {enc.container} {enc.subtype}"
            raise AudioFileError(
                f"{self.path}: cannot write {what} ({reason(error)}); --output NAME.wav or NAME.flac can hold it"
            ) from error

    def _write_tags(self, tags: Mapping[str, str]) -> None:
        for name in _TAGS:
            if name not in tags:
                continue
            try:
                setattr(self._sound, name, _Latin1(tags[name]) if self.encoding.container == "MP3" else tags[name])
            except (soundfile.SoundFileError, RuntimeError, UnicodeEncodeError):
                self.lost_tags.append(name)

    def write(self, samples: F32) -> None:
        """Append samples.

        Parameters
        ----------
        samples : (n, channels) float32, read
            Full scale 1.0; rounded and limited where the file holds integers.

        Raises
        ------
        AudioFileError
            If writing to disk fails.
        """
        self._before = self.n_written, self._disk.tell()
        try:
            self._sound.write(self._stored(samples))
        except (soundfile.SoundFileError, AssertionError, RuntimeError) as error:
            self._raise_disk_error(error)
            raise AudioFileError(f"{self.path}: cannot be written ({reason(error)})") from error
        self._raise_disk_error(None)
        self.n_written += len(samples)

    def take_back(self) -> str:
        """Undo the last `write`, even a failed one, keeping everything before it.

        For containers that hold plain samples, as a WAV does.

        Returns
        -------
        str
            The write error; empty if there was none.
        """
        error, self._disk.error = self._disk.error, None
        self.n_written, end = self._before
        with suppress(soundfile.SoundFileError, RuntimeError):  # it notes the length; the file is not its own to cut
            self._sound.truncate(self.n_written)
        self._part.file.truncate(end)
        return "" if error is None else why_not(error, self.path)

    def _stored(self, samples: F32) -> np.ndarray[Any, np.dtype[Any]]:
        """Samples as the type that the file's own type is made from without loss, rounded to its steps."""
        subtype = self.encoding.subtype
        if subtype in FLOATING:
            return samples
        if subtype in LOSSY:
            self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
            return np.clip(samples, -1.0, 1.0)
        bits = _BITS.get(subtype, 16)
        full = float(1 << (bits - 1))
        steps = np.rint(samples * (np.float64(full) if bits > 24 else np.float32(full)))
        self.clipped += int(np.count_nonzero((steps < -full) | (steps > full - 1.0)))
        limited = np.clip(steps, -full, full - 1.0)
        width, kind = (16, np.int16) if bits <= 16 else (32, np.int32)
        stored: np.ndarray[Any, np.dtype[Any]] = np.left_shift(limited.astype(kind), width - bits)
        return stored

    def _raise_disk_error(self, cause: BaseException | None) -> None:
        if self._disk.error is not None:
            why = why_not(self._disk.error, self.path)
            raise AudioFileError(f"{self.path}: cannot be written: {why}; nothing was kept") from cause

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._part.end(self._finish, self._abandon, failed=kind is not None)

    def _finish(self) -> None:
        """Close the encoder and read back what it says it wrote: some report no error."""
        self._sound.close()
        self._raise_disk_error(None)
        add_covers(self._disk, self._covers)
        self._raise_disk_error(None)
        try:
            with soundfile.SoundFile(for_library(self._part.part)) as written:
                whole = written.frames == self.n_written or self.encoding.subtype not in _EXACT_LENGTH
        except (soundfile.SoundFileError, RuntimeError) as error:
            if self.n_written == 0:
                raise AudioFileError(
                    f"{self.path}: {self.encoding.container} cannot hold an empty recording; --output NAME.wav can"
                ) from error
            raise AudioFileError(f"{self.path}: was not written whole ({reason(error)})") from error
        if not whole:
            raise AudioFileError(
                f"{self.path}: {written.frames} of {self.n_written} samples were written; is the disk full?"
            )

    def _abandon(self) -> None:
        with suppress(soundfile.SoundFileError, RuntimeError):  # the error that brought us here is the one to report
            self._sound.close()
        self._part.discard()


class _Latin1(str):
    """Text whose bytes are Latin-1: what libsndfile's MP3 encoder takes every tag for."""

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode(encoding, errors)
