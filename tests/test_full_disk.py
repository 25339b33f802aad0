"""A disk that takes no more: every report says so in one line, and leaves no empty and no half-written file.

The limit of a file's size stands for the disk: the same system calls fail, at any number of bytes.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import AudioFileError, ConfigError

resource = pytest.importorskip("resource", reason="limits the size of files")

ROW = {
    "name": "WF:low", "engine": "native", "rate_hz": 16000, "hop_ms": 4.0, "holds": True, "margin": 0.9,
    "latency_ms": {"block": 4.0, "algorithm": 4.0, "queue": 0.0, "compute": 0.1, "total": 8.1}, "capacity": [],
    "paced": {"us": {"p50": 10.0, "p99": 20.0}, "histogram": {"counts": [1, 2], "edges_us": [1.0, 10.0, 100.0]}},
}  # fmt: skip


@contextlib.contextmanager
def full_after(n_bytes: int) -> Iterator[None]:
    """Files of this process take so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def bench_report(folder: Path) -> None:
    from rtdenoise.bench import report

    report.save_figure(report._times([ROW]), folder / "times.png")


def evaluation_picture(folder: Path) -> None:
    from rtdenoise.evaluate.report.pictures import quality_over_delay

    mean = {"estoi": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    quality_over_delay({"systems": {"WF": {"kind": "own", "latency_ms": 8.0, "mean": mean}}}, folder / "delay.png")


def sound_of_the_page(folder: Path) -> None:
    from rtdenoise.evaluate.report.page import _write_sound

    _write_sound(folder / "a.wav", np.zeros(8000, np.float32), 16000)


def summary_of_a_batch(folder: Path) -> None:
    from rtdenoise.batch.summary import write_summary

    write_summary([{"name": f"{i}.wav", "status": "done"} for i in range(500)], folder / "all.csv")


def curves_of_a_run(folder: Path) -> None:
    from rtdenoise.lab.training.pictures import draw_curves

    draw_curves(folder)


def what_a_network_will_hear(folder: Path) -> None:
    from rtdenoise.lab.training import pictures

    signal = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    figure, axes = pictures._pyplot().subplots(1, 1)
    pictures._spectrogram(axes, signal, 16000, "noisy")
    pictures._save(figure, folder / "page.png", dpi=80)


REPORTS = [
    bench_report,
    evaluation_picture,
    sound_of_the_page,
    summary_of_a_batch,
    curves_of_a_run,
    what_a_network_will_hear,
]


@pytest.mark.parametrize("n_bytes", [0, 1, 3000])
@pytest.mark.parametrize("report", REPORTS, ids=lambda function: function.__name__)
def test_a_report_appears_whole_or_not_at_all(tmp_path, report: Callable[[Path], None], n_bytes):
    with (tmp_path / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("audio_hours", "loss"), (0.0, 1.0), (1.0, 0.5)])
    report(tmp_path)
    (whole,) = (path for path in tmp_path.iterdir() if path.name != "train.csv")
    whole.unlink()
    with full_after(n_bytes), pytest.raises((AudioFileError, ConfigError), match="cannot be written") as caught:
        report(tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["train.csv"]


def test_a_bench_leaves_no_empty_folder(tmp_path):
    from rtdenoise.bench.report import write_report

    with full_after(0), pytest.raises(AudioFileError, match=r"times\.png: cannot be written"):
        write_report({"rows": [ROW]}, tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
