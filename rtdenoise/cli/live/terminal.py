"""The controlling terminal: foreground check and key input."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType


def in_foreground() -> bool:
    """Whether the terminal is ours: a job in the background is stopped when it touches it."""
    if not hasattr(os, "tcgetpgrp"):
        return True
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def on_continue(act: Callable[[], object]) -> Callable[[], None]:
    """Do it again after Ctrl-Z and fg, when the shell has set the terminal as it likes; what is returned undoes it."""
    if not hasattr(signal, "SIGCONT"):
        return lambda: None

    def again(_number: int, _frame: FrameType | None) -> None:
        if in_foreground():
            act()

    former = signal.signal(signal.SIGCONT, again)

    def undo() -> None:
        signal.signal(signal.SIGCONT, former)

    return undo


def keys_at_once() -> Callable[[], None]:
    """Let keys arrive without the return key; what is returned undoes it."""
    try:
        import termios
        import tty
    except ImportError:
        return lambda: None
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor)
    except (termios.error, OSError, ValueError):
        return lambda: None

    def restore() -> None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    return restore


def pressed_key() -> str | None:
    """A key that was pressed, or None."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch() if msvcrt.kbhit() else None
    with suppress(OSError, ValueError):
        if select.select([sys.stdin], [], [], 0.0)[0]:
            pressed = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
            return pressed or None
    return None
