"""One file of a batch, run in any process or on any machine; its record is written once the output is complete."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rtdenoise.batch.places import LEDGER, Found, Place
from rtdenoise.errors import RtDenoiseError
from rtdenoise.files.setup import Setup, Streams
from rtdenoise.files.single import run_file

DONE, FAILED, SKIPPED = "done", "failed", "skipped"

_local = threading.local()  # a cluster worker may run tasks in several threads


@dataclass(frozen=True, slots=True)
class Task:
    """One file: name, source, target and settings (`setup_digest` identifies the settings in records).

    `tag` is the same for all files of a batch, also when the batch is resumed.
    """

    found: Found
    source: str
    target: str
    setup: Setup
    setup_digest: str
    overwrite: bool
    tag: str


def digest_of(setup: Setup) -> str:
    """Fingerprint of the settings."""
    return hashlib.sha256(json.dumps(asdict(setup), sort_keys=True, default=str).encode()).hexdigest()[:16]


def ledger_name(name: str) -> str:
    """Path of a file's record, relative to the target."""
    return f"{LEDGER}/{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"


def record_of(target: Place, name: str) -> dict[str, Any]:
    """The target's record of a file; empty if it was never started."""
    try:
        found = json.loads(target.read_text(ledger_name(name)) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_done(task: Task, target: Place) -> bool:
    """Whether the output was made from this source with these settings, and exists complete."""
    record = record_of(target, task.found.name)
    same = record.get("stamp") == task.found.stamp and record.get("setup") == task.setup_digest
    return record.get("status") == DONE and same and target.size(task.found.name) == record.get("target_size")


def run_task(task: Task) -> dict[str, Any]:
    """Denoise one file; a file that cannot be denoised gives a row with its error, a storage error is raised.

    Raised errors are retried; a file that is not audio would fail again.
    """
    target = Place(task.target)
    if is_done(task, target):
        return {**record_of(target, task.found.name), "status": SKIPPED}
    row = {"name": task.found.name, "stamp": task.found.stamp, "setup": task.setup_digest}
    if target.size(task.found.name) is not None and not task.overwrite and not record_of(target, task.found.name):
        return {**row, "status": FAILED, "error": "the target exists and is not from a batch; --overwrite replaces it"}
    begun = {**row, "status": "begun"}
    target.write_bytes(ledger_name(task.found.name), json.dumps(begun).encode(), task.tag)
    with tempfile.TemporaryDirectory(prefix="rtdenoise-") as folder:
        out = Path(folder) / f"target{PurePosixPath(task.found.name).suffix}"
        source = Place(task.source).fetch(task.found.name, Path(folder))
        try:
            report = run_file(_streams(task), source, out)
        except RtDenoiseError as error:
            message = str(error).replace(str(source), task.found.name).replace(str(out), task.found.name)
            return {**row, "status": FAILED, "error": " ".join(message.split())}
        content = out.read_bytes()
        row |= report.as_dict() | {
            "source": f"{task.source.rstrip('/')}/{task.found.name}",
            "target": f"{task.target.rstrip('/')}/{task.found.name}",
            "status": DONE,
            "error": "",
            "target_size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        target.put(out, task.found.name, task.tag)
    target.write_bytes(ledger_name(task.found.name), json.dumps(row).encode(), task.tag)
    return row


def _streams(task: Task) -> Streams:
    """The streams of this thread, built once and reused for all files."""
    kept: dict[str, Streams] = _local.__dict__.setdefault("streams", {})
    if task.setup_digest not in kept:
        kept.clear()
        kept[task.setup_digest] = Streams(task.setup)
    return kept[task.setup_digest]
