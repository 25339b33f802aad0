"""Recordings of a live session: noisy and enhanced side by side, started and stopped while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError
from rtdenoise.live.session import Session
from rtdenoise.live.taps import Tap, TapThread

FOLDER = "recordings"


class Recorder:
    """Writes two files of equal start and equal length per recording, from a thread that cannot disturb the audio.

    Parameters
    ----------
    session : Session
    folder : Path
        Made when the first recording starts.
    tell : callable
        Gets one line if a file cannot be written.
    """

    def __init__(self, session: Session, folder: Path, tell: Callable[[str], None]) -> None:
        self._session, self._folder, self._tell = session, folder, tell
        self._thread: TapThread | None = None
        self._files = ExitStack()

    @property
    def running(self) -> bool:
        """Whether a recording is being made."""
        return self._thread is not None

    def start(self) -> None:
        """Record from now on.

        Raises
        ------
        AudioFileError
            If the folder cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AudioFileError(f"{self._folder}: cannot be made: {error.strerror}") from error
        session, start = self._session, int(self._session.region.live["n"][0])
        noisy, enhanced = _free_names(self._folder, session.method)
        self._thread = TapThread(
            [
                (Tap(session, "noisy", held=True, start=start), _Recording(session, self._files, noisy)),
                (Tap(session, "clean", late=True, start=start), _Recording(session, self._files, enhanced)),
            ],
            self._tell,
        )

    def stop(self) -> None:
        """Finish the files; fine if there are none."""
        if self._thread is not None:
            self._thread.finish()
            self._thread = None
            self._files.close()

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


def _free_names(folder: Path, method: str) -> tuple[Path, Path]:
    stem = time.strftime("%Y%m%d-%H%M%S")
    for number in range(100):
        name = f"{stem}-{number}" if number else stem
        pair = folder / f"{name}-noisy.wav", folder / f"{name}-{method}.wav"
        if not any(path.exists() for path in pair):
            return pair
    raise AudioFileError(f"{folder}: there are a hundred recordings of this second")


class _Recording:
    """One file of float samples, opened when the rate is known."""

    def __init__(self, session: Session, files: ExitStack, path: Path) -> None:
        self._session, self._files, self._path = session, files, path
        self._file: Any = None

    def write(self, samples: Any) -> None:
        """Append (n, channels) float32."""
        if self._file is None:
            rate = int(self._session.region.live["rate"][0])
            self._file = self._files.enter_context(
                new_file(self._path, rate, samples.shape[1], overwrite=False, lossless=True)
            )
        self._file.write(samples)


@contextmanager
def new_file(path: Path, rate: int, channels: int, *, overwrite: bool, lossless: bool = False) -> Iterator[Any]:
    """A file to write (n, channels) float32 to, of 24 bits or of float samples; whole at the end, or not there."""
    from rtdenoise.files.encoding import Encoding, encoding_for
    from rtdenoise.files.target import Target

    kept = Encoding("WAV", "FLOAT" if lossless else "PCM_24", "FILE", rate, channels, 0.0)
    with Target(path, encoding_for(path, kept, None), {}, overwrite=overwrite, may_shrink=True) as target:
        yield target
