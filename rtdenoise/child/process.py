"""A child process with pipes: orders in, events out, last stderr lines kept, and always killable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from queue import Empty, Queue
from typing import Any

from rtdenoise.child.lines import decode, encode

_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGILL, signal.SIGFPE)
_FLOOD_BYTES = 4 << 20  # a dead server makes PortAudio write endlessly
_KEPT_LINES = 30


class Child:
    """``python -m module``, started now.

    Parameters
    ----------
    module : str
    fds : tuple of int
        Open file descriptors to inherit.
    name : str
        For messages.
    """

    def __init__(self, module: str, fds: tuple[int, ...], name: str) -> None:
        self.name = name
        self.words: deque[str] = deque(maxlen=_KEPT_LINES)
        self.flooding = False
        self._events: Queue[Any] = Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=() if sys.platform == "win32" else tuple(fd for fd in fds if fd >= 0),
            start_new_session=True,  # the terminal's Ctrl-C is for the session, which ends its children in order
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for work in (self._read_events, self._read_words):
            threading.Thread(target=work, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def crash(self) -> str:
        """Why it ended, with a remedy, if a library crashed it (an assertion, a bad pointer); else empty."""
        from rtdenoise.child.questions import silent_end

        code = self._process.poll()
        return silent_end(code) if code is not None and -code in _CRASHES else ""

    def order(self, order: Any) -> None:
        """Send an order, a message of `child.lines`; ignored if the process is gone."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(encode(order))
            self._process.stdin.flush()

    def event(self, timeout_seconds: float = 0.0) -> Any:
        """The next event, or None after the timeout."""
        try:
            return self._events.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._events.get_nowait()
        except Empty:
            return None

    def wait(self, seconds: float) -> bool:
        """Wait that long for it to end by itself; return whether it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.alive

    def end(self, patience_seconds: float = 0.0) -> None:
        """Wait that long for it to end by itself, then kill it."""
        if not self.wait(patience_seconds):
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.close()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError):
                    self._events.put(decode(line))

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        total = 0
        with self._process.stderr as stream:
            while data := stream.read1(65536):  # type: ignore[attr-defined]  # Popen's pipes are buffered readers
                total += len(data)
                self.flooding = total > _FLOOD_BYTES
                self.words.extend(data[-4096:].decode(errors="replace").splitlines())
                if self.flooding:
                    self._process.kill()
                    return
