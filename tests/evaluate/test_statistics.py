"""Intervals: they cover the truth as often as they say, and pairs are told apart where means are not."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.evaluate.report.statistics import grouped, mean_interval, paired_interval


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        found = mean_interval(list(rng.normal(2.0, 1.0, 40)))
        covered += found["low"] <= 2.0 <= found["high"]
    assert 0.90 <= covered / 300 <= 0.98


def test_undefined_values_are_left_out():
    found = mean_interval([1.0, float("nan"), 3.0])
    assert (found["mean"], found["n"]) == (2.0, 2)
    assert np.isnan(mean_interval([float("nan")])["mean"])
    assert mean_interval([4.0]) == {"mean": 4.0, "low": 4.0, "high": 4.0, "n": 1}


def test_pairs_see_what_means_do_not():
    rng = np.random.default_rng(0)
    clips = rng.normal(0.0, 5.0, 60)
    better = clips + 0.3 + rng.normal(0.0, 0.1, 60)
    found = paired_interval(list(better), list(clips))
    assert found["low"] > 0.2
    assert mean_interval(list(better))["low"] < mean_interval(list(clips))["high"]


def test_groups_keep_their_order_and_members():
    table = grouped([{"a": 1.0}, {"a": 5.0}, {"a": 3.0}], ["x", "y", "x"], ["a"])
    assert list(table) == ["x", "y"]
    assert table["x"]["a"]["mean"] == pytest.approx(2.0)
