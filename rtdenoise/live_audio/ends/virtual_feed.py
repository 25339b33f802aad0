"""Keep what a session plays in its virtual microphone, from a thread: a sound server may take seconds to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.session import Session

_LOOK_SECONDS = 0.2  # until the sound arrives
_WATCH_SECONDS = 3.0  # and from then on
_STEP_SECONDS = 0.05
_STOP_SECONDS = 0.1  # a server that hangs must not keep the end


class MicrophoneFeed:
    """Leads the audio process's stream into the microphone, again whenever it is elsewhere; silent meanwhile.

    Parameters
    ----------
    microphone : VirtualMicrophone
    session : Session
    tell : callable
        Takes a line for the user.
    """

    def __init__(self, microphone: VirtualMicrophone, session: Session, tell: Callable[[str], None]) -> None:
        self._microphone, self._session, self._tell = microphone, session, tell
        self._fed, self._told, self._began = 0, "", False
        session.set_parameter("loudness", 0.0 if microphone.moves else 1.0)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more looks; one that hangs in the server is left alone."""
        self._end.set()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        waited = 0.0
        while not self._end.wait(_STEP_SECONDS):
            waited += _STEP_SECONDS
            process = self._session.audio_process
            replaced = self._fed and process != self._fed and self._microphone.moves
            if replaced:
                self._lead(0)
            self._began = self._began or self._session.state == "running"
            if self._began and (replaced or waited >= (_WATCH_SECONDS if self._fed else _LOOK_SECONDS)):
                waited = 0.0
                self._look(process)

    def _look(self, process: int) -> None:
        try:
            if not process:
                self._microphone.restore()
            else:
                self._lead(process if self._microphone.attach(process) else 0)
        except RtDenoiseError as error:
            if process and str(error) != self._told:
                self._told = str(error)
                self._tell(self._told)

    def _lead(self, process: int) -> None:
        """That this process (0: none) is heard in the microphone."""
        if process != self._fed:
            self._fed = process
            self._session.set_parameter("loudness", 1.0 if process else 0.0)
