"""What the screen and the reports say, and what the keys do, before, during and between streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from rich.console import Console

from rtdenoise.cli.live.screen import Screen
from rtdenoise.live_audio.controls import Mark
from rtdenoise.live_audio.ends.recorder import Recorder
from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.monitor import Monitor, count_xruns
from rtdenoise.live_audio.record import FLAGS, LIVE
from rtdenoise.live_audio.session import Session
from tests.live.harness import plan, running
from tests.virtual_card.card import VirtualCard


@contextmanager
def screen_of(session: Session, folder) -> Iterator[Screen]:
    screen = Screen(session, lambda: None, Recorder(session, folder, lambda _line: None), lambda: Mark(0.0, ""))
    try:
        yield screen
    finally:
        screen.close()


def text_of(screen: Screen) -> str:
    console = Console(width=150)
    with console.capture() as captured:
        console.print(screen.render())
    return captured.get()


def row(screen: Screen, name: str) -> str:
    return next(line for line in text_of(screen).splitlines() if line.startswith(name))


def stream() -> np.ndarray:
    live = np.zeros(1, LIVE)
    live["rate"], live["block"], live["channels"], live["channels_in"] = 16000, 128, 1, 1
    return live


def test_an_interval_counts_its_own_lost_samples():
    """As all its other counts; those of an earlier stream stay in the sum."""
    monitor, counts = Monitor(), []
    for gap_seconds in (0.25, 0.125):
        live = stream()
        monitor.open(live, Opened())
        for block in range(1500):
            seconds = block * 128 / 16000 + gap_seconds * (block > 500)
            live["callbacks"], live["n"], live["first_ns"] = block + 2, block * 128, int(1e9)
            live["adc_seconds"], live["last_ns"] = 7.0 + seconds, int((seconds + 1.0) * 1e9)
            monitor.update()
        counts.append(monitor.interval()["lost"])
    assert counts == [pytest.approx(4000, abs=128), pytest.approx(2000, abs=128)]
    assert monitor.interval()["lost"] == 0
    assert monitor.total()["lost"] == sum(counts)


def test_what_is_played_before_the_first_block_is_no_xrun():
    live = stream()
    monitor = Monitor()
    monitor.open(live, Opened())
    live["flag_counts"][0, FLAGS.index("priming_output")] = 3
    live["flag_counts"][0, FLAGS.index("input_overflow")] = 2
    assert count_xruns(monitor.total()) == 2


def test_before_the_first_audio_the_screen_stands_and_takes_keys(server, tmp_path):
    with VirtualCard(server.name):
        session = Session(plan("WF"), lambda _line: None)
        try:
            with screen_of(session, tmp_path) as screen:
                for key in "+-sbm":
                    screen.press(key)
                assert row(screen, "latency").split() == ["latency", "-"]
                assert "limit -" in row(screen, "noise")
                assert "audio has not started yet" in text_of(screen)
        finally:
            session.close()


def test_while_it_waits_the_limit_is_the_one_it_will_have_again(server_of, tmp_path):
    server = server_of(realtime=False)
    with running(plan("WF", source="mic", target="speaker")) as live, screen_of(live.session, tmp_path) as screen:
        screen.press("+")
        limit = live.session.attenuation_limit_db
        assert f"limit {limit:.0f} dB" in row(screen, "noise")
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        for _ in range(3):
            screen.press("+")
        assert f"limit {limit:.0f} dB" in row(screen, "noise")
        server.start()
        live.wait(lambda: live.session.state == "running", 30.0)
        assert live.session.attenuation_limit_db == pytest.approx(limit)


def test_behind_a_bypass_that_was_chosen_stands_a_method_with_its_name(server, tmp_path):
    with VirtualCard(server.name), running(plan("bypass")) as live, screen_of(live.session, tmp_path) as screen:
        record = live.session.region.live
        assert text_of(screen).startswith("rtdenoise  bypass")
        screen.press("b")
        live.wait(lambda: record["weight"][0] == 1.0, 30.0)
        assert live.session.method == "WF"
        assert record["rule"][0] == live.session._rules["WF"]
        assert text_of(screen).startswith("rtdenoise  WF")
        screen.press("b")
        live.wait(lambda: record["weight"][0] == 0.0, 30.0)
        assert text_of(screen).startswith("rtdenoise  bypass")
