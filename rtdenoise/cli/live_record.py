"""Recordings of a live session: noisy and enhanced side by side, started and stopped while it runs."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError
from rtdenoise.live.session import Session
from rtdenoise.live.taps import Tap, TapThread

FOLDER = "recordings"
_FINISH_SECONDS = 10.0  # for a slow disk; what is still in memory belongs to the recording


class Recorder:
    """Writes two files of equal start and equal length per recording, from a thread that cannot disturb the audio.

    Parameters
    ----------
    session : Session
    folder : Path
        Made when the first recording starts.
    tell : callable
        Gets one line if a file cannot be written, or if another pair of files begins.
    """

    def __init__(self, session: Session, folder: Path, tell: Callable[[str], None]) -> None:
        self._session, self._folder, self._tell = session, folder, tell
        self._thread: TapThread | None = None
        self._take: _Take | None = None
        self._failed = ""

    @property
    def running(self) -> bool:
        """Whether a recording is being made."""
        return self._take is not None and not self._take.failed

    @property
    def failed(self) -> str:
        """Why a recording ended before it was stopped, or is not whole; empty if none did."""
        return self._failed or (self._take.failed if self._take is not None else "")

    def start(self) -> None:
        """Record from now on.

        Raises
        ------
        AudioFileError
            If the folder cannot be made or written.
        """
        self.stop()
        _require_writable(self._folder)
        session, start = self._session, int(self._session.region.live["n"][0])
        self._take = take = _Take(session, self._folder, self._tell)
        self._thread = TapThread(
            [
                (Tap(session, "noisy", held=True, start=start), _Side(take, 0)),
                (Tap(session, "clean", late=True, start=start), _Side(take, 1)),
            ],
            self._tell,
        )

    def stop(self) -> None:
        """Finish the files; fine if there are none."""
        if self._thread is not None and self._take is not None:
            self._thread.finish(_FINISH_SECONDS)
            self._take.close()
            self._failed = self.failed
            self._thread = self._take = None

    def toggle(self) -> str:
        """Start, or stop what runs; says which, in words."""
        if self.running:
            self.stop()
            return f"the recording is in {self._folder}"
        try:
            self.start()
        except AudioFileError as error:
            return str(error)
        return f"recording into {self._folder}"


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise AudioFileError(
            f"{folder}: no recording can be written there: {error.strerror}; give --record another folder"
        ) from error


def _free_names(folder: Path, method: str) -> tuple[Path, Path]:
    stem = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        name = f"{stem}-{number}" if number else stem
        pair = folder / f"{name}-noisy.wav", folder / f"{name}-{method}.wav"
        if not any(path.exists() for path in pair):
            return pair
    raise AudioFileError(f"{folder}: there are a hundred recordings of this second")


class _Take:
    """A recording: a pair of files of float samples per rate, as a device that comes back may run at another.

    Attributes
    ----------
    failed : str
        Why nothing more is written; what had been written is kept.
    """

    def __init__(self, session: Session, folder: Path, tell: Callable[[str], None]) -> None:
        self._session, self._folder, self._tell = session, folder, tell
        self._pair: list[tuple[ExitStack, Any]] = []
        self._rate, self._seconds = 0, 0.0
        self._lock, self._closed = threading.Lock(), False
        self.failed = ""

    def write(self, side: int, samples: Any) -> None:
        """Append (n, channels) float32 to the noisy file, 0, or to the enhanced one, 1."""
        rate = int(self._session.region.live["rate"][0]) or self._rate  # 0: these are the last of a stream that ended
        with self._lock:
            if self.failed or self._closed or not rate:
                return
            try:
                if rate != self._rate:
                    self._begin(rate, samples.shape[1])
                self._pair[side][1].write(samples)
            except OSError as error:
                self._give_up(side, error)

    def _begin(self, rate: int, channels: int) -> None:
        """The first pair of files, or the next one at another rate."""
        self._finish()
        names = _free_names(self._folder, self._session.method)
        pair: list[tuple[ExitStack, Any]] = []
        with ExitStack() as opening:  # neither without the other
            for path in names:
                stack = opening.enter_context(ExitStack())
                file = stack.enter_context(new_file(path, rate, channels, overwrite=False, lossless=True))
                pair.append((stack, file))
            opening.pop_all()
        self._pair = pair
        if self._rate:
            self._tell(f"the device runs at {rate} Hz now; the recording goes on in {names[0]}")
        self._rate = rate

    def _give_up(self, side: int, error: OSError) -> None:
        """Keep what both files have in common, and say why there will be no more."""
        why = str(error)
        if self._pair:
            file, other = self._pair[side][1], self._pair[1 - side][1]
            with suppress(OSError):  # then the files are checked when they are closed
                why = file.take_back() or why
                if other.n_written > file.n_written:
                    other.take_back()
        self._close_files()
        if not self.failed:
            kept = f"its {self._seconds:.1f} s until then are kept" if self._seconds else "there is nothing to keep"
            self.failed = f"the recording in {self._folder} ends: {why}; {kept}"
            self._tell(self.failed)

    def _finish(self) -> None:
        """Give both files their names.

        Raises
        ------
        AudioFileError
            If one of them cannot be finished; the other is.
        """
        pair, self._pair = self._pair, []
        errors, seconds = [], 0.0
        for stack, file in pair:
            try:
                stack.close()
                seconds = file.n_written / self._rate
            except AudioFileError as error:
                errors.append(error)
        self._seconds += seconds
        if errors:
            raise errors[0]

    def close(self) -> None:
        """Nothing more is written; fine to call twice."""
        with self._lock:
            self._closed = True
            self._close_files()

    def _close_files(self) -> None:
        try:
            self._finish()
        except AudioFileError as error:
            self.failed = str(error)
            self._tell(self.failed)


@dataclass(frozen=True, slots=True)
class _Side:
    """One file of a pair: where a tap's samples go."""

    take: _Take
    number: int

    def write(self, samples: Any) -> None:
        """Append (n, channels) float32."""
        self.take.write(self.number, samples)


@contextmanager
def new_file(path: Path, rate: int, channels: int, *, overwrite: bool, lossless: bool = False) -> Iterator[Any]:
    """A file to write (n, channels) float32 to, of 24 bits or of float samples; whole at the end, or not there."""
    from rtdenoise.files.encoding import Encoding, encoding_for
    from rtdenoise.files.target import Target

    kept = Encoding("WAV", "FLOAT" if lossless else "PCM_24", "FILE", rate, channels, 0.0)
    with Target(path, encoding_for(path, kept, None), {}, overwrite=overwrite, may_shrink=True) as target:
        yield target
