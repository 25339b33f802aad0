"""Read an audio file block by block, whatever its length, and say what is wrong with it in one line."""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from rtdenoise.errors import AudioFileError
from rtdenoise.files.encoding import LOSSY, Encoding
from rtdenoise.names import for_library
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

_FRAMES_UNKNOWN = 1 << 60
_PROMISED = re.compile(r": (\d+) \(should be")
_BYTES_UNKNOWN = 0x7FFF_0000  # and above: what is written to a pipe, whose length nobody knows
_OGG_PAGE_BYTES_MAX = 65_307


class Source:
    """An open audio file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    encoding : Encoding
    n_samples : int
        Per channel, as the header says; what is really there can be less.
    n_read : int
        Samples per channel read until now.
    tags : dict
        Title, artist and so on.
    warnings : list of str
        What was odd about the file, for the report.

    Raises
    ------
    AudioFileError
        If it cannot be opened or holds no audio this package can read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size = _regular_file_size(path)
        if path.suffix.lower() == ".raw":
            raise AudioFileError(f"{path}: raw samples say nothing about themselves; --input - --rate HZ reads them")
        try:
            self._file = soundfile.SoundFile(for_library(path))
        except (soundfile.SoundFileError, OSError, RuntimeError) as error:
            raise AudioFileError(f"{path}: not audio that can be read ({reason(error)})") from error
        self.n_samples = max(0, int(self._file.frames))
        self.n_read = 0
        self.warnings: list[str] = []
        self.tags = {name: text for name, text in self._file.copy_metadata().items() if text}
        self.encoding = self._encoding(size)
        cut = self.encoding.container == "OGG" and not _has_last_page(path)
        if self.n_samples == 0 and cut:
            self._file.close()
            raise AudioFileError(f"{path}: damaged: {size} bytes, none of which can be decoded")
        if cut:
            self._warn(f"{path}: its end is missing; what is there is used")
        promised = _PROMISED.search(self._data_line())
        if promised and int(promised[1]) < _BYTES_UNKNOWN:
            self._warn(f"{path}: shorter than its header says; what is there is used")

    def _encoding(self, size: int) -> Encoding:
        file = self._file
        seconds = self.n_samples / file.samplerate if self.n_samples < _FRAMES_UNKNOWN else 0.0
        kbps = size * 8e-3 / seconds if seconds and file.subtype in LOSSY else 0.0
        return Encoding(file.format, file.subtype, file.endian, file.samplerate, file.channels, kbps)

    def _data_line(self) -> str:
        names = ("data", "SSND")
        lines = self._file.extra_info.splitlines() if self.encoding.container != "MP3" else []
        return next((line for line in lines if line.strip().startswith(names)), "")

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        _log.warning("%s", message)

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
        rate = self.encoding.sample_rate
        while True:
            try:
                block = self._file.read(block_samples, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                if self.n_read == 0:
                    raise AudioFileError(f"{self.path}: damaged: it cannot be decoded ({reason(error)})") from error
                self._warn(f"{self.path}: damaged after {self.n_read / rate:.2f} s; the rest is missing")
                return
            if len(block) == 0:
                break
            self.n_read += len(block)
            yield np.ascontiguousarray(block)
        if self.n_read < self.n_samples < _FRAMES_UNKNOWN:
            there, wanted = self.n_read / rate, self.n_samples / rate
            self._warn(f"{self.path}: ends after {there:.2f} s of {wanted:.2f} s; the rest is missing")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _has_last_page(path: Path) -> bool:
    """Whether the last page of an Ogg says that it is the last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _OGG_PAGE_BYTES_MAX))
        end = file.read()
    start = end.rfind(b"OggS")
    return start >= 0 and len(end) > start + 5 and bool(end[start + 5] & 0x04)


def reason(error: BaseException) -> str:
    """What libsndfile says, without the path it puts in front; never empty."""
    text = str(getattr(error, "error_string", "") or error).strip().rstrip(".")
    return text or type(error).__name__


def _regular_file_size(path: Path) -> int:
    """Size in bytes, after opening it once for the operating system's own reason if it cannot be read."""
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
