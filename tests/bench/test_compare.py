"""Comparison with an old record: a loss is found, noise is not taken for one, a slower machine neither."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.bench import compare
from rtdenoise.bench.run import SCHEMA
from rtdenoise.errors import AudioFileError, ConfigError


def row(rng, cost=10.0, machine=1.0, holds=True, name="WF:low"):
    speed = machine * (1 + 0.1 * rng.standard_normal(7))  # the machine wavers, and the reference with it
    own = cost * speed * (1 + 0.02 * rng.standard_normal(7))
    steady = {"rounds_us": list(own), "reference_us": list(35.0 * speed)}
    return {"name": name, "rate_hz": 16000, "engine": "native", "holds": holds, "back_to_back": steady}


def verdict(old, new, **more):
    return compare.compare({"rows": [old]}, {"rows": [new]}, **more)[0]


def test_noise_is_no_change():
    rng = np.random.default_rng(1)
    assert {verdict(row(rng), row(rng)).verdict for _ in range(100)} == {compare.SAME}


def test_a_loss_of_a_fifth_is_found_whatever_the_machine():
    rng = np.random.default_rng(2)
    for machine in (1.0, 3.0, 0.4):
        found = verdict(row(rng), row(rng, cost=12.0, machine=machine))
        assert (found.verdict, found.ratio) == (compare.SLOWER, pytest.approx(1.2, rel=0.05))
        assert found.low < 1.2 < found.high
        assert verdict(row(rng, cost=12.0), row(rng, machine=machine)).verdict == compare.FASTER
    assert verdict(row(rng), row(rng, cost=12.0), tolerance=0.5).verdict == compare.SAME


def test_what_held_and_does_not_is_worse_at_any_cost():
    rng = np.random.default_rng(3)
    found = verdict(row(rng), row(rng, holds=False))
    assert found.verdict == compare.SLOWER and "does not now" in found.note


def test_a_row_that_broke_is_worse():
    rng = np.random.default_rng(4)
    broken = {"name": "WF:low", "rate_hz": 16000, "engine": "native", "holds": False, "error": "gone"}
    assert verdict(row(rng), broken).verdict == compare.SLOWER
    assert verdict(broken, broken).verdict == compare.SAME


def test_nothing_in_common_is_said():
    rng = np.random.default_rng(5)
    with pytest.raises(ConfigError, match="no row in common"):
        compare.compare({"rows": [row(rng)]}, {"rows": [row(rng, name="SS:low")]})


@pytest.mark.parametrize(("text", "reason"), [("{", "no JSON"), ("[]", "no record"), ('{"schema": "x"}', "no record")])
def test_other_files_are_refused(tmp_path, text, reason):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        compare.load_record(path, SCHEMA)
    path.write_text(json.dumps({"schema": SCHEMA}))
    assert compare.load_record(path, SCHEMA) == {"schema": SCHEMA}
    with pytest.raises(AudioFileError, match="cannot be read"):
        compare.load_record(tmp_path / "nowhere.json", SCHEMA)
