"""Handle every termination signal, so that all of them lead to the same clean exit."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = (
    "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK",
    "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPOLL", "SIGPWR", "SIGXCPU",
)  # fmt: skip
ENDING_SIGNALS = tuple(dict.fromkeys(getattr(signal, name) for name in _NAMES if hasattr(signal, name)))
"""Every signal that ends a process by default, except those that mean a crash or cannot be caught."""


def end_in_order() -> None:
    """Let every ending signal but Ctrl-C, which is Python's own, raise ``SystemExit`` with the shell's exit code.

    Signals that the caller ignored (``nohup``, a shell's background job) stay ignored.  The second
    SIGQUIT ends the process at once, whatever it is doing.
    """
    for number in ENDING_SIGNALS:
        if number == signal.SIGINT or (number != signal.SIGTERM and signal.getsignal(number) != signal.SIG_DFL):
            continue
        signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    if number == getattr(signal, "SIGQUIT", None):
        signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


@contextmanager
def spawning() -> Iterator[None]:
    """Block termination signals in processes started inside until `follow_parent`; ours are delivered afterwards.

    A terminal signals Ctrl-C and hang-up to all processes of a command; ending them is the parent's job.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
    elif sys.platform == "win32":
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
    else:
        previous_mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous_mask)


def follow_parent(before_end: Callable[[], object], *, hears_sigterm: bool = False, stop: Any = None) -> None:
    """In a worker of `multiprocessing`: leave signals to the parent, and end when it ends, for whatever reason.

    Parameters
    ----------
    before_end : callable
        Called before the process ends because the parent is gone or SIGTERM came.
    hears_sigterm : bool
        Also end on SIGTERM, with which a pool ends its workers after one has crashed.
    stop : multiprocessing.Event, optional
        End when it is set, even in the middle of work: for code that cannot poll it.
    """

    def end(*_: Any) -> None:
        before_end()
        os._exit(1)

    for number in ENDING_SIGNALS:
        signal.signal(number, end if hears_sigterm and number == signal.SIGTERM else signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    threading.Thread(target=_wait_for_parent, args=(end,), daemon=True).start()
    if stop is not None:
        threading.Thread(target=_wait_for_event, args=(stop, end), daemon=True).start()


def _wait_for_parent(end: Callable[[], object]) -> None:
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        end()


def _wait_for_event(stop: Any, end: Callable[[], object]) -> None:
    stop.wait()
    end()


def end_with_pipe(descriptor: int, before_end: Callable[[], object] = lambda: None) -> None:
    """End this process when the parent, sole holder of the pipe's other end, closes it."""

    def watch() -> None:
        try:
            while os.read(descriptor, 4096):
                pass
        except OSError:
            pass  # an unreadable pipe means the same as a closed one
        before_end()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
