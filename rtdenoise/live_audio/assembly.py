"""A session with everything that hangs on it: a file that is played, a file or pipe that is written, recordings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError, RtDenoiseError
from rtdenoise.live_audio.ends.files import Destination, Output, PlayedFile
from rtdenoise.live_audio.ends.recorder import Recorder
from rtdenoise.live_audio.ends.virtual_feed import Feeding
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.session import Session


class Assembly:
    """One session and its ends, driven by `step` like the session itself.

    Parameters
    ----------
    plan : LivePlan
    tell : callable
        Gets one line for everything a user should know.
    folder : Path
        Where recordings go.
    microphone : VirtualMicrophone, optional
        What the session plays goes into it.

    Attributes
    ----------
    session : Session
    recorder : Recorder
    played : PlayedFile, optional
        After `play`.
    output : Output, optional
        After `write`.
    """

    def __init__(
        self, plan: LivePlan, tell: Callable[[str], None], folder: Path, microphone: VirtualMicrophone | None = None
    ) -> None:
        self._tell, self._stack = tell, ExitStack()
        self.session = Session(plan, tell)
        self.recorder = Recorder(self.session, folder, tell)
        self._feeding = Feeding(microphone, self.session, tell) if microphone is not None else None
        self.played: PlayedFile | None = None
        self.output: Output | None = None
        self._to: Destination | None = None

    def play(self, path: Path) -> None:
        """Feed a file to the session.

        Raises
        ------
        AudioFileError
            If none of it can be read.
        """
        self.played = PlayedFile(self.session, path, self._tell, self._stack)

    def write(self, to: Destination) -> None:
        """Carry the session's sound to a file or a pipe."""
        self._to, self.output = to, Output(self.session, to, self._tell, self._stack)

    def step(self) -> bool:
        """Look after everything once; False when the session is over, or when nobody reads its pipe any more.

        Raises
        ------
        DeviceError, ConfigError, ModelError, MissingExtraError
            If it cannot even start.
        AudioFileError
            If the file that the sound goes to cannot be written.
        """
        goes_on = self.session.step()
        failed = self.output.failed if self.output is not None else None
        if isinstance(failed, BrokenPipeError):
            return False
        if isinstance(failed, RtDenoiseError):
            raise failed
        if failed is not None:
            raise AudioFileError(f"{self._to.target if self._to else 'output'}: {failed}") from failed
        return goes_on

    @property
    def incomplete(self) -> str:
        """Why a file that was to be played or written is not whole; empty if all are."""
        ends = [end.incomplete for end in (self.output, self.played) if end is not None]
        return next((why for why in ends if why), "")

    def close(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """End the session, then all that it wrote to; fine to call twice.

        Parameters
        ----------
        hurried : callable
            Whether what a pipe does not take at once is left out.
        """
        if self._feeding is not None:
            self._feeding.stop()
        self.session.close()
        if self.output is not None:
            self.output.close(hurried)
        self.recorder.stop()

    def __enter__(self) -> Assembly:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """Close, then give files their names, or remove what an error left unfinished."""
        self.close()
        self._stack.__exit__(kind, error, trace)
