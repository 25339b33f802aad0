"""The trial of losses on a tiny network: common start, common batches, tables and curves, going on."""

from __future__ import annotations

import csv
import json

import pytest
import yaml
from numpy.testing import assert_array_equal

from rtdenoise.lab.training.checkpoint import load_checkpoint

pytest.importorskip("tensorflow", reason="networks are trained")
pytest.importorskip("pesq", reason="the table has PESQ")
pytest.importorskip("pystoi", reason="the table has eSTOI")

NETWORK = {"name": "tiny", "domain": "wave", "channels": 4, "dilations": [1, 2], "hop": 16}


@pytest.fixture
def arguments(data_folder, tmp_path):
    config = tmp_path / "tiny.yaml"
    values = {"network": NETWORK, "loss": [{"term": "l1"}], "batch_size": 2, "crop_seconds": 0.2, "ema": 0.5}
    config.write_text(yaml.safe_dump(values))
    words = [config, "--data", data_folder, "--run", tmp_path / "run", "--cache", tmp_path / "cache", "--no-dnsmos"]
    words += ["--channels", 4, "--losses", "l1,l2", "--clips", 4, "--seconds", 1.5, "--every", 2]
    return [str(word) for word in words]


def test_a_trial_writes_tables_and_curves_and_goes_on(arguments, tmp_path):
    from benchmarks.fair_trial import main

    run = tmp_path / "run"
    assert main([*arguments, "--steps", "2"]) == 0
    record = json.loads((run / "fair-trial.json").read_text())
    assert set(record["runs"]) == {"noisy", "4 l1", "4 l2"}
    assert set(record["runs"]["4 l1"]["figures"]) == {"-5", "0", "5", "10", "15", "all"}
    assert {"pesq_wb", "estoi", "si_sdr_db", "csig", "cbak", "covl"} <= set(record["runs"]["noisy"]["figures"]["all"])
    assert (run / "curves.png").is_file() and "| 4 l2 |" in (run / "fair-trial.md").read_text()
    first = load_checkpoint(run / "4-l1" / "last.npz")
    assert main([*arguments, "--steps", "4"]) == 0
    assert load_checkpoint(run / "4-l1" / "last.npz").step == 4
    with (run / "4-l1" / "curve.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]
    whole = [*arguments, "--steps", "2", "--losses", "l1", "--run", str(tmp_path / "again")]
    assert main(whole) == 0
    for one, other in zip(
        first.weights, load_checkpoint(tmp_path / "again" / "4-l1" / "last.npz").weights, strict=True
    ):
        assert_array_equal(one, other)


def test_unknown_losses_are_one_line(arguments, capsys):
    from benchmarks.fair_trial import main

    assert main([*arguments, "--losses", "l1,l3"]) == 1
    assert "unknown loss 'l3'; known are l1, l2, stft, deep, mixture" in capsys.readouterr().err
