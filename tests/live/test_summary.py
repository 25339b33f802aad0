"""The levels of a report: those of its own span, and at the end those of the whole run."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.monitor import Monitor
from tests.live.test_exactness import noise
from tests.live.test_faults import start_live
from tests.live.test_screen import stream
from tests.virtual_card.card import VirtualCard

SECOND = 16000


def play(live: np.ndarray, level_in_db: float, level_out_db: float) -> None:
    """A second of sound."""
    live["n"] += SECOND
    live["energy_in"] += SECOND * 10.0 ** (level_in_db / 10.0)
    live["energy_out"] += SECOND * 10.0 ** (level_out_db / 10.0)


def levels(report: dict) -> tuple[float, float]:
    return report["level_in_dbfs"], report["level_out_dbfs"]


def test_an_interval_has_its_own_levels_and_the_sum_those_of_all_streams():
    monitor, first, second = Monitor(), stream(), stream()
    monitor.open(first, Opened())
    play(first, -20.0, -40.0)
    assert levels(monitor.interval()) == (-20.0, -40.0)
    play(first, -30.0, -30.0)
    assert levels(monitor.interval()) == (-30.0, -30.0)
    monitor.open(second, Opened())
    play(second, -10.0, -20.0)
    assert levels(monitor.interval()) == (-10.0, -20.0)
    monitor.freeze()
    second["energy_in"] = second["energy_out"] = 0.0
    mean = [
        10.0 * np.log10(np.mean([10.0 ** (db / 10.0) for db in all_])) for all_ in ((-20, -30, -10), (-40, -30, -20))
    ]
    assert levels(monitor.total()) == pytest.approx(mean, abs=0.051)


def test_the_summary_of_a_run_says_how_loud_it_was(server):
    signal_in = noise(1.0, server.rate)
    with VirtualCard(server.name) as card:
        card.set_idle(signal_in)
        process = start_live("--json", "--method", "bypass", "--duration", "3")
        out, _ = process.communicate(timeout=60)
    level = 10.0 * np.log10(np.mean(signal_in.astype(np.float64) ** 2))
    level_in, level_out = levels(json.loads(out.splitlines()[-1]))
    assert level_in == pytest.approx(level, abs=0.5)
    assert level_in - 1.0 < level_out <= level_in, "the start is faded in"
