"""Denoise the files of a folder, sequentially or in several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rtdenoise.child.endings import follow_parent, spawning
from rtdenoise.disk.atomic import remove_living
from rtdenoise.errors import AudioFileError, RtDenoiseError, reason
from rtdenoise.files.report import FileReport
from rtdenoise.files.setup import Setup, Streams
from rtdenoise.files.single import run_file

AfterFile = Callable[[FileReport], Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One file of a folder; `size` in bytes."""

    source: Path
    target: Path
    size: int
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A report, or None and the message of the error."""

    task: Task
    report: FileReport | None
    error: str
    jobs: int = 1


class _StoppedError(RtDenoiseError):
    """The parent has asked the worker to stop."""


def run_here(
    streams: Streams, task: Task, after_file: AfterFile | None, begin: Callable[[], None] = lambda: None
) -> Outcome:
    """Denoise one file in this process; an error becomes part of the outcome.

    Parameters
    ----------
    streams : Streams
    task : Task
    after_file : callable or None
    begin : callable
        Called once, when the method is built and samples begin to flow.
    """
    waiting = [begin]
    try:
        report = _run(streams, task, after_file, lambda: waiting.pop()() if waiting else None)
    except (RtDenoiseError, OSError) as error:
        return Outcome(task, None, _message(task, error))
    return Outcome(task, report, "")


def _message(task: Task, error: RtDenoiseError | OSError) -> str:
    """Return the error's message, prefixed with a file name."""
    named = isinstance(error, RtDenoiseError) or error.filename
    return reason(error) if named else f"{task.source}: {reason(error)}"


def _run(streams: Streams, task: Task, after_file: AfterFile | None, check: Callable[[], None]) -> FileReport:
    try:
        task.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioFileError(f"{task.target.parent}: cannot be made: {error.strerror}") from error
    report = run_file(
        streams, task.source, task.target, overwrite=task.overwrite, progress=lambda _done, _total: check()
    )
    if after_file is not None:
        after_file(report)
    return report


def run_in_processes(setup: Setup, tasks: list[Task], jobs: int, after_file: AfterFile | None) -> Iterator[Outcome]:
    """Denoise many files in new processes; closing the iterator stops them within a block of audio.

    Yields
    ------
    Outcome
        As they come.
    """
    context = get_context("spawn")
    with spawning():  # also starts the process that keeps count of semaphores
        stop = context.Event()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(setup, stop, after_file))
    try:
        largest_first = sorted(tasks, key=lambda task: -task.size)
        with spawning():
            futures = {pool.submit(_work, task): task for task in largest_first}
        for future in as_completed(futures):
            yield _outcome(future, futures[future], jobs)
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future[Outcome], task: Task, jobs: int) -> Outcome:
    try:
        outcome = future.result()
    except BrokenProcessPool:
        return Outcome(task, None, f"{task.source}: the process that worked on it, or on another file, died", jobs)
    return Outcome(task, outcome.report, outcome.error, jobs)


_worker: dict[str, Any] = {}


def _begin(setup: Setup, stop: Any, after_file: AfterFile | None) -> None:
    """Prepare a worker: only the parent handles signals, and the worker dies with it."""
    follow_parent(remove_living)
    _worker.update(streams=Streams(setup), stop=stop, after_file=after_file)


def _work(task: Task) -> Outcome:
    def check() -> None:
        if _worker["stop"].is_set():
            raise _StoppedError(f"{task.source}: stopped")

    try:
        report = _run(_worker["streams"], task, _worker["after_file"], check)
    except (RtDenoiseError, OSError) as error:
        return Outcome(task, None, _message(task, error))
    return Outcome(task, report, "")
