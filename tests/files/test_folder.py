"""A folder in, a folder out: the tree, what is left out, failures, processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files import denoise_folder
from rtdenoise.files import workers as workers_module
from rtdenoise.files.report import FileReport
from rtdenoise.files.setup import Streams, load_setup
from rtdenoise.files.single import run_file
from tests.files.conftest import Make


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def tree(make: Make, tmp_path: Path) -> Path:
    """Recordings of two formats and rates in nested folders, among them what must be left alone."""
    for name in ("in/a.wav", "in/sub/b.flac", "in/sub/deep/c.WAV"):
        make(name, n=8000, container=None if name.endswith("flac") else "WAV")
    make("in/sub/d.wav", n=11025, rate=11025, channels=2)
    make("in/.hidden.wav")
    make("in/a_WF_denoised.wav")
    make("in/old_denoised/e.wav")
    make("in/.git/f.wav")
    (tmp_path / "in" / "notes.txt").write_text("not audio")
    return tmp_path / "in"


def test_the_tree_is_mirrored_and_our_own_outputs_are_left_out(tree):
    report = denoise_folder(tree, method="bypass")
    out = tree.with_name("in_BYPASS_denoised")
    assert report.target == str(out)
    assert names(out) == ["a.wav", "sub/b.flac", "sub/d.wav", "sub/deep/c.WAV"]
    assert [Path(item.source).name for item in report.files] == ["a.wav", "b.flac", "d.wav", "c.WAV"]
    assert report.seconds == pytest.approx(2.5)
    assert soundfile.info(out / "sub" / "d.wav").channels == 2
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False))["failed"] == {}


def test_a_target_inside_the_source_is_never_denoised_again(tree, tmp_path):
    denoise_folder(tree, tree / "clean_denoised", method="bypass")
    again = denoise_folder(tree, tree / "clean_denoised", method="bypass")
    assert again.files == () and len(again.skipped) == 4
    assert len(denoise_folder(tree, tmp_path / "out", method="bypass").files) == 4
    (tmp_path / "link").symlink_to(tree)
    for target in (tree / "clean", tree / "sub" / "clean", tmp_path / "link" / "clean"):
        with pytest.raises(AudioFileError, match=r"lies inside the source.* ends with _denoised"):
            denoise_folder(tree, target, method="bypass")
        assert not target.exists()


def test_existing_outputs_are_skipped_and_made_again_with_overwrite(tree, tmp_path):
    first = denoise_folder(tree, tmp_path / "out", method="bypass")
    (tmp_path / "out" / "a.wav").unlink()
    second = denoise_folder(tree, tmp_path / "out", method="bypass")
    third = denoise_folder(tree, tmp_path / "out", method="bypass", overwrite=True)
    assert [len(report.files) for report in (first, second, third)] == [4, 1, 4]
    assert len(second.skipped) == 3 and third.skipped == ()


@pytest.mark.parametrize("jobs", [1, 2])
def test_failures_are_named_and_the_rest_goes_on(tree, tmp_path, jobs):
    (tree / "broken.wav").write_bytes(b"RIFFnot much of a file")
    (tree / "empty.wav").touch()
    (tree / "link.wav").symlink_to(tmp_path / "nowhere.wav")

    report = denoise_folder(tree, tmp_path / "out", method="bypass", jobs=jobs)

    assert len(report.files) == 4 and report.jobs == jobs
    assert sorted(Path(path).name for path in report.failed) == ["broken.wav", "empty.wav", "link.wav"]
    assert "no such file" in report.failed[str(tree / "link.wav")]
    assert names(tmp_path / "out") == ["a.wav", "sub/b.flac", "sub/d.wav", "sub/deep/c.WAV"]


def test_processes_give_the_same_bytes_as_one(make, tmp_path):
    for i in range(3):
        make(f"in/{i}/a.wav", n=16000 + i)
    here = denoise_folder(tmp_path / "in", tmp_path / "1", method="WF", preset="low", jobs=1)
    there = denoise_folder(tmp_path / "in", tmp_path / "2", method="WF", preset="low", jobs=2)
    assert (here.jobs, there.jobs) == (1, 2)
    assert names(tmp_path / "1") == names(tmp_path / "2")
    for name in names(tmp_path / "1"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    for one, two in zip(here.files, there.files, strict=True):
        assert one.noise_reduction_db == two.noise_reduction_db


def test_streams_are_built_once_per_rate_and_channels_and_start_afresh(make, tmp_path):
    streams = Streams(load_setup("WF", "low"))
    for i in range(2):
        make(f"{i}.wav", n=16000)
        run_file(streams, tmp_path / f"{i}.wav", tmp_path / f"out{i}.wav")
    assert (tmp_path / "out0.wav").read_bytes() == (tmp_path / "out1.wav").read_bytes()
    assert streams.get("x", 16000, 1)[0] is streams.get("y", 16000, 1)[0]
    assert streams.get("x", 16000, 1)[0] is not streams.get("x", 8000, 1)[0]


def mark(report: FileReport) -> None:
    Path(report.target + ".done").write_text(str(os.getpid()))


def test_after_file_runs_where_the_file_was_made(tree, tmp_path):
    denoise_folder(tree, tmp_path / "out", method="bypass", jobs=2, after_file=mark)
    marks = [path.read_text() for path in (tmp_path / "out").rglob("*.done")]
    assert len(marks) == 4
    assert str(os.getpid()) in marks  # the first file warms the compiled code up
    assert len(set(marks)) >= 2


def die(report: FileReport) -> None:
    if Path(report.source).name == "killer.wav":
        os._exit(9)


def test_a_worker_that_dies_is_an_error_of_its_files_not_of_the_program(tree, make, tmp_path):
    make("in/killer.wav", n=100_000)
    report = denoise_folder(tree, tmp_path / "out", method="bypass", jobs=2, after_file=die)
    assert "died" in report.failed[str(tree / "killer.wav")]
    assert len(report.files) + len(report.failed) == 5 and len(report.files) >= 1


def test_giving_up_stops_the_workers_within_a_block(tree, make, tmp_path):
    for i in range(3):
        make(f"in/long{i}.wav", samples=np.zeros(16000 * 1200))

    def give_up(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        denoise_folder(tree, tmp_path / "out", method="bypass", jobs=2, progress=give_up)
    assert time.monotonic() - started < 60
    assert [name for name in names(tmp_path / "out") if name.endswith(".part")] == []


def test_folders_that_cannot_be(make, tmp_path):
    source = make("in/a.wav").parent
    (tmp_path / "none").mkdir()
    with pytest.raises(AudioFileError, match="holds no audio"):
        denoise_folder(tmp_path / "none")
    with pytest.raises(AudioFileError, match="no such folder"):
        denoise_folder(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(AudioFileError, match="input and output are the same"):
        denoise_folder(source, source)
    with pytest.raises(AudioFileError, match="is a file; a folder in gives a folder out"):
        denoise_folder(source, make("file.wav"))
    with pytest.raises(ConfigError, match="jobs=0 must be at least 1"):
        denoise_folder(source, jobs=0)
    report = denoise_folder(source, Path("/proc/rtdenoise"), method="bypass")
    assert "cannot be made" in report.failed[str(source / "a.wav")]


def test_enough_work_is_spread_over_the_cores_without_being_asked(tree, tmp_path, monkeypatch):
    import rtdenoise.files.folder as folder_module

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1}, raising=False)
    assert denoise_folder(tree, tmp_path / "little", method="bypass").jobs == 1
    monkeypatch.setattr(folder_module, "_WORTH_PROCESSES_SECONDS", 0.0)
    assert denoise_folder(tree, tmp_path / "much", method="bypass").jobs == 2


def test_stopped_workers_raise_between_blocks(make, tmp_path):
    stopped = type("Event", (), {"is_set": lambda self: True})()
    workers_module._worker.update(streams=Streams(load_setup("bypass")), stop=stopped, after_file=None)
    try:
        outcome = workers_module._work(workers_module.Task(make(), tmp_path / "o.wav", 0, overwrite=False))
    finally:
        workers_module._worker.clear()
    assert outcome.report is None and outcome.error.endswith("stopped")
    assert not (tmp_path / "o.wav").exists()
