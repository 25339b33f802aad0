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

import numpy as np

from rtdenoise.disk.atomic import remove_empty
from rtdenoise.errors import AudioFileError
from rtdenoise.live_audio.ends.record_names import names_of, place, require_writable
from rtdenoise.live_audio.ends.taps import Gaps, Tap, TapThread
from rtdenoise.live_audio.session import Session

FOLDER = "recordings"
_FINISH_SECONDS = 10.0  # without a sample taken by a slow disk; what is still in memory belongs to the recording
_SILENCE = 4096  # samples written at once for what is missing
MISSING = "{missing} s are missing at {at} s: the disk or this process did not keep up"


class Recorder:
    """Writes two files of equal start and equal length per recording, from a thread that cannot disturb the audio.

    Parameters
    ----------
    session : Session
    folder : Path
        Made when the first recording starts.
    tell : callable
        Gets one line if a file cannot be written, if samples are missing, or if another pair of files begins.

    Attributes
    ----------
    folder : Path
        May be changed while nothing is recorded.
    missing_seconds : float
        What was overwritten before it could be recorded; the files are silent there.
    files : list of Path
        Of the last recording that was stopped.
    """

    def __init__(self, session: Session, folder: Path, tell: Callable[[str], None]) -> None:
        self._session, self.folder, self._tell = session, folder, tell
        self._thread: TapThread | None = None
        self._take: _Take | None = None
        self._failed = ""
        self._made: list[Path] = []  # folders that were not there before
        self.missing_seconds = 0.0
        self.files: list[Path] = []

    @property
    def running(self) -> bool:
        """Whether a recording is being made."""
        return self._take is not None and not self._take.failed

    @property
    def failed(self) -> str:
        """Why a recording ended before it was stopped, or is not whole; empty if none did."""
        return self._failed or (self._take.complaint if self._take is not None else "")

    def start(self) -> None:
        """Record from now on.

        Raises
        ------
        AudioFileError
            If the folder cannot be made or written.
        """
        self.stop()
        self._made = require_writable(self.folder)
        session, start = self._session, int(self._session.region.live["n"][0])
        self._take = take = _Take(session, self.folder, self._tell)
        self._thread = TapThread(
            [
                (Tap(session, "noisy", held=True, start=start), _Side(take, 0)),
                (Tap(session, "clean", late=True, start=start), _Side(take, 1)),
            ],
            self._tell,
        )

    def stop(self) -> None:
        """Finish the files, if there are any."""
        if self._thread is not None and self._take is not None:
            self._take.close(left=self._thread.finish(_FINISH_SECONDS))
            self._failed = self.failed
            self.missing_seconds += self._take.missing_seconds
            self.files = self._take.files
            self._thread = self._take = None
        remove_empty(self._made)  # where nothing was recorded
        self._made = []

    def toggle(self) -> str:
        """Start, or stop what runs; says which, in words."""
        if self.running:
            self.stop()
            return f"the recording is in {self.folder}"
        try:
            self.start()
        except AudioFileError as error:
            return str(error)
        return f"recording into {self.folder}"


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
        self._stem = self._method = ""
        self._hidden: Path | None = None  # where the pair is written: a folder that no other session has
        self._gaps = Gaps(f"recording: {MISSING}", tell)
        self._lock, self._closed = threading.Lock(), False
        self.failed = ""
        self.files: list[Path] = []  # under their names

    @property
    def missing_seconds(self) -> float:
        """Samples that were not read in time."""
        return self._gaps.seconds

    @property
    def complaint(self) -> str:
        """Why it is not whole; empty if it is."""
        if self.failed or not self.missing_seconds:
            return self.failed
        return f"recording: {self.missing_seconds:.2f} s are missing: the disk or this process did not keep up"

    def write(self, side: int, samples: Any) -> None:
        """Append (n, channels) float32 to the noisy file, 0, or to the enhanced one, 1."""
        with self._lock:
            self._append(side, samples)

    def miss(self, n: int, channels: int) -> None:
        """Append `n` samples of silence to both files, for samples that were not read in time."""
        with self._lock:
            at = self._length_seconds()
            for start in range(0, n, _SILENCE):
                silence = np.zeros((min(n - start, _SILENCE), channels), np.float32)
                for side in (0, 1):
                    self._append(side, silence)
            if self._pair:
                self._gaps.add(n / self._rate, at)

    def _append(self, side: int, samples: Any) -> None:
        rate = int(self._session.region.live["rate"][0]) or self._rate  # 0: these are the last of a stream that ended
        if self.failed or self._closed or not rate:
            return
        try:
            if rate != self._rate:
                self._begin(rate, samples.shape[1])
            self._pair[side][1].write(samples)
        except OSError as error:
            self._give_up(side, error)

    def _length_seconds(self) -> float:
        return self._seconds + (self._pair[0][1].n_written / self._rate if self._pair else 0.0)

    def _begin(self, rate: int, channels: int) -> None:
        """The first pair of files, or the next one at another rate."""
        self._finish()
        self._stem, self._method = time.strftime("%Y%m%d-%H%M%S"), self._session.method
        self._hidden = Path(tempfile.mkdtemp(prefix=".rtdenoise-", dir=self._folder))
        pair: list[tuple[ExitStack, Any]] = []
        with ExitStack() as opening:  # neither without the other
            for name in names_of(self._stem, self._method):
                stack = opening.enter_context(ExitStack())
                file = stack.enter_context(
                    new_file(self._hidden / name, rate, channels, overwrite=False, lossless=True)
                )
                pair.append((stack, file))
            opening.pop_all()
        self._pair = pair
        if self._rate:
            self._tell(f"the device runs at {rate} Hz now; the recording goes on in another pair of files")
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
        errors, seconds, whole = [], 0.0, []
        for stack, file in pair:
            try:
                stack.close()
                seconds = file.n_written / self._rate
                whole.append(file.path)
            except AudioFileError as error:
                errors.append(error)
        self._seconds += seconds
        hidden, self._hidden = self._hidden, None
        if whole:
            self.files += place(whole, self._folder, self._stem, self._method)
        if hidden is not None:
            with suppress(OSError):  # something else put a file into it
                hidden.rmdir()
        if errors:
            raise errors[0]

    def close(self, left: int = 0) -> None:
        """Nothing more is written; fine to call twice.

        Parameters
        ----------
        left : int
            Samples that a disk did not take in time, and that are missing at the end.
        """
        with self._lock:
            if left and self._pair:
                self._gaps.add(left / self._rate, self._length_seconds())
            self._closed = True
            self._close_files()
            self._gaps.tell()

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

    def write(self, samples: Any, missing: int = 0) -> None:
        """Append (n, channels) float32, and before them, once for both files, what is missing."""
        if missing and self.number == 0:
            self.take.miss(missing, samples.shape[1])
        self.take.write(self.number, samples)


@contextmanager
def new_file(path: Path, rate: int, channels: int, *, overwrite: bool, lossless: bool = False) -> Iterator[Any]:
    """A file to write (n, channels) float32 to, of 24 bits or of float samples; whole at the end, or not there."""
    from rtdenoise.sound.encoding import Encoding, encoding_for
    from rtdenoise.sound.writer import Target

    kept = Encoding("WAV", "FLOAT" if lossless else "PCM_24", "FILE", rate, channels, 0.0)
    with Target(path, encoding_for(path, kept, None), {}, overwrite=overwrite, may_shrink=True) as target:
        yield target
