"""Denoise a folder tree in parallel; failures are reported and the other files still processed."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from rtdenoise.disk.names import is_folder, is_there, plain
from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files.naming import DENOISED, beside, refuse_address, require_different
from rtdenoise.files.report import FileReport
from rtdenoise.files.setup import Setup, Streams, load_setup
from rtdenoise.files.workers import AfterFile, Outcome, Task, run_here, run_in_processes
from rtdenoise.sound.encoding import AUDIO_SUFFIXES
from rtdenoise.sound.suffixes import (
    MEDIA_SUFFIXES,
    RAW_SUFFIXES,
    counts_as_audio,
    result_name,
    result_suffix,
    why_raw,
)

FolderProgress = Callable[[int, int], None]
"""Called with the number of files done and in total: first with 0, when the method is ready."""

_WORTH_PROCESSES_SECONDS = 3.0  # starting them takes one to two


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReport:
    """What was done to a folder.

    `failed` maps a path to its message, `skipped` had an output already, `left_out` maps what may be a recording, but
    cannot be read as one, to the reason.
    """

    source: str
    target: str
    files: tuple[FileReport, ...]
    failed: Mapping[str, str]
    skipped: tuple[str, ...]
    jobs: int
    elapsed_seconds: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Audio denoised, in seconds."""
        return sum(report.seconds for report in self.files)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = plain(
            {
                "source": self.source,
                "target": self.target,
                "seconds": round(self.seconds, 3),
                "elapsed_seconds": round(self.elapsed_seconds, 3),
                "jobs": self.jobs,
                "files": [report.as_dict() for report in self.files],
                "failed": dict(self.failed),
                "skipped": list(self.skipped),
                "left_out": dict(self.left_out),
            }
        )
        return values


def denoise_folder(
    source: str | Path,
    target: str | Path | None = None,
    *,
    method: str | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    jobs: int | None = None,
    progress: FolderProgress | None = None,
    after_file: AfterFile | None = None,
) -> FolderReport:
    """Denoise every audio file of a folder tree into another one of the same shape.

    Recordings are known by their names, and by their first bytes where a name says nothing.  Hidden files, and files
    and folders whose name ends with ``_denoised``, are left out.  A file that fails is reported and the rest goes on.
    A file whose output exists is skipped.

    Parameters
    ----------
    source : path
    target : path, optional
        ``IN_WF_denoised`` beside ``IN`` if there is none.
    method, preset, config, overrides
        As for `denoise_file`.
    overwrite : bool
        Redo files whose output exists.
    jobs : int, optional
        Processes; as many as there are cores if there is enough to do for them.
    progress : callable, optional
        See `FolderProgress`.
    after_file : callable, optional
        Called with each file's report, in the process that made it; must be importable there.

    Raises
    ------
    AudioFileError
        If the folder cannot be read or holds no audio.
    ConfigError
        As for `denoise_file`, and for a number of jobs below 1.
    """
    for name in (source, target or ""):
        refuse_address(name)
    setup = load_setup(method, preset, config, overrides)
    return run_folder(
        setup,
        Path(source),
        Path(target) if target else None,
        overwrite=overwrite,
        jobs=jobs,
        progress=progress,
        after_file=after_file,
    )


def run_folder(
    setup: Setup,
    source: Path,
    target: Path | None,
    *,
    overwrite: bool = False,
    jobs: int | None = None,
    progress: FolderProgress | None = None,
    after_file: AfterFile | None = None,
) -> FolderReport:
    """Like `denoise_folder`, with settings already loaded."""
    started = perf_counter()
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs} must be at least 1")
    target = target if target is not None else beside(source, setup.label)
    require_different(source, target)
    _refuse_target(source, target)
    left_out: dict[str, str] = {}
    tasks, skipped, outcomes = _plan(source, target, left_out, overwrite=overwrite)
    unreadable = len(outcomes)
    jobs_used = 1

    def begin() -> None:
        if progress is not None:
            progress(0, len(tasks))

    with closing(_run(setup, tasks, jobs, after_file, begin)) as running:
        for outcome in running:
            outcomes.append(outcome)
            jobs_used = max(jobs_used, outcome.jobs)
            if progress is not None:
                progress(len(outcomes) - unreadable, len(tasks))
    outcomes.sort(key=lambda outcome: outcome.task.source)
    return FolderReport(
        source=str(source),
        target=str(target),
        files=tuple(outcome.report for outcome in outcomes if outcome.report is not None),
        failed={str(outcome.task.source): outcome.error for outcome in outcomes if outcome.report is None},
        skipped=tuple(skipped),
        jobs=jobs_used,
        elapsed_seconds=perf_counter() - started,
        left_out=left_out,
    )


def _run(
    setup: Setup, tasks: list[Task], jobs: int | None, after_file: AfterFile | None, begin: Callable[[], None]
) -> Generator[Outcome, None, None]:
    """The first file here, which also compiles what is missing and shows how long the others will take."""
    streams = Streams(setup)
    first, rest = tasks[:1], tasks[1:]
    if first:
        yield run_here(streams, first[0], after_file, begin)  # compiles, and warms the cache that processes load
        if rest and jobs is None:
            started = perf_counter()
            yield run_here(streams, rest[0], after_file)
            pace = (perf_counter() - started) / max(1, rest[0].size)
            rest = rest[1:]
            worth = pace * sum(task.size for task in rest) > _WORTH_PROCESSES_SECONDS
            jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            jobs = jobs if worth else 1
    jobs = min(jobs or 1, len(rest))
    if jobs > 1:
        yield from run_in_processes(setup, rest, jobs, after_file)
    else:
        yield from (run_here(streams, task, after_file) for task in rest)


def _refuse_target(source: Path, target: Path) -> None:
    """Raise if the results cannot go there, or would be denoised again by the next run."""
    if is_there(target) and not is_folder(target):
        raise AudioFileError(f"{target}: is a file; a folder in gives a folder out")
    if target.is_symlink() and not is_there(target):
        raise AudioFileError(f"{target}: is a link to {os.path.realpath(target)}, which is not there; make it first")
    inside, outside = Path(os.path.realpath(target)), Path(os.path.realpath(source))
    if inside.is_relative_to(outside) and not any(_is_ours(name) for name in inside.relative_to(outside).parts):
        raise AudioFileError(
            f"{target}: lies inside the source, whose next run would denoise it again: "
            f"name a folder beside it, or one that ends with {DENOISED}"
        )


def _plan(
    source: Path, target: Path, left_out: dict[str, str], *, overwrite: bool
) -> tuple[list[Task], list[str], list[Outcome]]:
    """What there is to do, what is done already, and what cannot be; what is left out is noted with its reason."""
    if not is_folder(source):
        raise AudioFileError(f"{source}: no such folder")
    unreadable: list[OSError] = []
    found = list(_audio_files(source, target, left_out, unreadable.append))
    if unreadable and Path(unreadable[0].filename) == source:
        raise AudioFileError(f"{source}: cannot be read: {unreadable[0].strerror}")
    if not found and not unreadable:
        others = f"; left out: {'; '.join(left_out.values())}" if left_out else ""
        raise AudioFileError(f"{source}: {_why_nothing(source)}{others}")
    tasks, skipped = [], []
    failed = [_unreadable(error, target) for error in unreadable]
    taken: dict[Path, Path] = {}
    for path in found:
        out = _result(path, target / path.relative_to(source))
        if out in taken:
            left_out[str(path)] = f"{path}: its result would have the name of that of {taken[out].name}: rename one"
            continue
        taken[out] = path
        if is_there(out) and not overwrite:
            skipped.append(str(path))
        else:
            tasks.append(Task(path, out, _size(path), overwrite))
    return tasks, skipped, failed


def _unreadable(error: OSError, target: Path) -> Outcome:
    """Report a subfolder that cannot be listed as a failed file."""
    folder = Path(error.filename)
    return Outcome(Task(folder, target, 0, overwrite=False), None, f"{folder}: cannot be read: {error.strerror}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link that leads nowhere; reading it will say so
        return 0


def _why_nothing(source: Path) -> str:
    results = f"holds only results of earlier runs (names that end with {DENOISED}); give the folder of the recordings"
    for _folder, folders, names in os.walk(source):
        if any(_is_ours(name) and not name.startswith(".") for name in (*folders, *names)):
            return results
    return f"holds no audio ({' '.join(sorted(AUDIO_SUFFIXES | MEDIA_SUFFIXES))})"


def _is_ours(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or our own output."""
    return name.startswith(".") or Path(name).stem.endswith(DENOISED)


def _result(path: Path, out: Path) -> Path:
    """The same name, with another suffix where the source's own says nothing or cannot be written."""
    suffix = result_suffix(path)
    return out if suffix == path.suffix else out.with_name(result_name(path, ""))


def _audio_files(
    source: Path, target: Path, left_out: dict[str, str], unreadable: Callable[[OSError], None]
) -> Iterator[Path]:
    """Audio in the tree, sorted; without hidden names, our own outputs and the target, which may lie inside.

    Names that say nothing are looked into.
    """

    def wanted(name: str) -> bool:
        return not _is_ours(name)

    inside = os.path.realpath(target)
    for folder, folders, names in os.walk(source, onerror=unreadable):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if wanted(name) and os.path.realpath(here / name) != inside)
        for name in sorted(names):
            if wanted(name) and counts_as_audio(here / name):
                yield here / name
            elif wanted(name) and Path(name).suffix.lower() in RAW_SUFFIXES:
                left_out[str(here / name)] = why_raw(here / name)
