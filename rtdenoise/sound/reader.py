"""Read an audio file of any length block by block, with one-line error messages."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rtdenoise.disk.names import for_library
from rtdenoise.errors import AudioFileError
from rtdenoise.sound.containers import flac
from rtdenoise.sound.containers.libsndfile import read_into
from rtdenoise.sound.containers.mpeg import after_id3
from rtdenoise.sound.containers.splice import Piece, Splice
from rtdenoise.sound.containers.survey import survey
from rtdenoise.sound.encoding import LOSSY, Encoding
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

GUESSED = frozenset({"FLAC", "MP3", "OGG"})
"""Containers of which only decoding tells how long they are."""

_FRAMES_UNKNOWN = 1 << 60
_MPEG_FRAME_SAMPLES = 1152
_FLAC_TRIES_MAX = 64  # frames tried behind one damaged place


class Source:
    """An open audio file that libsndfile can read.

    Parameters
    ----------
    path : Path
    name : str, optional
        Name used in messages.

    Attributes
    ----------
    encoding : Encoding
    n_samples : int or None
        Per channel, as far as is known before all is decoded.
    n_read : int
        Samples per channel read until now.
    tags : dict
        Title, artist and so on.
    warnings : list of str
        Irregularities of the file, for the report.
    incomplete : bool
        Whether sound is missing that the file should hold.

    Raises
    ------
    AudioFileError
        If it cannot be opened or holds no audio that libsndfile can read.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name if name is not None else str(path)
        size = regular_file_size(path)
        if path.suffix.lower() == ".raw":
            raise AudioFileError(f"{path}: raw samples say nothing about themselves; --input - --rate HZ reads them")
        self._size = size
        self._survey = survey(path, size)
        self._spliced: Splice | None = None
        self._file = self._open(self._survey.links[0] if self._survey.links else ())
        self.n_read = 0
        self.warnings: list[str] = []
        self.incomplete = False
        self.tags = {name: text for name, text in self._file.copy_metadata().items() if text}
        frames = max(0, int(self._file.frames))
        self.n_samples = self._survey.n_samples if frames >= _FRAMES_UNKNOWN else frames
        if len(self._survey.links) > 1:
            self.n_samples = None
        self.encoding = self._encoding(size)
        self._tell_oddities(frames)

    def _open(self, pieces: tuple[Piece, ...]) -> soundfile.SoundFile:
        self._close_splice()
        self._spliced = Splice(self.path, pieces) if pieces else None
        try:
            return soundfile.SoundFile(self._spliced or for_library(self.path))
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            self._close_splice()
            raise AudioFileError(f"{self.name}: not audio that can be read ({reason(error)})") from error

    def _tell_oddities(self, frames: int) -> None:
        found, rate = self._survey, self.encoding.sample_rate
        if frames == 0 and not found.ended:
            self.close()
            raise AudioFileError(f"{self.name}: damaged: {self._size} bytes, none of which can be decoded")
        if not found.ended:
            self._lose("its end is missing; what is there is used")
        if found.share > 1.0:
            there, promised = frames / rate, frames * found.share / rate
            self._lose(f"shorter than its header says: ends after {there:.2f} s of {promised:.2f} s")
        if found.understated:
            stated, there = frames * found.share / rate, frames / rate
            self._warn(f"its header says {stated:.2f} s, but {there:.2f} s are there; all are used")
        if found.followed:
            self._lose(f"{found.followed} was appended after {frames / rate:.2f} s and is left out")
        for seconds, what in found.gaps:
            self._lose(f"{what} at {seconds:.2f} s")

    def _encoding(self, size: int) -> Encoding:
        file = self._file
        seconds = self.n_samples / file.samplerate if self.n_samples else 0.0
        kbps = size * 8e-3 / seconds if seconds and file.subtype in LOSSY else 0.0
        return Encoding(file.format, file.subtype, file.endian, file.samplerate, file.channels, kbps)

    def _warn(self, message: str) -> None:
        message = f"{self.name}: {message}"
        self.warnings.append(message)
        _log.warning("%s", message)

    def _lose(self, message: str) -> None:
        self.incomplete = True
        self._warn(message)

    def blocks(self, block_samples: int) -> Iterator[F32]:
        """All samples in blocks of at most `block_samples`.

        Yields
        ------
        (n, channels) float32
            Full scale 1.0.  The array is the caller's to change.

        Raises
        ------
        AudioFileError
            If nothing at all can be decoded.
        """
        yield from self._link(block_samples)
        for pieces in self._survey.links[1:]:
            before = self.encoding
            self._file.close()
            try:
                self._file = self._open(pieces)
            except AudioFileError:
                self._lose(f"damaged after {self.n_read / before.sample_rate:.2f} s; what is chained there is left out")
                continue
            if (self._file.samplerate, self._file.channels) != (before.sample_rate, before.channels):
                self._leave_out_link()
                continue
            yield from self._link(block_samples)
        wanted = self.n_samples
        estimated = self.encoding.subtype in ("MPEG_LAYER_I", "MPEG_LAYER_II")
        if wanted is not None and self.n_read < wanted - (_MPEG_FRAME_SAMPLES if estimated else 0):
            self._tell_missing(wanted)

    def _leave_out_link(self) -> None:
        rate, file = self.encoding.sample_rate, self._file
        self._lose(
            f"goes on at {file.samplerate} Hz with {file.channels} channels after {self.n_read / rate:.2f} s; "
            f"these {file.frames / file.samplerate:.2f} s are left out; "
            f"ffmpeg -i {self.path.name} {self.path.stem}.wav makes one recording of it"
        )

    def _link(self, block_samples: int) -> Iterator[F32]:
        """Everything in one recording of the chain, as far as it can be decoded."""
        while True:
            block = np.empty((block_samples, self.encoding.channels), np.float32)
            n, error = read_into(self._file, block)
            self.n_read += n
            if n:
                yield block[:n]
            if error:
                lost = self._resume()
                if lost is None:
                    return
                yield from _silence(lost, self.encoding.channels, block_samples)
            elif n == 0:
                return

    def _resume(self) -> int | None:
        """Go on behind a damaged place of a FLAC; returns the number of samples that are lost there, if it can."""
        rate = self.encoding.sample_rate
        if self.n_read == 0 and self.encoding.container != "FLAC":
            raise AudioFileError(f"{self.name}: damaged: it cannot be decoded")
        found = self._next_flac_frame() if self.encoding.container == "FLAC" else None
        if found is not None:
            lost = found - self.n_read
            self._lose(f"damaged at {self.n_read / rate:.2f} s: {lost / rate:.2f} s are lost, and silent in the output")
            self.n_read = found
            return lost
        if self.n_read == 0:
            raise AudioFileError(f"{self.name}: damaged: it cannot be decoded")
        if self.n_samples is None or self.n_read >= self.n_samples:
            self._lose(f"damaged after {self.n_read / rate:.2f} s; the rest is missing")
        return None

    def _next_flac_frame(self) -> int | None:
        """Open the file again at the next frame that can be decoded; returns its first sample."""
        with self.path.open("rb") as file:
            info = flac.read_stream_info(file, after_id3(file))
        if info is None:
            return None
        probe = np.empty((1, self.encoding.channels), np.float32)
        for tries, (at, first) in enumerate(flac.frames_from(self.path, info, self.n_read)):
            if tries >= _FLAC_TRIES_MAX:
                break
            for last in (False, True):  # once to see whether it decodes, once to read it
                self._file.close()
                self._file = self._open(info.from_frame(at, self._size))
                if last:
                    return first
                n, error = read_into(self._file, probe)
                if n == 0 or error:
                    break
        return None

    def _tell_missing(self, wanted: int) -> None:
        rate = self.encoding.sample_rate
        there, all_of_it = self.n_read / rate, wanted / rate
        if self._survey.gaps:
            self._lose(f"damaged: {all_of_it - there:.2f} s of {all_of_it:.2f} s could not be decoded")
        elif not self.incomplete:
            self._lose(f"ends after {there:.2f} s of {all_of_it:.2f} s; the rest is missing")

    def _close_splice(self) -> None:
        if self._spliced is not None:
            self._spliced.close()
            self._spliced = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._close_splice()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _silence(n: int, channels: int, block_samples: int) -> Iterator[F32]:
    for start in range(0, n, block_samples):
        yield np.zeros((min(block_samples, n - start), channels), np.float32)


def reason(error: BaseException) -> str:
    """Return libsndfile's message without its path prefix; never empty."""
    text = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    return text or type(error).__name__


def regular_file_size(path: Path) -> int:
    """Size in bytes, after opening it once for the operating system's own reason if it cannot be read.

    Raises
    ------
    AudioFileError
        If it is not a file with something in it that this user may read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioFileError(f"{path}: is a folder, not an audio file")
        if not stat.S_ISREG(status.st_mode):
            raise AudioFileError(f"{path}: is not a regular file; audio from a pipe is read with --input -")
        with path.open("rb"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, AudioFileError):
            raise
        raise AudioFileError(f"{path}: {_os_reason(error)}") from error
    if status.st_size == 0:
        raise AudioFileError(f"{path}: is empty (0 bytes)")
    return status.st_size


def _os_reason(error: Any) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else text[:1].lower() + text[1:]
