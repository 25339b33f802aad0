"""Runs in their folders: what one leaves to be read, and what is left of it when another begins."""

from __future__ import annotations

import csv
import logging
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.lab.training.checkpoint import load_checkpoint
from rtdenoise.lab.training.pictures import keep_curves
from rtdenoise.lab.training.session import check_begin, train
from tests.lab.test_training import SETTINGS

pytest.importorskip("keras", reason="training needs Keras")
soundfile = pytest.importorskip("soundfile")
OLD = ("last.npz", "best.npz", "train.csv", "validation.csv", "curves.png", "events.out.tfevents.1")


@pytest.fixture
def journal(tmp_path):
    from rtdenoise.lab.training.journal import Journal

    return Journal(tmp_path)


def steps(path):
    with path.open(newline="") as file:
        return [row["step"] for row in csv.DictReader(file)]


def test_a_new_run_in_the_folder_of_another_leaves_nothing_of_it(data_folder, tmp_path, monkeypatch, caplog):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("rtdenoise.lab.training.run._OBSERVE_SECONDS", 0.0)
    monkeypatch.setattr("rtdenoise.lab.training.run._REPORT_STEPS", 1)
    run, drawn = tmp_path / "run", []
    run.mkdir()
    for name in OLD:
        (run / name).write_bytes(b"of the former run")
    (run / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="broken: no such data folder"):
        train(SETTINGS, data=tmp_path / "broken", folder=run, cache=tmp_path / "cache", resume=False)
    assert all((run / name).read_bytes() == b"of the former run" for name in OLD)
    for take in "ab":
        (tmp_path / "voices" / "speech" / take).mkdir(parents=True)
        soundfile.write(tmp_path / "voices" / "speech" / take / "1.wav", np.sin(np.arange(16000.0)) / 4, 16000)
    train(
        replace(SETTINGS, steps=3, validate_seconds=0.0, validation_clips=1),
        data=data_folder,
        more=[tmp_path / "voices"],
        folder=run,
        cache=tmp_path / "cache",
        resume=False,
        observe=lambda at: drawn.append((run / "curves.png").is_file()),
    )
    assert load_checkpoint(run / "best.npz").step <= load_checkpoint(run / "last.npz").step == 3
    assert steps(run / "train.csv") == steps(run / "validation.csv") == ["1", "2", "3"]
    assert load_checkpoint(run / "last.npz").facts["settings"]["more"] == ["voices"]
    assert drawn == [False, True, True]  # after every validation, not only at the end
    train(
        replace(SETTINGS, steps=4, validate_seconds=1e6, validation_clips=1),
        data=data_folder,
        folder=run,
        cache=tmp_path / "cache",
    )
    assert "further recordings (--more) were voices until now, and are none from here on" in caplog.text
    assert not (run / OLD[-1]).exists()
    assert (run / "notes.txt").is_file()


def test_weights_that_a_restart_would_remove_are_no_start(tmp_path):
    for name in ("last.npz", "best.npz"):
        (tmp_path / name).touch()
    check_begin(tmp_path, resume=False, restart=True, start=None)
    with pytest.raises(ConfigError, match=r"best\.npz belongs to the run that --restart removes"):
        check_begin(tmp_path, resume=False, restart=True, start=tmp_path / "best.npz")


def test_tables_forget_what_came_after_the_checkpoint(journal, tmp_path):
    for step in (1, 2, 50):
        journal.add("train", step, {"loss": 0.5})
    journal.rewind(1)
    assert (tmp_path / "train.csv").read_text().splitlines() == ["step,loss", "1,0.5"]
    assert not list(tmp_path.glob("*.partial"))


def test_an_empty_table_is_begun_anew(journal, tmp_path):
    (tmp_path / "train.csv").touch()
    journal.rewind(3)
    journal.add("train", 4, {"loss": 0.5})
    assert (tmp_path / "train.csv").read_text().splitlines() == ["step,loss", "4,0.5"]


def test_figures_stay_in_their_columns_when_others_come_or_go(journal, tmp_path):
    for step, figures in ((1, {"a": 1, "b": 2}), (2, {"b": 3}), (3, {"b": 4, "c": 5})):
        journal.add("validation", step, figures)
    assert (tmp_path / "validation.csv").read_text().splitlines() == ["step,a,b,c", "1,1,2,", "2,,3,", "3,,4,5"]
    pytest.importorskip("matplotlib")
    (tmp_path / "train.csv").write_text("step,loss,audio_hours\n1,0.5,0.1\n2,0.4\n")
    (tmp_path / "validation.csv").write_text("step,audio_hours,a\n1,0.1,\n")
    keep_curves(tmp_path)
    assert (tmp_path / "curves.png").is_file()


def test_a_run_does_not_fail_for_want_of_a_picture(tmp_path, caplog):
    pytest.importorskip("matplotlib")
    (tmp_path / "train.csv").write_text("step,loss\n1,abc\n")
    with caplog.at_level(logging.INFO):
        keep_curves(tmp_path)
    assert "no curves drawn: " in caplog.text


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("foo", "KERAS_BACKEND=foo must be one of tensorflow, jax, torch"),
        ("jax", "KERAS_BACKEND=jax, which is not"),
    ],
)
def test_a_backend_that_is_not_there_is_named(backend, message):
    if find_spec(backend) is not None:
        pytest.skip(f"{backend} is installed")
    done = subprocess.run(
        [sys.executable, "-c", "from rtdenoise.lab.network.keras_network import import_keras\nimport_keras()"],
        env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and message in done.stderr.splitlines()[-1]
