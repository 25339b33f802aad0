"""Methods in a process of their own: on time, late, killed, stopped and broken."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ModelError
from rtdenoise.live_audio.record import audible_delay
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

ENGINE = "tests.live.harness:slow_engine"


def engine_plan(engine: str = ENGINE):
    return plan("bypass", engine=engine, engine_always=True, howl_guard=False)


def wet_running(live):
    """The engine answers in time."""
    record = live.session.region.live
    live.session.set_parameter("wet_target", 1.0)
    live.wait(lambda: record["engine_weight"][0] == 1.0, 20.0)
    return record


def tone(seconds: float, rate: int) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 200.0 / rate * np.arange(int(seconds * rate)))).astype(np.float32)


def test_engine_answers_to_the_sample_one_block_later(server):
    with VirtualCard(server.name) as card, running(engine_plan()) as live:
        card.wait_connected()
        record = wet_running(live)
        signal_in = noise(3.0, card.rate)
        heard = card.play_record(signal_in)
        delay, late = audible_delay(record), int(record["dry_blocks"][0])
        steps = int(record["engine_steps"][0])
    assert delay == 96 + 128, "the method's latency and one block"
    assert steps > 3.0 * card.rate / 64
    same = heard[delay : delay + signal_in.size] == np.float32(0.5) * signal_in
    assert np.count_nonzero(~same) <= late * 1100, "every sample is the engine's answer, but for what was counted late"
    assert np.mean(same) > 0.9


def test_killed_engine_is_replaced_and_the_dry_signal_plays_meanwhile(server):
    told: list[str] = []
    with VirtualCard(server.name) as card, running(engine_plan(), told) as live:
        card.wait_connected()
        card.set_idle(tone(1.0, card.rate))
        record = wet_running(live)
        live.wait(lambda: live.session._engines._spare is not None and live.session._engines._spare.alive)
        time.sleep(2.0)
        before = int(record["n"][0])
        os.kill(live.session._engines._working.pid, signal.SIGKILL)
        live.wait(lambda: record["was_wet"][0] == 0, 30.0)
        live.wait(lambda: record["was_wet"][0] == 1, 10.0)
        live.wait(lambda: record["engine_weight"][0] == 1.0, 10.0)
        rings, now = live.session.region.attached_rings(), int(record["n"][0])
        clean = rings["clean"][np.arange(before, now) % rings["clean"].shape[0], 0]
    assert live.session.engine_restarts == 1
    assert any("engine" in line for line in told)
    assert 0.39 < abs(clean).max() < 0.5, "the dry signal, twice the engine's, was heard"
    steepest = 0.4 * 2 * np.pi * 200.0 / card.rate
    assert abs(np.diff(clean)).max() < 2.0 * steepest, "and nothing clicked: the step was six times that"


def test_stopped_engine_skips_what_it_missed_and_latency_does_not_grow(server):
    with VirtualCard(server.name) as card, running(engine_plan()) as live:
        card.wait_connected()
        record = wet_running(live)
        delay = audible_delay(record)
        pid = live.session._engines._working.pid
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(0.5, os.kill, (pid, signal.SIGCONT))
        timer.start()
        live.wait(lambda: record["was_wet"][0] == 0, 30.0)
        live.wait(lambda: record["was_wet"][0] == 1 and record["engine_weight"][0] == 1.0, 30.0)
        signal_in = noise(0.5, card.rate)
        heard = card.play_record(signal_in)
        assert record["engine_skipped"][0] > 0
        assert audible_delay(record) == delay
    late = heard[delay : delay + signal_in.size] != np.float32(0.5) * signal_in
    assert np.mean(late) < 0.2


def test_broken_engine_is_one_clear_error(server):
    with (
        VirtualCard(server.name),
        pytest.raises(ModelError, match="no such network"),
        running(engine_plan("tests.live.harness:broken_engine")),
    ):
        pass


def test_bypass_of_an_engine_is_the_exact_input_at_equal_latency(server):
    with VirtualCard(server.name) as card, running(engine_plan()) as live:
        card.wait_connected()
        record = wet_running(live)
        live.session.set_bypass(True)
        live.wait(lambda: record["engine_weight"][0] == 0.0, 30.0)
        signal_in = noise(0.5, card.rate)
        heard = card.play_record(signal_in)
        delay = audible_delay(record)
    assert_array_equal(heard[delay : delay + signal_in.size], signal_in)
