"""Through a real PortAudio stream: what comes out of the speaker, to the sample and to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.live_audio.record import audible_delay
from rtdenoise.live_audio.shared_memory import span_of
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running
from tests.virtual_card.card import VirtualCard


def noise(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.1, int(seconds * rate)).clip(-0.9, 0.9).astype(np.float32)


def test_bypass_loses_no_sample_and_the_reported_round_trip_is_the_measured_one(server):
    with VirtualCard(server.name) as card, running(plan("bypass")) as live:
        card.wait_connected()
        signal = noise(60.0, card.rate)
        heard = card.play_record(signal, fast=True)
        delay = audible_delay(live.session.region.live)
    assert np.count_nonzero(heard[delay : delay + signal.size] != signal) == 0
    assert_array_equal(heard[:delay], 0.0)


@pytest.mark.parametrize(("rate", "period", "block"), [(16000, 1024, None), (48000, 64, None), (48000, 256, 100)])
def test_bypass_is_exact_at_any_block(server_of, rate, period, block):
    """One rate beside the usual one: every rate is a compilation of its own."""
    server = server_of(rate=rate, period=period)
    with VirtualCard(server.name) as card, running(plan("bypass", block=block)) as live:
        card.wait_connected()
        signal = noise(1.0, rate)
        heard = card.play_record(signal, fast=True)
        delay = audible_delay(live.session.region.live)
    start = int(np.flatnonzero(heard)[0])
    assert start >= delay if block else start == delay, "PortAudio cuts the server's blocks into others, at a delay"
    assert_array_equal(heard[start : start + signal.size], signal)


@pytest.mark.parametrize("method", ["WF", "SS"])
def test_live_output_is_offline_output_to_the_bit(server, method):
    """The stream began before the signal: so does the offline run, with what the microphone gave until then."""
    with VirtualCard(server.name) as card, running(plan(method)) as live:
        card.wait_connected()
        signal = noise(2.0, card.rate)
        heard = card.play_record(signal)
        region, rings = live.session.region, live.session.region.attached_rings()
        n = int(region.live["n"][0])
        assert n < rings["noisy"].shape[0], "the rings must still hold the stream's first sample"
        noisy, delay = span_of(rings["noisy"], 0, n)[:, 0], audible_delay(region.live)
    (start,) = np.flatnonzero(noisy == signal[0])[:1]
    assert_array_equal(noisy[start : start + signal.size], signal)
    expected = rtdenoise.denoise(noisy, card.rate, method=method, preset="low")
    assert_array_equal(heard[delay : delay + signal.size], expected[start : start + signal.size])
    assert np.std(expected[start:]) < 0.9 * np.std(signal), "nothing was enhanced"


@pytest.mark.parametrize("model", ["can-live", "can-small"])
def test_a_network_in_the_callback_at_48_khz_is_the_offline_output_to_the_bit(server_of, model):
    server, told = server_of(rate=48000, period=128, realtime=may_run_in_real_time()), []
    asked = plan("CAN", model=model, run_in="callback", howl_guard=False)
    with VirtualCard(server.name) as card, running(asked, told) as live:
        card.wait_connected()
        signal = noise(1.5, card.rate)
        heard = card.play_record(signal)
        region, rings = live.session.region, live.session.region.attached_rings()
        n = int(region.live["n"][0])
        assert n < rings["noisy"].shape[0], "the rings must still hold the stream's first sample"
        noisy, delay = span_of(rings["noisy"], 0, n)[:, 0], audible_delay(region.live)
        assert live.session._engines._working is None, "no engine process"
        assert region.live["engine_inside"][0] == 1 and region.live["dry_blocks"][0] == 0
    (start,) = np.flatnonzero(noisy == signal[0])[:1]
    assert_array_equal(noisy[start : start + signal.size], signal)
    expected = rtdenoise.denoise(noisy, card.rate, "CAN", model=model)
    assert_array_equal(heard[delay : delay + signal.size], expected[start : start + signal.size])
    assert np.std(expected[start:]) < 0.9 * np.std(signal), "nothing was enhanced"
