"""File input, and file or pipe output, of a live run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import require_free
from rtdenoise.errors import AudioFileError
from rtdenoise.live_audio.device_names import STDIO
from rtdenoise.live_audio.ends.feeder import Feeder
from rtdenoise.live_audio.ends.recorder import MISSING, new_file
from rtdenoise.live_audio.ends.taps import Gaps, Tap, TapThread
from rtdenoise.live_audio.session import Session

Tell = Callable[[str], None]


_FILE_BLOCK = 4096
_PATIENCE_SECONDS = 5.0  # at the end, with a pipe or a disk that takes nothing
_SILENCE = 4096  # samples written at once for what is missing
_PIPE_BYTES = 4096  # written at once: a larger write to a slow pipe would not return before all of it is read
_TOO_SLOW = "the reader of standard output is too slow: {missing} s were left out"


class PlayedFile:
    """A file that is fed to a session as that takes it, until the session is over.

    Parameters
    ----------
    session : Session
    path : Path
    tell : callable
        Gets one line for what is odd about the file.
    stack : ExitStack
        Ends the feeding, then closes the file.

    Attributes
    ----------
    name : str
    channels : int

    Raises
    ------
    AudioFileError
        If none of it can be read.
    """

    def __init__(self, session: Session, path: Path, tell: Tell, stack: ExitStack) -> None:
        from rtdenoise.sound.reader import Source

        stack.enter_context(_warnings_shown(tell))
        self._source = stack.enter_context(Source(path))
        self.name, self.channels = path.name, self._source.encoding.channels
        blocks = self._source.blocks(_FILE_BLOCK)
        first = next(blocks, None)  # a file without a single sample is an error before anything plays
        whole = chain([] if first is None else [first], blocks)
        self._feeder = Feeder(session, whole, self._source.encoding.sample_rate)
        stack.callback(self._feeder.finish)

    @property
    def failed(self) -> BaseException | None:
        """What ended the reading."""
        return self._feeder.failed

    @property
    def incomplete(self) -> str:
        """Why it was not played whole; empty if it was."""
        return self._source.warnings[-1] if self._source.warnings else ""


@contextmanager
def _warnings_shown(tell: Tell) -> Iterator[None]:
    """Let the warnings about files be told as lines of the run: in the log the screen would be drawn over them."""
    log, handler = logging.getLogger("rtdenoise.sound"), _WarningHandler(tell)
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before


class _WarningHandler(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a session's sound is written.

    `target`: a file, or "-" for standard output.  `form`: of samples on standard output: "s16", "f32", "wav" ...
    `aligned`: the delay is cut off the beginning.  `overwrite`: a file that is there is replaced.
    """

    target: str
    form: str = "s16"
    aligned: bool = True
    overwrite: bool = False

    @property
    def is_pipe(self) -> bool:
        """Whether it is standard output."""
        return self.target == STDIO

    def check(self) -> None:
        """Refuse what cannot be written, before any device is opened.

        Raises
        ------
        AudioFileError
            For a container that is not known, a folder that is not there, or a file that is.
        """
        if self.is_pipe:
            return
        from rtdenoise.sound.encoding import containers_for  # loads soundfile, which devices need not wait for

        path = Path(self.target)
        containers_for(path)
        require_free(path, overwrite=self.overwrite)
        if not path.absolute().parent.is_dir():
            raise AudioFileError(f"{self.target}: its folder does not exist; make it first")


class Output:
    """What carries the sound to a file or a pipe.

    Parameters
    ----------
    session : Session
    to : Destination
    tell : callable
        Gets one line for what is missing.
    stack : ExitStack
        Closes the file, or removes it if it is left with an error.
    """

    def __init__(self, session: Session, to: Destination, tell: Tell, stack: ExitStack) -> None:
        self._sink = _LazySink(session, to, tell, stack)
        self._thread = TapThread([(Tap(session, "clean", late=to.aligned), self._sink)], lambda _line: None)
        self._closed = False

    @property
    def failed(self) -> BaseException | None:
        """What ended the writing."""
        return self._thread.failed

    @property
    def incomplete(self) -> str:
        """Why a file is not whole; empty if it is, and for a pipe, whose reader has only been told."""
        return self._sink.incomplete

    @property
    def missing_seconds(self) -> float:
        """What was not written in time."""
        return self._sink.gaps.seconds

    def close(self, hurried: Callable[[], bool]) -> None:
        """Carry what is left; see `TapThread.finish`.  Fine to call twice."""
        if not self._closed:
            self._closed = True
            self._sink.end(self._thread.finish(_PATIENCE_SECONDS, hurried))


class _LazySink:
    """A file or standard output, opened with the first samples, when the device's rate is known, and kept at it."""

    def __init__(self, session: Session, to: Destination, tell: Tell, stack: ExitStack) -> None:
        self._session, self._to = session, to
        self._stack = stack.enter_context(ExitStack())
        self._write: Any = None
        self._rate = self._now = self._n = 0
        self._resamplers: list[Any] = []
        self.gaps = Gaps(_TOO_SLOW if to.is_pipe else f"{to.target}: {MISSING}", tell)

    @property
    def incomplete(self) -> str:
        """Why a file is not whole; empty if it is, and for a pipe, whose reader has only been told."""
        if self._to.is_pipe or not self.gaps.seconds:
            return ""
        return f"{self._to.target}: {self.gaps.seconds:.2f} s are missing: the disk or this process did not keep up"

    def write(self, samples: Any, missing: int = 0) -> None:
        """Append (n, channels) float32; a device that came back at another rate is resampled to the first.

        What is missing before them is silence in a file, which keeps its time; a pipe whose reader is too slow goes on.
        """
        now = int(self._session.region.live["rate"][0]) or self._now  # 0: these are the last of a stream that ended
        if not now:
            return
        if self._write is None:
            self._rate = self._now = now
            self._open(now, samples.shape[1])
        if now != self._now:
            self._change(now, samples.shape[1])
        if missing:
            self._miss(missing, samples.shape[1])
        self._append(samples)

    def _miss(self, n: int, channels: int) -> None:
        self.gaps.add(n / self._now, self._n / self._rate)
        for start in range(0, 0 if self._to.is_pipe else n, _SILENCE):
            self._append(np.zeros((min(n - start, _SILENCE), channels), np.float32))

    def _append(self, samples: Any) -> None:
        if self._resamplers:
            columns = zip(self._resamplers, samples.T, strict=True)
            samples = np.stack([resampler.push(np.ascontiguousarray(column)) for resampler, column in columns], 1)
        self._write(samples)
        self._n += samples.shape[0]

    def end(self, left: int) -> None:
        """Nothing more is written, and so many samples were not."""
        if left and self._now:
            self.gaps.add(left / self._now, self._n / self._rate)
        self.gaps.tell()

    def _change(self, rate: int, channels: int) -> None:
        from rtdenoise.streaming.resampler import Resampler

        self._now = rate
        self._resamplers = [] if rate == self._rate else [Resampler(rate, self._rate) for _ in range(channels)]

    def _open(self, rate: int, channels: int) -> None:
        if self._to.is_pipe:
            self._write = _pipe_writer(self._to.form, rate, channels)
            return
        file = new_file(Path(self._to.target), rate, channels, overwrite=self._to.overwrite)
        self._write = self._stack.enter_context(file).write


def _pipe_writer(form: str, rate: int, channels: int) -> Any:
    from rtdenoise.sound.pcm import to_bytes
    from rtdenoise.sound.wave import wave_header

    raw = "s16" if form == "wav" else form
    if form == "wav":
        os.write(1, wave_header(raw, rate, channels, None))

    def write(samples: Any) -> None:
        data = memoryview(to_bytes(samples, raw)[0])
        while data:
            data = data[os.write(1, data[:_PIPE_BYTES]) :]

    return write
