"""Run a batch: plan it, distribute its files and summarise the results."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from rtdenoise.batch.cluster import connect
from rtdenoise.batch.places import Place
from rtdenoise.batch.summary import check_summary, write_summary
from rtdenoise.batch.task import DONE, FAILED, SKIPPED, Task, digest_of, is_done, record_of, run_task
from rtdenoise.disk.names import plain
from rtdenoise.errors import ConfigError, reason
from rtdenoise.files.setup import Setup

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to do.

    `source`, `target`: folders, or addresses that fsspec knows.  `jobs`: local processes; None uses all cores.
    `scheduler`: address of a Dask cluster to use instead.  `retries`: how often to retry after a storage error.
    `summary`: a file ending in .parquet or .csv.
    """

    source: str
    target: str
    setup: Setup
    jobs: int | None = None
    scheduler: str | None = None
    retries: int = 2
    overwrite: bool = False
    summary: Path | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ConfigError(f"retries={self.retries} must not be negative")
        if self.source.rstrip("/") == self.target.rstrip("/"):
            raise ConfigError(f"{self.target}: source and target are the same; a batch never replaces its source")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """One row per file, sorted by name, and the time taken.

    `left_out` maps possible recordings that cannot be read as audio to the reason.
    """

    rows: tuple[dict[str, Any], ...]
    elapsed_seconds: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    def count(self, status: str) -> int:
        """Number of rows with that status."""
        return sum(row["status"] == status for row in self.rows)

    @property
    def seconds(self) -> float:
        """Seconds of audio denoised in this run."""
        return sum(float(row.get("seconds", 0.0)) for row in self.rows if row["status"] == DONE)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = {
            **{status: self.count(status) for status in (DONE, SKIPPED, FAILED)},
            "seconds": round(self.seconds, 3),
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "left_out": plain(dict(self.left_out)),
            "files": plain(list(self.rows)),
        }
        return values


def batch(request: Request, progress: Progress | None = None) -> BatchReport:
    """Denoise every audio file below the source into the same tree below the target.

    Files appear complete or not at all.  When run again, a batch skips finished files: made from the same source with
    the same settings, still present and complete.  A file that fails has its error in its row; the others still run.

    Raises
    ------
    ConfigError, AudioFileError, MissingExtraError
        If nothing can be done: a bad address, no audio, no scheduler, a missing package.
    """
    started = perf_counter()
    if request.summary is not None:
        check_summary(request.summary)
    source, target = Place(request.source), Place(request.target)
    left_out: dict[str, str] = {}
    tasks, rows = _plan(request, source, target, left_out)
    tell = progress or (lambda _done, _total: None)
    tell(0, len(tasks))
    if tasks:
        try:
            with connect(request.scheduler, request.jobs) as client:
                for row in _run(client, tasks, request.retries):
                    rows.append(row)
                    tell(len(rows) - _skipped(rows), len(tasks))
        finally:  # also for workers stopped in the middle of a file
            target.remove_parts(tasks[0].tag)
    rows.sort(key=lambda row: str(row["name"]))
    report = BatchReport(rows=tuple(rows), elapsed_seconds=perf_counter() - started, left_out=left_out)
    if request.summary is not None:
        write_summary(report.rows, request.summary)
    return report


def _skipped(rows: Sequence[dict[str, Any]]) -> int:
    return sum(row["status"] == SKIPPED for row in rows)


def _plan(
    request: Request, source: Place, target: Place, left_out: dict[str, str]
) -> tuple[list[Task], list[dict[str, Any]]]:
    """Remaining tasks, largest first, and rows of finished ones; what is left out goes into `left_out`."""
    stamp = digest_of(request.setup)
    if target.is_local and Path(target.root).exists() and not Path(target.root).is_dir():
        raise ConfigError(f"{request.target}: is a file; a batch writes into a folder")
    if target.is_inside(source):
        raise ConfigError(f"{request.target}: lies inside the source; choose a folder beside it")
    address = {
        place: place.root if place.is_local else wanted
        for place, wanted in ((source, request.source), (target, request.target))
    }
    tag = hashlib.sha256(os.fsencode(f"{request.source}\n{request.target}")).hexdigest()[:12]
    tasks: list[Task] = []
    rows: list[dict[str, Any]] = []
    for found in source.audio(left_out):
        task = Task(found, address[source], address[target], request.setup, stamp, request.overwrite, tag)
        if is_done(task, target):
            rows.append({**record_of(target, found.name), "status": SKIPPED})
        else:
            tasks.append(task)
    return sorted(tasks, key=lambda task: -task.found.size), rows


def _run(client: Any, tasks: Sequence[Task], retries: int) -> Iterator[dict[str, Any]]:
    """Rows as they complete; a file whose workers keep dying counts as failed."""
    from distributed import as_completed

    futures = {client.submit(run_task, task, pure=False, retries=retries): task for task in tasks}
    for future in as_completed(list(futures)):
        task = futures[future]
        try:
            yield future.result()
        except Exception as error:  # noqa: BLE001  # a worker's error concerns this file alone
            why = reason(error)
            _log.info("%s: %s", task.found.name, why)
            yield {"name": task.found.name, "status": FAILED, "error": why}
        future.release()
