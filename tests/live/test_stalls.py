"""Servers and devices that stop answering without ending."""

from __future__ import annotations

import signal
import time
from contextlib import suppress

import numpy as np
import pytest

from rtdenoise.live_audio.record import audible_delay
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running, stopped
from tests.live.test_exactness import noise
from tests.live.test_faults import ours, start_live, wait_for_line
from tests.virtual_card.card import VirtualCard


def measured_delay(card: VirtualCard) -> int:
    """Samples from the microphone to the speaker, by what arrives; a busy machine may need several attempts."""
    signal_in = noise(0.5, card.rate)
    for _ in range(20):
        with suppress(RuntimeError):  # the server skipped cycles: nothing was proved
            heard = card.play_record(signal_in)
            return int(np.argmax(np.correlate(heard, signal_in, "valid")))
    raise AssertionError("the server never played half a second without a gap")


def counted(live) -> int:
    record = live.session.region.live[0]
    return int(record["flag_counts"].sum() + record["play_flag_counts"].sum()) + live.session.monitor.lost


def lead(live) -> float:
    record = live.session.region.live[0]
    return float(record["n"] - record["play_position"]) if record["play_rate"] else 0.0


@pytest.mark.parametrize("two_clocks", [None, True])
def test_an_output_that_stalls_for_two_seconds_is_counted_and_costs_no_latency(server_of, two_clocks):
    """The speaker's program is stopped; the ordinary server goes on without it, and so does the session."""
    server = server_of(synchronous=False, realtime=may_run_in_real_time())
    told: list[str] = []
    wanted = plan("bypass", howl_guard=False, two_clocks=two_clocks)
    with VirtualCard(server.name) as card, running(wanted, told) as live:
        card.wait_connected()
        time.sleep(2.0)
        delay, lead_before, before = measured_delay(card), lead(live), counted(live)
        with stopped(card._process.pid):
            time.sleep(2.0)
        time.sleep(2.0)
        assert counted(live) > before or any("gone" in line for line in told)
        assert live.session.state == "running"
        assert abs(lead(live) - lead_before) < 2 * card.period
        block = 2 * card.period if two_clocks else 0  # the lead may still be settling
        assert abs(measured_delay(card) - delay) <= block
        if two_clocks is None:
            assert delay == audible_delay(live.session.region.live)
    assert ours(server) == []


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_a_server_that_hangs_keeps_nobody_from_ending(server_of, seconds):
    server = server_of(synchronous=False, realtime=may_run_in_real_time())
    with VirtualCard(server.name):
        process = start_live("--json")
        wait_for_line(process)
        with stopped(server._process.pid):
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
            left = ours(server)
    assert process.returncode == 0
    assert left == []
