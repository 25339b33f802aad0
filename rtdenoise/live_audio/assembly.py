"""A session with its attachments: a played file, a written file or pipe, recordings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtdenoise.errors import AudioFileError, RtDenoiseError
from rtdenoise.live_audio.audio.ahead import Ahead
from rtdenoise.live_audio.ends.default_microphone import DefaultMicrophone
from rtdenoise.live_audio.ends.files import Destination, Output, PlayedFile
from rtdenoise.live_audio.ends.recorder import Recorder
from rtdenoise.live_audio.ends.virtual_feed import MicrophoneFeed
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.session import Session


class Assembly:
    """One session and its ends, driven by `step` like the session itself.

    Parameters
    ----------
    plan : LivePlan
    tell : callable
        Called with one line for each event the user should know about.
    folder : Path
        Where recordings go.
    microphone : VirtualMicrophone, optional
        Receives the session's output.
    ahead : Ahead, optional
        The first audio process; by default it is started now.

    Attributes
    ----------
    session : Session
    recorder : Recorder
    default : DefaultMicrophone, optional
        If the session plays into a virtual microphone.
    played : PlayedFile, optional
        After `play`.
    output : Output, optional
        After `write`.
    """

    def __init__(
        self,
        plan: LivePlan,
        tell: Callable[[str], None],
        folder: Path,
        microphone: VirtualMicrophone | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self._tell, self._stack = tell, ExitStack()
        self.session = Session(plan, tell, ahead)
        self.recorder = Recorder(self.session, folder, tell)
        self.default = DefaultMicrophone(microphone) if microphone is not None else None
        self._feed = MicrophoneFeed(microphone, self.session, tell) if microphone is not None else None
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
        """Write the session's output to a file or a pipe."""
        self._to, self.output = to, Output(self.session, to, self._tell, self._stack)

    def step(self) -> bool:
        """Supervise everything once; False when the session is over or the reader of its pipe is gone.

        Raises
        ------
        DeviceError, ConfigError, ModelError, MissingExtraError
            If the session cannot start.
        AudioFileError
            If the output file cannot be written.
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
        """Why a played or written file is incomplete; empty if all are complete."""
        ends = [end.incomplete for end in (self.output, self.played) if end is not None]
        return next((why for why in ends if why), "")

    def close(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """End the session, then all its outputs; may be called twice.

        Parameters
        ----------
        hurried : callable
            Whether to drop samples that a pipe does not accept at once.
        """
        if self._feed is not None:
            self._feed.stop()
        if self.default is not None:
            self.default.close()
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
