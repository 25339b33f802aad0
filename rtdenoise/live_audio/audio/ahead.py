"""The audio process of a session, started before the session's plan is known: both programs import meanwhile."""

from __future__ import annotations

import os

from rtdenoise.child.process import Child
from rtdenoise.child.unnamed import UnnamedFile
from rtdenoise.live_audio.messages import Leave

_LEAVE_SECONDS = 3.0


class Ahead:
    """An audio process that waits for its plan, and what it inherits.

    Attributes
    ----------
    file : UnnamedFile
        For the region of the session.
    wake_fd : int
        An eventfd that wakes the engine; -1 where there are none.
    """

    def __init__(self) -> None:
        self.file = UnnamedFile()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if hasattr(os, "eventfd") else -1
        self._process: Child | None = audio_process(self.file.fd, self.wake_fd)

    def take(self) -> Child:
        """The process, whose end is the caller's matter from now on, as is that of the file and of `wake_fd`."""
        assert self._process is not None
        process, self._process = self._process, None
        return process

    def close(self) -> None:
        """End the process and close what it inherited, if nobody took it."""
        if self._process is not None:
            self._process.order(Leave())  # in order, as it may be talking with the sound server
            self._process.end(_LEAVE_SECONDS)
            self.file.close()
            if self.wake_fd >= 0:
                os.close(self.wake_fd)
            self._process = None


def audio_process(region_fd: int, wake_fd: int) -> Child:
    """A new process that opens devices when it gets the order to."""
    return Child("rtdenoise.live_audio.audio.begin", (region_fd, wake_fd), "audio")
