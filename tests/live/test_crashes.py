"""What dies again and again: it is replaced at once, then less and less often, and it does not fill the screen."""

from __future__ import annotations

import itertools
import os
import signal
import time

import numpy as np
import pytest

from rtdenoise.live_audio.engine import pair
from tests.live.harness import HalfAmplitude, plan, running
from tests.virtual_card.card import VirtualCard

HOPS = 60  # a quarter of a second


class Crashing(HalfAmplitude):
    """Ends its process after some work."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        super().__init__(sample_rate, channels, 0.0)
        self._left = HOPS

    def process(self, block, out) -> None:
        self._left -= 1
        if self._left < 0:
            os._exit(3)
        super().process(block, out)


class Failing(Crashing):
    """Raises an error after some work."""

    def process(self, block, out) -> None:
        if self._left == 1:
            raise ValueError("a weight is missing")
        super().process(block, out)


def crashing_engine(_settings, rate, channels):
    return Crashing(rate, channels)


def failing_engine(_settings, rate, channels):
    return Failing(rate, channels)


def crash_plan(name: str = "crashing_engine"):
    return plan("bypass", engine=f"{__name__}:{name}", engine_always=True, howl_guard=False)


def of_engine(told: list[str]) -> list[str]:
    return [line for line in told if "engine process" in line]


def test_an_engine_that_always_crashes_is_replaced_less_and_less_often_while_the_input_is_heard(server):
    told: list[str] = []
    with VirtualCard(server.name) as card, running(crash_plan(), told) as live:
        card.wait_connected()
        card.set_idle(np.full(card.rate, 0.25, np.float32))
        live.wait(lambda: live.session.engine_restarts == 1, 20.0)
        time.sleep(8.0)
        assert 2 <= live.session.engine_restarts <= 4, "at once, and 1, 2 and 4 seconds after a death"
        clean = live.session.region.attached_rings()["clean"]
        assert abs(clean).min() > 0.1
        assert live.session.reopened == 0
    assert len(of_engine(told)) == 1
    assert "the sound is unprocessed meanwhile" in of_engine(told)[0]


def test_the_tenth_death_is_told_and_those_between_are_not(server, monkeypatch):
    monkeypatch.setattr(pair, "_BACKOFF_SECONDS", (0.0, 0.01))
    told: list[str] = []
    with VirtualCard(server.name), running(crash_plan("failing_engine"), told) as live:
        live.session.set_parameter("wet_target", 1.0)
        live.wait(lambda: live.session.engine_restarts >= 10, 120.0)
    assert len(of_engine(told)) == 2
    assert "a weight is missing" in of_engine(told)[0]
    assert "10th time" in of_engine(told)[1]


def test_an_engine_that_lived_long_is_replaced_at_once_and_told(server, monkeypatch):
    monkeypatch.setattr(pair, "_LONG_LIFE_SECONDS", 0.1)
    monkeypatch.setattr(pair, "_BACKOFF_SECONDS", (0.0, 1000.0))
    told: list[str] = []
    with VirtualCard(server.name), running(crash_plan(), told) as live:
        live.wait(lambda: live.session.engine_restarts >= 3, 60.0)
    assert len(of_engine(told)) >= 3


@pytest.mark.flaky(reruns=2)  # JACK may stall for 20 s where a client is killed, and what happens then is told, too
def test_devices_that_open_and_die_at_once_are_opened_less_and_less_often(server):
    """The audio process is killed as soon as blocks pass; only what was said to be gone is said to be back."""
    told: list[str] = []
    with VirtualCard(server.name), running(plan("bypass"), told) as live:
        session, waits = live.session, []
        for death in range(1, 6):
            os.kill(session._worker.pid, signal.SIGKILL)
            live.wait(lambda: session.state == "waiting", 10.0)
            waits.append(session._not_before - time.monotonic())
            live.wait(lambda n=death: session.reopened >= n and session.region.live["callbacks"][0] > 0, 60.0)
        time.sleep(0.2)
        told_of = [line == "audio is back" for line in told if line == "audio is back" or "the devices again" in line]
        assert told_of[0] is False and any(told_of)
        assert not any(back and again for back, again in itertools.pairwise(told_of))
        assert sum("the audio process ended" in line for line in told) <= 2
        assert waits[0] <= 0.0
        assert waits[4] > 0.8
        live.wait(lambda: session._attempts == 1, 20.0)
        assert session.region.live["last_ns"][0] - session.region.live["first_ns"][0] > 4.9e9
        n_back = told.count("audio is back")
        os.kill(session._worker.pid, signal.SIGKILL)
        live.wait(lambda: told.count("audio is back") == n_back + 1, 60.0)
