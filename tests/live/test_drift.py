"""Two clocks: what one device records another plays for an hour, without a drop, a gap or a growing delay."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from rtdenoise.live_audio.callback.drift import play_block
from rtdenoise.live_audio.callback.interpolator import PHASES, TAPS, interpolator
from rtdenoise.live_audio.record import LIVE, prepare
from tests.live.harness import plan, running
from tests.virtual_card.card import VirtualCard

RATE, BLOCK, TONE_HZ = 16000, 128, 440.0


@numba.njit
def simulate(live, table, clean, out, seconds, ppm, stall_at, leads, levels):
    """Capture and playback callbacks in the order of their times; a tone of amplitude 0.5 goes through."""
    record = live[0]
    in_ns = BLOCK / RATE * 1e9
    out_ns = BLOCK / record.play_rate * 1e9 * (1.0 + ppm * 1e-6)
    next_in, next_out, at = 0.0, 3.3e6, 0
    while next_out < seconds * 1e9:
        if next_in <= next_out:
            record.last_ns = int(next_in)
            for n in range(BLOCK):
                clean[(record.n + n) % clean.shape[0], 0] = 0.5 * np.sin(2 * np.pi * TONE_HZ / RATE * (record.n + n))
            record.n += BLOCK
            next_in += in_ns
            continue
        if not stall_at <= next_out * 1e-9 < stall_at + 0.5:
            play_block(record, int(next_out), table, clean, out)
            second = int(next_out * 1e-9)
            if second < leads.size:
                leads[second] = record.n - record.play_position
                for n in range(BLOCK):
                    levels[second] = max(levels[second], abs(out[n, 0]))
        next_out += out_ns
        at += 1


def run(seconds, ppm, rate_out=RATE, stall_at=1e9):
    live = np.zeros(1, LIVE)
    prepare(live, rate=RATE, channels=1, channels_in=1, channels_out=0, hop=64, latency=64)
    live["play_rate"], live["play_channels"], live["block"] = rate_out, 1, BLOCK
    clean, out = np.zeros((4 * RATE, 1), np.float32), np.zeros((BLOCK, 1), np.float32)
    leads, levels = np.zeros(int(seconds)), np.zeros(int(seconds))
    simulate(live, interpolator(RATE, rate_out), clean, out, seconds, ppm, stall_at, leads, levels)
    return live[0], leads, levels


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_an_hour_of_200_ppm_loses_nothing(ppm):
    live, leads, levels = run(3600.0, ppm)
    assert live["play_starved"] == 0
    assert live["play_jumps"] == 0
    assert live["play_drift"] == pytest.approx(ppm * 1e-6, abs=5e-6)
    settled = leads[60:]
    assert settled.max() - settled.min() < 2.5 * BLOCK, "the lead keeps its place"
    assert abs(levels[60:] - 0.5).max() < 0.01


def test_without_drift_the_lead_would_have_run_away():
    """What 200 ppm are over an hour: the test above cannot pass by standing still."""
    assert 200e-6 * 3600 * RATE > 10 * 3 * BLOCK


def test_a_stall_of_half_a_second_is_made_up_for_within_two():
    live, leads, _ = run(20.0, 0.0, stall_at=10.0)
    assert live["play_jumps"] >= 1
    assert abs(leads[13:] - leads[8]).max() < 2 * BLOCK


@pytest.mark.parametrize("rate_out", [44100, 48000, 8000])
def test_devices_of_different_rates_are_joined(rate_out):
    live, _, levels = run(60.0, 100.0, rate_out=rate_out)
    assert live["play_starved"] == 0
    assert abs(levels[30:] - 0.5).max() < 0.01


def test_interpolator_passes_a_constant_exactly_and_has_no_gap_between_phases():
    table = interpolator(16000, 16000)
    assert table.shape == (PHASES + 1, TAPS)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(table[0, :-1], table[PHASES, 1:], atol=2e-3)


def test_two_streams_through_the_real_server(server):
    """Input and output opened apart: their lead settles, and the tone arrives whole."""
    with VirtualCard(server.name) as card, running(plan("bypass", two_clocks=True, howl_guard=False)) as live:
        card.wait_connected()
        record = live.session.region.live
        tone = (0.5 * np.sin(2 * np.pi * TONE_HZ / card.rate * np.arange(8 * card.rate))).astype(np.float32)
        heard = card.play_record(tone)
        assert record["play_callbacks"][0] > 100
        budget = live.session.monitor.budget()
        assert record["play_starved"][0] < card.rate // 10
    loud = np.flatnonzero(abs(heard) > 0.25)
    middle = heard[loud[0] + 4 * card.rate : loud[0] + 5 * card.rate]
    spectrum = abs(np.fft.rfft(middle * np.hanning(middle.size)))
    peak = int(np.argmax(spectrum))
    assert abs(peak * card.rate / middle.size - TONE_HZ) < 2.0
    assert np.sum(spectrum[peak - 3 : peak + 4] ** 2) > 0.99 * np.sum(spectrum**2)
    delay_ms = 1000 * loud[0] / card.rate
    assert delay_ms < budget["total"] + 1000 * 2 * card.period / card.rate
