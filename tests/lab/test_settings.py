"""Configurations of training runs: the shipped ones work, the impossible ones are one line before anything starts."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rtdenoise.disk.shipped import data_folder
from rtdenoise.errors import ConfigError
from rtdenoise.lab.training.settings import load_settings, settings_from_mapping
from rtdenoise.methods.can.specs import shipped_spec

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("can-*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configurations_are_valid(path):
    settings = load_settings(path)
    assert settings.network.name == path.stem
    assert settings.n_samples % settings.network.hop == 0


def test_changes_on_the_command_line_reach_the_settings():
    settings = load_settings(CONFIGS[0], ["steps=7", "mixtures.room=0.5", "network=can-small"])
    assert (settings.steps, settings.mixtures.room, settings.network.name) == (7, 0.5, "can-small")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown key 'stepz'.*known are network"),
        ({"mixtures": {"rooms": 0.1}}, "unknown key 'rooms' in mixtures"),
        ({"network": "huge"}, "no network specification 'huge'"),
        ({"network": None}, "needs network"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"workers": -1}, "workers=-1 must be at least 0"),
        ({"batch_size": 8, "devices": 3}, "batch_size=8 must be a multiple of devices=3"),
        ({"ema": 1.0}, r"ema=1.0"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3' must be a number"),
        ({"optimiser": "lion"}, "optimiser='lion' must be one of adamw, muon$"),
        ({"compute_dtype": "float16"}, "compute_dtype='float16' must be one of float32, bfloat16$"),
        ({"learns": "some"}, "learns='some' must be one of all, beside$"),
        ({"learns": "beside"}, "learns=beside needs a network with layers beside a stack; .* has none"),
        ({3: 4}, "unknown key '3' in a training configuration"),
        ({"mixtures": 3}, "mixtures must be a mapping of keys to values, not 3"),
        ({"mixtures": {"snr_db": 5}}, r"snr_db=5 must be \[lowest, highest\] in dB"),
        ({"mixtures": {"snr_db": ["a", 5]}}, "snr_db='a' must be a number"),
        ({"mixtures": {"room": "x"}}, "room='x' must be a number"),
        ({"mixtures": {"room": float("nan")}}, "room=nan must be finite"),
        ({"loss": 3}, "loss=3 must be a list of terms.*known terms are l1"),
        ({"loss": ["l1"]}, "loss term 'l1' must be a mapping"),
        ({"loss": [{"term": "l1", "weight": None}]}, "loss term l1: weight=None must be a number"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"batch_size": 2.0}, "batch_size=2.0 must be a whole number"),
        ({"steps": True}, "steps=True must be a whole number"),
        ({"learning_rate": float("nan")}, "learning_rate=nan must be finite"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 must not be negative"),
        ({"warmup_steps": -3}, "warmup_steps=-3 must be at least 0"),
        ({"validation_clips": 0}, "validation_clips=0 must be at least 1"),
        ({"validation_seconds": 0.001}, "validation_seconds=0.001 must be at least one hop, 0.008"),
        ({"crop_seconds": 0.001}, "crop_seconds=0.001 must be at least 0.008: 128 samples"),
        ({"crop_seconds": 0.3, "loss": [{"term": "estoi"}]}, "crop_seconds=0.3 must be at least 0.397: 6355 samples"),
        (
            {"network": asdict(replace(shipped_spec("can-small"), sample_rate=8000))},
            "network: sample_rate=8000 must be 16000",
        ),
        ({"data": 3}, "data=3 must be the name of a folder"),
        ({"pairs": "no"}, "pairs='no' must be true or false"),
        ({"teacher": 3}, "teacher=3 must be the name or the folder of a model"),
        (
            {"teacher": "can-live", "pairs": True},
            "teacher=can-live works with mixtures only: remove it, or set pairs: false",
        ),
        ({"teacher": {"can-live": 0.5, "can-ultra": "much"}}, "teacher.can-ultra='much' must be a number"),
        ({"teacher": {"can-live": 0.5, "can-ultra": 0}}, "teacher.can-ultra=0 must be above 0"),
        ({"teacher": {3: 1.0}}, "teacher={3: 1.0} must be the name or the folder of a model, or several of them"),
        ({"taught": 1.5}, "taught=1.5 must be between 0 and 1"),
        ({"lessons": 0}, "lessons=0 must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        settings_from_mapping({"network": "can-small", "loss": [{"term": "l1"}]} | change)


def test_a_configuration_without_a_loss_is_told_so():
    with pytest.raises(ConfigError, match="needs loss: a list of terms") as error:
        settings_from_mapping({"network": "can-small"})
    assert "__init__" not in str(error.value)


@pytest.mark.parametrize("name", ["can-small", "can-small.yaml", "configs/can-small.yaml"])
def test_configurations_that_ship_are_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path(name)) == load_settings(data_folder("configs") / "can-small.yaml")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("network: can-small\nloss: [{term: l1}]\nsteps: 7\n")
    assert load_settings(Path(name)).steps == 7, "a file of one's own comes first"


def test_missing_and_broken_configuration_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"a.yaml: no such file; .* can-live, can-small, can-ultra, "):
        load_settings(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "can-small.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path)
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_settings(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="mapping of keys"):
        load_settings(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_bytes("data: für".encode("latin-1"))
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_settings(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("steps", "'steps': changes are written key=value"),
        ("network..channels=3", "changes are written key=value"),
        ("steps=[", r"'steps=\[': '\[' is not a value YAML can read"),
        ("steps.a=3", "'steps.a=3': steps is [0-9]+, which has no keys"),
        ("network.depth=3", "unknown key 'depth'"),
    ],
)
def test_changes_that_cannot_be_made_are_one_line(change, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_settings(CONFIGS[0], [change])
    assert "\n" not in str(error.value)


def test_a_change_of_a_named_network_keeps_the_rest_of_it():
    settings = load_settings(CONFIGS[0], ["network.channels=8"])
    assert settings.network == replace(shipped_spec(CONFIGS[0].stem), channels=8)


def test_a_section_with_nothing_in_it_means_the_defaults():
    values = {"network": "can-small", "loss": [{"term": "l1"}], "mixtures": None, "data": None}
    assert settings_from_mapping(values) == settings_from_mapping({k: v for k, v in values.items() if v is not None})
