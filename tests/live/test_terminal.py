"""A session at a terminal: stopped by Ctrl-Z and continued it has its keys again."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import termios
import threading
import time
from contextlib import contextmanager

from tests.live.test_faults import LIVE, _own_terminal
from tests.virtual_card.card import VirtualCard


class Screen:
    """Reads what is drawn, so that the terminal does not fill."""

    def __init__(self, leader: int) -> None:
        self.text = b""
        self._leader, self._end = leader, threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._end.is_set():
            if select.select([self._leader], [], [], 0.05)[0]:
                try:
                    self.text += os.read(self._leader, 65536)
                except OSError:
                    return

    def wait_for(self, words: bytes) -> None:
        limit = time.monotonic() + 60.0
        while words not in self.text:
            assert time.monotonic() < limit, self.text[-2000:]
            time.sleep(0.01)

    def close(self) -> None:
        self._end.set()
        self._thread.join(5)


@contextmanager
def at_a_terminal(*arguments: str):
    """The process, its terminal, and what it draws."""
    leader, follower = pty.openpty()
    command = [*LIVE, "--method", "bypass", *arguments]
    ends = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = subprocess.Popen(command, start_new_session=True, preexec_fn=_own_terminal, **ends)  # noqa: PLW1509
    screen = Screen(leader)
    try:
        yield process, follower, screen
    finally:
        process.kill()
        process.wait()
        screen.close()
        os.close(leader)
        os.close(follower)


def is_immediate(terminal: int) -> bool:
    """Whether a key arrives without the return key."""
    return not termios.tcgetattr(terminal)[3] & termios.ICANON


def test_after_ctrl_z_and_fg_keys_are_taken_at_once(server_of):
    """A shell sets the terminal as it likes while the job is stopped."""
    server = server_of(synchronous=False, realtime=False)
    with VirtualCard(server.name), at_a_terminal() as (process, terminal, screen):
        cooked = termios.tcgetattr(terminal)
        cooked[3] |= termios.ICANON | termios.ECHO
        screen.wait_for(b"running")
        assert is_immediate(terminal)
        os.kill(process.pid, signal.SIGSTOP)
        termios.tcsetattr(terminal, termios.TCSANOW, cooked)
        os.kill(process.pid, signal.SIGCONT)
        limit = time.monotonic() + 20.0
        while not is_immediate(terminal) and time.monotonic() < limit:
            time.sleep(0.01)
        os.write(screen._leader, b"m")
        screen.wait_for(b"marked ")
        os.write(screen._leader, b"q")
        assert process.wait(20) == 0
