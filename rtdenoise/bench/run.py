"""Run a benchmark: each case in its own process, one after the other, collected into a record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtdenoise.bench.cases import NATIVE, RATE_HZ, Case, all_cases, named_cases, quick_cases
from rtdenoise.bench.verdict import judge, smallest
from rtdenoise.child.endings import spawning
from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.machine import origin

SCHEMA = "rtdenoise.bench/1"
Progress = Callable[[int, int], None]

_QUICK_SECONDS, _FULL_SECONDS = 0.8, 10.0
_TIMEOUT_SECONDS = 300.0
_SUSPICIOUS_START_SECONDS = 3.0  # probably compiled for the first time: measured again
_BUSY = """
import os, threading
def watch():
    while os.read(0, 1):
        pass
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
while True:
    pass
"""  # standard input is a pipe held by the parent: when it closes, the load exits


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure; `names` empty: everything, or with `quick` the usual choices."""

    names: tuple[str, ...] = ()
    rate_hz: int = RATE_HZ
    quick: bool = False
    loaded: bool = False
    seconds: float | None = None
    gpu: bool = True

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0.1 <= self.seconds <= 3600.0:
            raise ConfigError(f"seconds={self.seconds} must be from 0.1 to 3600")

    @property
    def paced_seconds(self) -> float:
        """Duration of each paced run."""
        return self.seconds if self.seconds is not None else _QUICK_SECONDS if self.quick else _FULL_SECONDS

    def cases(self) -> list[Case]:
        """The cases to measure."""
        if self.names:
            return named_cases(self.names, self.rate_hz)
        return quick_cases(self.rate_hz) if self.quick else all_cases(self.rate_hz)


def bench(request: Request, progress: Progress | None = None) -> dict[str, Any]:
    """Measure and return the record (documented in docs/benchmarks.md).

    A case that fails has an ``error`` instead of figures; the others still run.

    Raises
    ------
    ConfigError
        If a name matches nothing.
    """
    cases = request.cases()
    tell = progress or (lambda _done, _total: None)
    rows = []
    tell(0, len(cases))
    for index, case in enumerate(cases):
        with busy_cores(0 if not request.loaded else 1 if case.engine == NATIVE else 2):
            rows.append(_row(case, request))
        tell(index + 1, len(cases))
    gpu = _gpu(request) if request.gpu and not request.names and not request.quick else _no_gpu_asked()
    return {
        "schema": SCHEMA,
        **origin(),
        "settings": {
            "quick": request.quick,
            "loaded": request.loaded,
            "paced_seconds": request.paced_seconds,
            "rate_hz": request.rate_hz,
        },
        "rows": rows,
        "smallest": smallest(rows),
        "gpu": gpu,
    }


def _no_gpu_asked() -> dict[str, Any]:
    return {"rows": [], "why_none": "not part of this run: the full bench looks for one"}


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep `count` cores busy with Python processes that never sleep."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            with spawning():
                processes.append(subprocess.Popen([sys.executable, "-c", _BUSY], stdin=subprocess.PIPE))
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _row(case: Case, request: Request) -> dict[str, Any]:
    job = {"kind": "case", "case": case.as_dict(), "seconds": request.paced_seconds, "loaded": request.loaded}
    row = run_worker(job)
    if "error" not in row and row["startup_seconds"] > _SUSPICIOUS_START_SECONDS:
        again = run_worker({**job, "kind": "startup"})
        row["startup_seconds"] = again.get("startup_seconds", row["startup_seconds"])
    return {**case.as_dict(), **row, **judge(row)}


def run_worker(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a job in a new process and return its result, or its error."""
    environment = os.environ | {"NUMBA_NRT_STATS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "rtdenoise.bench.worker", json.dumps({**job, "born": time.time()})]
    limit = _TIMEOUT_SECONDS + 3.0 * float(job["seconds"])
    read, write = os.pipe()  # the worker exits at end of file, when this process is gone
    try:
        done = subprocess.run(
            command, stdin=read, capture_output=True, text=True, env=environment, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {limit:.0f} s"}
    finally:
        os.close(read)
        os.close(write)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with code {done.returncode}"]
        return {"error": last[0]}
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _gpu(request: Request) -> dict[str, Any]:
    """GPU rows for every shipped model, or the reason there are none."""
    from rtdenoise.bench.many import BATCHES
    from rtdenoise.methods.can.models import model_names

    reason = run_worker({"kind": "gpu", "seconds": 0.0}).get("error", "")
    if reason:
        return {"rows": [], "why_none": reason}
    job = {"kind": "many", "batches": BATCHES, "device": "gpu", "seconds": 3.0 * request.paced_seconds}
    return {"rows": [{"model": m, **run_worker({**job, "model": m})} for m in model_names()], "why_none": ""}
