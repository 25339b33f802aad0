"""Progress display for slow operations on the terminal; never on standard output."""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from rtdenoise.cache import entries
from rtdenoise.cli.messages import complain

_PATIENCE_SECONDS = 0.7
_LOADING_PATIENCES = 6  # loading is slow on few machines, and compiling may follow


class _Console(Console):
    """A console that leaves a closed pipe to `rtdenoise.cli.entry`, as all other output does."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls this while it handles the BrokenPipeError


def stdout_console() -> Console:
    """A console on stdout, for tables."""
    return _Console(highlight=False)


def stderr_console(*, quiet: bool) -> Console:
    """A console on stderr."""
    return _Console(stderr=True, quiet=quiet, highlight=False)


class Preparing:
    """Reports that the method is being prepared, if that takes noticeably long.

    One line, and on a terminal a bar that moves; nothing for the identity, which needs no preparation.  Compiling is
    named only where something was not found in the cache.
    """

    def __init__(self, console: Console, method: str) -> None:
        self._console = console
        self._method = method
        self._progress: Progress | None = None
        self._finished = threading.Event()
        if method == "bypass" or console.quiet:
            self._finished.set()
        self._lock = threading.Lock()
        self._watch = threading.Thread(target=self._announce, daemon=True)

    def _announce(self) -> None:
        for _ in range(_LOADING_PATIENCES):
            if self._finished.wait(_PATIENCE_SECONDS):
                return
            if entries.missed():
                break
        with self._lock:
            if self._finished.is_set():
                return
            complain(f"preparing {self._method}: {_why_it_takes_long()}", kind="note")
            if self._console.is_terminal:
                self._progress = Progress(BarColumn(), TimeElapsedColumn(), console=self._console, transient=True)
                self._progress.add_task("", total=None)
                self._progress.start()

    def done(self) -> None:
        """It is prepared."""
        with self._lock:
            self._finished.set()
            if self._progress is not None:
                self._progress.stop()
                self._progress = None

    def __enter__(self) -> Preparing:
        self._watch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.done()


def _why_it_takes_long() -> str:
    if not entries.missed():
        return "loading it"
    if entries.writable() is not None:
        return "the first use after an installation compiles it for this machine"
    return "compiling it for this machine"  # a warning follows that names the remedy


class Bar:
    """A progress bar on a terminal, once the work has taken a moment; elsewhere nothing."""

    def __init__(self, console: Console, text: str) -> None:
        self._console = console
        self._text = text
        self._started = monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def update(self, done: float, total: float) -> None:
        """Show `done` of `total`."""
        waited = monotonic() - self._started
        if self._progress is None:
            if not self._console.is_terminal or self._console.quiet or waited < _PATIENCE_SECONDS:
                return
            columns: tuple[Any, ...] = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=self._console, transient=True)
            self._progress.start()
            self._task = self._progress.add_task(self._text)
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._progress is not None:
            self._progress.stop()
