"""Comparison with an old record: a loss is found, noise is not taken for one, a slower machine neither."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.bench import compare
from rtdenoise.bench.run import SCHEMA
from rtdenoise.bench.tables import agreement_line, changes_table
from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.evaluate.report.comparison import SAME


def row(rng, cost=10.0, machine=1.0, holds=True, name="WF:low"):
    speed = machine * (1 + 0.1 * rng.standard_normal(7))  # the machine wavers, and the reference with it
    own = cost * speed * (1 + 0.02 * rng.standard_normal(7))
    steady = {"rounds_us": list(own), "reference_us": list(35.0 * speed)}
    return {"name": name, "rate_hz": 16000, "engine": "native", "holds": holds, "back_to_back": steady}


def verdict(old, new, **more):
    return compare.compare({"rows": [old]}, {"rows": [new]}, **more)[0]


def test_noise_is_no_change():
    rng = np.random.default_rng(1)
    assert {verdict(row(rng), row(rng)).verdict for _ in range(100)} == {SAME}


def test_a_loss_of_a_fifth_is_found_whatever_the_machine():
    rng = np.random.default_rng(2)
    for machine in (1.0, 3.0, 0.4):
        found = verdict(row(rng), row(rng, cost=12.0, machine=machine))
        assert (found.verdict, found.value) == (compare.SLOWER, pytest.approx(1.2, rel=0.05))
        assert found.low < 1.2 < found.high
        assert verdict(row(rng, cost=12.0), row(rng, machine=machine)).verdict == compare.FASTER
    assert verdict(row(rng), row(rng, cost=12.0), tolerance=0.5).verdict == SAME


def test_what_held_and_does_not_is_worse_at_any_cost():
    rng = np.random.default_rng(3)
    found = verdict(row(rng), row(rng, holds=False))
    assert found.verdict == compare.SLOWER and "does not now" in found.note


def test_a_row_that_broke_is_worse():
    rng = np.random.default_rng(4)
    broken = {"name": "WF:low", "rate_hz": 16000, "engine": "native", "holds": False, "error": "gone"}
    assert verdict(row(rng), broken).verdict == compare.SLOWER
    assert verdict(broken, broken).verdict == SAME


def test_a_row_that_is_gone_is_worse_unless_it_was_not_asked_for():
    rng = np.random.default_rng(7)
    old = {"rows": [row(rng), row(rng, name="SS:low")], "settings": {"rate_hz": 16000}}
    new = {"rows": [row(rng)], "settings": {"rate_hz": 16000}}
    gone = compare.compare(old, new)[1]
    assert (gone.subject["name"], gone.verdict, gone.note) == ("SS:low", compare.SLOWER, "measured before, missing now")
    assert json.loads(json.dumps(gone.as_dict(), allow_nan=False))["ratio"] is None
    assert "| - | - to - | slower | measured before" in changes_table([gone])
    assert [c.subject["name"] for c in compare.compare(old, new, names=("WF:low",))] == ["WF:low"]
    elsewhere = {**old, "rows": [*old["rows"][:1], {**old["rows"][0], "rate_hz": 48000}]}
    assert len(compare.compare(elsewhere, new, names=("WF:low",))) == 1  # a quick run has one rate
    assert len(compare.compare(elsewhere, new)) == 2
    assert len(compare.compare(old, {**new, "settings": {"rate_hz": 48000}})) == 1
    old["rows"][1]["error"] = "never ran"
    assert len(compare.compare(old, new)) == 1


def test_agreement_of_two_runs_is_told():
    rng = np.random.default_rng(8)
    old = {"rows": [row(rng, name=name) for name in "abcd"]}
    new = {
        "rows": [
            row(rng, cost=cost, name=name, holds=cost < 30) for name, cost in zip("abcd", (10, 11, 12, 40), strict=True)
        ]
    }
    found = compare.agreement(old, new, compare.compare(old, new))
    assert found["rows"] == 4
    assert found["median_difference"] == pytest.approx(0.15, abs=0.05)
    assert found["largest_difference"] == pytest.approx(3.0, abs=0.3)
    assert found["verdicts_differ"] == ["d at 16000 Hz"]
    assert "live verdicts differ on d at 16000 Hz" in agreement_line(found)
    same = compare.agreement(old, old, compare.compare(old, old))
    assert "by 0.0 % at the median, by 0.0 % at most; live verdicts agree on all 4" in agreement_line(same)
    broken = {"rows": [{**each, "error": "gone"} for each in old["rows"]]}
    assert "No row" in agreement_line(compare.agreement(old, broken, compare.compare(old, broken)))


def test_tail_delay_memory_and_start_are_noted():
    rng = np.random.default_rng(9)
    figures = {"paced": {"us": {"p99": 20.0}}, "latency_ms": {"block": 4.0, "algorithm": 4.0, "queue": 0.0}}
    old = {**row(rng), **figures, "memory_mb": {"peak": 100.0}, "startup_seconds": 1.0}
    assert verdict(old, old).note == ""
    new = {**old, "paced": {"us": {"p99": 50.0}}, "memory_mb": {"peak": 150.0}, "startup_seconds": 0.5}
    new["latency_ms"] = {"block": 4.0, "algorithm": 8.0, "queue": 0.0}
    assert verdict(old, new).note == (
        "paced p99 20, now 50 us; delay 8, now 12 ms; memory 100, now 150 MB; start 1, now 0.5 s"
    )


@pytest.mark.parametrize("tolerance", [float("nan"), -0.1, float("inf")])
def test_tolerances_that_cannot_be(tolerance):
    with pytest.raises(ConfigError, match="tolerance="):
        compare.check_tolerance(tolerance)


def test_nothing_in_common_is_said():
    rng = np.random.default_rng(5)
    with pytest.raises(ConfigError, match="no row in common"):
        compare.compare({"rows": [row(rng)]}, {"rows": [row(rng, name="SS:low")]})


@pytest.mark.parametrize(("text", "reason"), [("{", "no JSON"), ("[]", "no record"), ('{"schema": "x"}', "no record")])
def test_other_files_are_refused(tmp_path, text, reason):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        compare.load_bench(path, SCHEMA)
    good = row(np.random.default_rng(6))
    path.write_text(json.dumps({"schema": SCHEMA, "rows": [good, {**good, "error": "gone"}]}))
    assert len(compare.load_bench(path, SCHEMA)["rows"]) == 2
    for damaged in ({}, {"rows": [{**good, "back_to_back": {}}]}, {"rows": [{"name": "WF:low"}]}):
        path.write_text(json.dumps({"schema": SCHEMA, **damaged}))
        with pytest.raises(ConfigError, match=r"without rows|holds a row without"):
            compare.load_bench(path, SCHEMA)
    with pytest.raises(AudioFileError, match="cannot be read"):
        compare.load_bench(tmp_path / "nowhere.json", SCHEMA)
