"""A training run as it appears on the terminal."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rtdenoise.cli.messages import complain

if TYPE_CHECKING:
    from rich.console import Console

    from rtdenoise.lab.training.progress import Progress as RunProgress

_LINE_SECONDS = 30.0


class Watch:
    """Loss, speed and time left: a live line on a terminal, a line every half minute elsewhere.

    Parameters
    ----------
    console : Console
    name : str
        Of the network.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._last: RunProgress | None = None
        self._said = 0.0
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or console.quiet,
        )

    def update(self, at: RunProgress) -> None:
        """Show where the run stands."""
        first, self._last = self._last is None, at
        if not self._bar.disable:
            if first:
                self._bar.start()
                self._bar.add_task(self._name, total=at.steps, words="")
            self._bar.update(self._bar.task_ids[0], completed=at.step, words=progress_line(at))
        elif not self._console.quiet and (first or monotonic() - self._said >= _LINE_SECONDS):
            self._said = monotonic()
            complain(f"{self._name} {progress_line(at)}, {at.seconds_left / 60.0:.0f} min left", kind="note")

    def summary(self, reason: str) -> str:
        """Why the run ended, and what it reached in this session."""
        return f"{reason} after {progress_line(self._last)}" if self._last is not None else reason

    def hint(self, text: str) -> None:
        """Say what to do next, unless asked to be quiet."""
        if not self._console.quiet:
            complain(text, kind="note")

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def progress_line(at: RunProgress) -> str:
    """In words: step, loss, hours heard, speed."""
    return (
        f"step {at.step} of {at.steps}, loss {at.loss:.4f}, {at.audio_hours:.2f} h heard, "
        f"{at.audio_seconds_per_second:.0f} audio-seconds/s"
    )


def train_feature_network(
    values: dict[str, Any],
    *,
    data: Path | None,
    folder: Path | None,
    cache: Path | None,
    resume: bool,
    restart: bool,
    quiet: bool,
) -> int:
    """Train the classifier that a configuration describes; returns the exit code."""
    from rtdenoise.cli.console import stderr_console
    from rtdenoise.lab.classifier.session import train_classifier
    from rtdenoise.lab.classifier.settings import NAME, classifier_settings
    from rtdenoise.lab.training.progress import STOPPED
    from rtdenoise.lab.training.session import check_begin, default_cache

    settings = classifier_settings(values)
    place = folder or Path("runs") / NAME
    check_begin(place, resume=resume, restart=restart, start=None)
    with Watch(stderr_console(quiet=quiet), NAME) as watch:
        reason = train_classifier(
            settings, data=data, folder=place, cache=cache or default_cache(), resume=resume, observe=watch.update
        )
    click.echo(f"{place}: {watch.summary(reason)}")
    return 130 if reason == STOPPED else 0
