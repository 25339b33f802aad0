"""Batches: a real cluster of processes, a worker that is killed, and going on after everything that can happen."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.batch import Request, batch
from rtdenoise.batch.places import Place
from rtdenoise.batch.task import Task, digest_of, run_task
from rtdenoise.errors import AudioFileError, ConfigError, MissingExtraError
from tests.batch.conftest import make_archive, outputs
from tests.cli.conftest import call

__all__ = ["call"]

pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # what Dask and its event loop warn about when processes die is theirs


def children_of(parent: int) -> list[int]:
    """Processes below a process, at any depth."""
    table: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        table.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found, new = [], [parent]
    while new:
        new = [child for process in new for child in table.get(process, [])]
        found += new
    return found


def test_tree_is_mirrored_whole_and_summed_up(archive, setup, tmp_path):
    raw, names = archive
    (raw / "notes.txt").write_text("no audio")
    (raw / ".hidden.wav").write_bytes(b"")
    (raw / "bad.wav").write_bytes(b"RIFF....")
    (raw / "samples.raw").write_bytes(bytes(100))
    (raw / "no suffix").write_bytes((raw / names[-1]).read_bytes())
    seen: list[tuple[int, int]] = []
    request = Request(
        source=str(raw), target=str(tmp_path / "clean"), setup=setup, jobs=2, summary=tmp_path / "all.parquet"
    )
    report = batch(request, lambda done, total: seen.append((done, total)))
    assert outputs(tmp_path / "clean") == names
    for name in names:
        before, after = (soundfile.read(tmp_path / folder / name)[0] for folder in ("raw", "clean"))
        np.testing.assert_array_equal(before, after)
    assert (report.count("done"), report.count("failed")) == (6, 1)
    assert list(report.left_out) == list(report.as_dict()["left_out"]) == ["no suffix", "samples.raw"]
    assert "let it end with" in report.left_out["no suffix"] and "ffmpeg" in report.left_out["samples.raw"]
    failed = next(row for row in report.rows if row["status"] == "failed")
    assert failed["name"] == "bad.wav" and "bad.wav" in failed["error"]
    assert seen[0] == (0, 7) and seen[-1] == (7, 7)
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "all.parquet").to_pylist()
    assert [row["name"] for row in table] == sorted([*names, "bad.wav"])
    assert sum(row["seconds"] or 0.0 for row in table) == pytest.approx(3.0)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the worker in /proc")
def test_a_killed_worker_loses_nothing(setup, tmp_path):
    names = make_archive(tmp_path / "raw", 40, seconds=4.0)
    target = tmp_path / "clean"
    before = set(children_of(os.getpid()))
    killed: list[int] = []

    def kill_one() -> None:
        limit = time.monotonic() + 120
        while time.monotonic() < limit and len(outputs(target) if target.is_dir() else []) < 3:
            time.sleep(0.01)
        workers = [
            process
            for process in children_of(os.getpid())
            if process not in before and b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
        ]
        os.kill(workers[-1], signal.SIGKILL)
        killed.append(workers[-1])

    killer = threading.Thread(target=kill_one)
    killer.start()
    report = batch(Request(source=str(tmp_path / "raw"), target=str(target), setup=setup, jobs=2))
    killer.join()
    assert killed
    assert [row["name"] for row in report.rows] == names  # every file exactly once
    assert report.count("done") + report.count("skipped") == len(names)
    assert outputs(target) == names  # none half-written, nothing else left behind
    for name in names:
        assert soundfile.info(target / name).frames == 4 * 16000


def test_a_cluster_that_runs_elsewhere(archive, setup, tmp_path):
    from distributed import LocalCluster

    raw, names = archive
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        request = Request(
            source=str(raw), target=str(tmp_path / "clean"), setup=setup, scheduler=cluster.scheduler_address
        )
        assert batch(request).count("done") == len(names)
    assert outputs(tmp_path / "clean") == names


def test_goes_on_where_it_was(archive, setup, tmp_path):
    raw, names = archive
    request = Request(source=str(raw), target=str(tmp_path / "clean"), setup=setup, jobs=1)
    assert batch(request).count("done") == 6
    times = {name: (tmp_path / "clean" / name).stat().st_mtime_ns for name in names}
    (tmp_path / "clean" / names[0]).write_bytes(b"cut off")  # not whole any more
    (tmp_path / "clean" / names[1]).unlink()
    soundfile.write(raw / names[2], np.zeros(777), 16000)  # another source
    report = batch(request)
    assert {row["name"] for row in report.rows if row["status"] == "done"} == set(names[:3])
    assert report.count("skipped") == 3
    assert [(tmp_path / "clean" / n).stat().st_mtime_ns for n in names[3:]] == [times[n] for n in names[3:]]
    assert soundfile.info(tmp_path / "clean" / names[2]).frames == 777
    other = replace(request, setup=replace(setup, settings=replace(setup.settings, channel_mode="each")))
    assert batch(other).count("done") == 6  # other settings


def test_what_is_not_ours_is_not_replaced(archive, setup, tmp_path):
    raw, names = archive
    (tmp_path / "clean" / names[0]).parent.mkdir(parents=True)
    (tmp_path / "clean" / names[0]).write_bytes(b"precious")
    request = Request(source=str(raw), target=str(tmp_path / "clean"), setup=setup, jobs=1)
    report = batch(request)
    assert [row["name"] for row in report.rows if row["status"] == "failed"] == [names[0]]
    assert (tmp_path / "clean" / names[0]).read_bytes() == b"precious"
    assert batch(replace(request, overwrite=True)).count("done") == 1


def test_any_place_that_fsspec_reaches(archive, setup):
    """Memory stands for places that are no folders: files are fetched, put under a hidden name and renamed."""
    import fsspec

    raw, names = archive
    memory = fsspec.filesystem("memory")
    memory.put(str(raw), "/raw", recursive=True)
    source, target = Place("memory://raw"), Place("memory://clean")
    found = source.audio()
    assert [entry.name for entry in found] == names
    task = Task(found[0], "memory://raw", "memory://clean", setup, digest_of(setup), False, "t")
    assert run_task(task)["status"] == "done"
    assert run_task(task)["status"] == "skipped"
    assert target.size(found[0].name)
    assert not [path for path in memory.find("/clean") if path.endswith(".part")]


def test_a_place_that_breaks_leaves_no_half_file(archive, setup, tmp_path, monkeypatch):
    raw, _ = archive
    found = Place(str(raw)).audio()[0]
    task = Task(found, str(raw), str(tmp_path / "clean"), setup, digest_of(setup), False, "t")
    monkeypatch.setattr(Path, "replace", lambda self, _target: (_ for _ in ()).throw(OSError("no more")))
    with pytest.raises(OSError, match="no more"):
        run_task(task)
    assert outputs(tmp_path / "clean") == []


def test_errors_of_a_place_are_tried_again(archive, setup, tmp_path):
    """A file stands where a folder has to be, and goes away while the batch tries."""
    raw, names = archive
    blocked = tmp_path / "clean" / "deep"
    blocked.parent.mkdir()
    blocked.write_text("in the way")
    request = Request(source=str(raw), target=str(tmp_path / "clean"), setup=setup, jobs=1, retries=0)
    report = batch(request)
    assert [row["name"] for row in report.rows if row["status"] == "failed"] == names[-2:]
    threading.Timer(4.0, blocked.unlink).start()
    report = batch(replace(request, retries=1_000_000))
    assert (report.count("done"), report.count("skipped")) == (2, 4)


@pytest.mark.parametrize(
    ("changes", "kind", "match"),
    [
        ({"source": "nowhere"}, AudioFileError, "nowhere: no such folder"),
        ({"source": "magic://bucket/raw"}, ConfigError, "magic"),
        ({"scheduler": "tcp://127.0.0.1:9"}, ConfigError, "scheduler tcp://127.0.0.1:9 does not answer"),
        ({"jobs": 0}, ConfigError, "jobs=0"),
        ({"target": __file__}, ConfigError, "is a file"),
        ({"summary": Path("all.txt")}, ConfigError, r"\.parquet or \.csv"),
    ],
)
def test_what_cannot_be_is_said(archive, setup, tmp_path, monkeypatch, changes, kind, match):
    monkeypatch.setattr("rtdenoise.batch.cluster._CONNECT_SECONDS", 1.0)
    request = Request(source=str(archive[0]), target=str(tmp_path / "clean"), setup=setup)
    with pytest.raises(kind, match=match):
        batch(replace(request, **changes))


def test_source_and_target_must_differ(archive, setup):
    with pytest.raises(ConfigError, match="are the same"):
        Request(source=str(archive[0]), target=f"{archive[0]}/", setup=setup)
    with pytest.raises(ConfigError, match="inside the source"):
        batch(Request(source=str(archive[0]), target=str(archive[0] / "clean"), setup=setup))


def test_missing_packages_name_the_extra(monkeypatch, archive):
    monkeypatch.setattr("rtdenoise.batch.places.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"rtdenoise\[batch\]"):
        Place(str(archive[0]))


def test_command_line(call, archive, tmp_path):
    raw, names = archive
    (raw / "bad.wav").write_bytes(b"RIFF....")
    done = call("batch", raw, tmp_path / "clean", "--method", "bypass", "--jobs", 1, "--summary", "all.csv", "--json")
    assert done.code == 1
    assert done.err.startswith("rtdenoise: error: bad.wav: ")
    assert json.loads(done.out)["done"] == len(names)
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)].count("done") == len(names)
    again = call("batch", raw, tmp_path / "clean", "--method", "bypass", "--jobs", 1)
    assert "0 done, 6 skipped, 1 failed" in again.out
