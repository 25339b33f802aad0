"""A feature network by two commands."""

from __future__ import annotations

import pytest
import yaml

from tests.cli.conftest import Call
from tests.lab.sounds import class_folders

pytest.importorskip("tensorflow", reason="the commands choose TensorFlow")

VALUES = {
    "classifier": {"layers": 6, "channels": 8, "double_every": 3},
    "tasks": [{"name": "sounds"}],
    "batch_size": 4,
    "crop_seconds": 0.4,
    "steps": 2,
}


def test_two_commands_train_and_store_it(call: Call, tmp_path):
    folder = class_folders(tmp_path / "sounds", count=5)
    config = tmp_path / "feature.yaml"
    config.write_text(yaml.safe_dump(VALUES))
    begin = ["train", config, "--data", folder, "--run", "run", "--cache", "cache", "-q"]
    trained = call(*begin)
    assert trained.code == 0 and "all steps taken after step 2 of 2" in trained.out
    again = call(*begin)
    assert again.code != 0 and "holds a run already: --resume goes on" in again.err
    assert "are for networks that denoise" in call(*begin, "--dry-run").err
    stored = call("export", "run/last.npz", config, "stored")
    assert stored.code == 0 and "sounds_accuracy" in stored.out
    assert {p.name for p in (tmp_path / "stored").iterdir()} == {"network.json", "features.npz", "SHA256SUMS"}
    refused = call("export", "run/last.npz", config, "stored")
    assert refused.code != 0 and "--overwrite replaces it" in refused.err


def test_sounds_that_teach_nothing_are_one_line(call: Call, tmp_path):
    config = tmp_path / "feature.yaml"
    config.write_text(yaml.safe_dump(VALUES))
    refused = call("train", config, "--data", class_folders(tmp_path / "one", count=5, kinds=("tone",)), "-q")
    assert refused.code != 0 and "a single class, 'tone': nothing to tell apart" in refused.err
    assert not (tmp_path / "runs").exists()
    assert "no labelled sounds" in call("train", config, "-q").err
