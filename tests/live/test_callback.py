"""What runs in PortAudio's thread, function by function, over arrays: no server, no device, no process."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.live_audio.callback.block import deliver, finish, hold_back, protect, take_device, take_source
from rtdenoise.live_audio.callback.meters import count_end, count_levels, count_start, histogram_index
from rtdenoise.live_audio.callback.render import render, towards
from rtdenoise.live_audio.record import (
    FINISHED,
    HISTOGRAM_BINS,
    HISTOGRAM_FLOOR_NS,
    LIVE,
    RUNNING,
    STOPPING,
    prepare,
)

RATE, HOP, CAPACITY = 16000, 64, 640


def record(channels=1, channels_in=1, channels_out=1, latency=64, **fields):
    live = np.zeros(1, LIVE)
    prepare(
        live,
        rate=RATE,
        channels=channels,
        channels_in=channels_in,
        channels_out=channels_out,
        hop=HOP,
        latency=latency,
    )
    live["capacity"], live["wait"], live["fade"] = CAPACITY, 0, 1.0
    for name, value in fields.items():
        live[name] = value
    return live


def ring(channels=1, seed=None):
    if seed is None:
        return np.zeros((CAPACITY, channels), np.float32)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (CAPACITY, channels)).astype(np.float32)


def at(position, n):
    return (position + np.arange(n)) % CAPACITY


# --- input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 100, CAPACITY - 10, 7 * CAPACITY + CAPACITY - 1])
def test_a_block_goes_into_the_ring_at_its_position_and_around_its_end(position):
    live, noisy, block = record(channels=2, channels_in=2, n_in=position), ring(2), ring(2, seed=1)[:96]
    take_device(live[0], block, noisy)
    assert_array_equal(noisy[at(position, 96)], block)
    assert np.count_nonzero(noisy.any(1)) == 96 and live["n_in"][0] == position + 96


def test_several_channels_become_one_by_their_mean_and_missing_ones_repeat_the_last():
    block = ring(3, seed=2)[:64]
    mono, noisy = record(channels=1, channels_in=3), ring(1)
    take_device(mono[0], block, noisy)
    assert_allclose(noisy[:64, 0], block.mean(1), atol=1e-7)
    four, noisy = record(channels=4, channels_in=3), ring(4)
    take_device(four[0], block, noisy)
    assert_array_equal(noisy[:64, :3], block)
    assert_array_equal(noisy[:64, 3], block[:, 2])


def test_what_is_not_a_number_counts_as_silence_and_is_counted():
    block = np.full((64, 1), 0.25, np.float32)
    block[[3, 5, 8]] = np.array([np.nan, np.inf, -np.inf], np.float32)[:, None]
    live, noisy = record(), ring()
    take_device(live[0], block, noisy)
    assert_array_equal(np.flatnonzero(noisy[:64, 0] == 0.0), [3, 5, 8])
    assert live["bad_samples"][0] == 3


def test_a_source_that_is_late_or_over_is_silence_and_counted_apart():
    source, noisy = ring(seed=3), ring()
    live = record(n_source=40, n_taken=0)
    live["source_end"] = -1
    take_source(live[0], 64, source, noisy)
    assert_array_equal(noisy[:40], source[:40])
    assert not noisy[40:64].any()
    assert (live["missing"][0], live["drained"][0], live["n_taken"][0], live["n_in"][0]) == (24, 0, 40, 64)
    live["source_end"] = 40
    take_source(live[0], 64, source, noisy)
    assert (live["missing"][0], live["drained"][0], live["n_in"][0]) == (24, 64, 128)
    ending = record(n_source=40, source_end=40)
    take_source(ending[0], 64, source, ring())
    assert (ending["missing"][0], ending["drained"][0]) == (0, 24), "the rest of its last block"


def test_nothing_is_missing_before_the_source_begins():
    live, noisy = record(), ring(seed=4)
    live["source_end"] = -1
    take_source(live[0], 64, ring(seed=5), noisy)
    assert live["missing"][0] == 0 and not noisy[:64].any()


# --- waiting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("block", "wait"), [(64, 0), (128, 0), (48, 48), (100, 60), (63, 63), (1, 63)])
def test_the_wait_is_the_least_that_serves_every_later_block(block, wait):
    live = record()
    live["wait"] = -1
    for _ in range(50):
        live["n_in"] += block
        hold_back(live[0], block)
        live["n"] += block
    assert live["wait"][0] == wait == HOP - np.gcd(HOP, block)
    assert live["inserted"][0] == 0


def test_a_larger_block_makes_the_wait_grow_once_and_it_is_counted():
    live = record()
    live["wait"] = -1
    for block in (64, 64, 100, 100, 28, 64):
        live["n_in"] += block
        hold_back(live[0], block)
        assert live["n"][0] + block - live["wait"][0] <= live["n_in"][0] // HOP * HOP
        live["n"] += block
    assert live["wait"][0] == live["inserted"][0] > 0


def test_an_engine_gets_its_queue_and_more_if_the_block_grows():
    live = record(engine_on=1, engine_hop=128, engine_queue=128)
    live["wait"] = live["engine_wait"] = -1
    hold_back(live[0], 64)
    assert live["engine_wait"][0] == 128 - 64 + 128 and live["engine_block"][0] == 64
    hold_back(live[0], 300)
    assert live["engine_wait"][0] == 128 - 1 + 300
    assert live["inserted"][0] >= 300 - 64


# --- what is heard ---------------------------------------------------------------------------------------------------


def test_wet_is_heard_late_by_the_wait_and_dry_late_by_the_latency_too():
    noisy, wet, clean = ring(seed=6), ring(seed=7), ring()
    live = record(latency=64, n=300)
    live["wait"] = 48
    render(live[0], 100, noisy, wet, ring(), clean)
    assert_array_equal(clean[at(300, 100)], wet[at(300 - 48, 100)])
    live["weight"] = live["wet_target"] = 0.0
    render(live[0], 100, noisy, wet, ring(), clean)
    assert_array_equal(clean[at(300, 100)], noisy[at(300 - 48 - 64, 100)])


def test_before_the_first_sample_there_is_silence():
    live, clean = record(latency=64), ring(seed=8)
    live["wait"], live["weight"], live["wet_target"] = 48, 0.0, 0.0
    render(live[0], 128, ring(seed=9), ring(seed=10), ring(), clean)
    assert not clean[: 48 + 64].any() and clean[48 + 64 : 128].all()


def test_bypass_fades_from_wet_to_dry_within_20_ms():
    noisy, wet, clean = ring() + np.float32(1.0), ring(), ring()
    live = record(latency=0, n=320)
    live["wet_target"] = 0.0
    render(live[0], 400, noisy, wet, ring(), clean)
    heard = clean[at(320, 400), 0]
    assert np.all(np.diff(heard) >= -1e-6) and np.max(np.diff(heard)) <= 1.01 / 320
    assert heard[0] < 0.01 and heard[330] == 1.0 and live["weight"][0] == 0.0


@pytest.mark.parametrize(("value", "target"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_a_fade_reaches_its_target_and_stays(value, target):
    value, target, step = np.float32(value), np.float32(target), np.float32(0.3)
    for _ in range(4):
        value = np.float32(towards(value, target, step))
    assert value == target


def engine_record(**fields):
    live = record(n=320, engine_on=1, engine_hop=64, engine_latency=0, engine_steps=1, **fields)
    for name in ("share", "share_target", "engine_weight", "was_wet"):
        live[name] = 1
    live["engine_wait"] = 64
    return live


def test_answers_that_are_there_are_heard():
    answers, clean = ring(seed=11), ring()
    live = engine_record(engine_n=10_000)
    render(live[0], 128, ring(seed=12), ring(), answers, clean)
    assert_array_equal(clean[at(320, 128)], answers[at(256, 128)])
    assert live["dry_blocks"][0] == live["dry_samples"][0] == 0


def test_where_an_answer_is_late_the_dry_signal_takes_over_without_a_step():
    noisy, answers, clean = ring() + np.float32(0.8), ring() + np.float32(0.2), ring()
    live = engine_record(engine_n=256 + 40)
    render(live[0], 64, noisy, ring(), answers, clean)
    heard = clean[at(320, 64), 0]
    assert_allclose(heard[:40], 0.2, atol=1e-6)
    assert np.max(np.abs(np.diff(heard))) < 0.02, "no click where the dry signal takes over"
    assert np.all(np.diff(heard[40:]) > 0.0) and heard[-1] > heard[39]
    assert live["dry_blocks"][0] == 1 and live["dry_samples"][0] == 24
    live["n"], live["engine_n"] = 384, 10_000
    render(live[0], 64, noisy, ring(), answers, clean)
    assert abs(clean[384, 0] - heard[-1]) < 0.02, "nor where answers come back"


def test_answers_of_before_a_skip_are_not_heard():
    noisy, answers, clean = ring() + np.float32(0.8), ring() + np.float32(0.2), ring()
    live = engine_record(engine_n=10_000, engine_from=10_000)
    render(live[0], 64, noisy, ring(), answers, clean)
    assert live["dry_samples"][0] == 64


def test_an_engine_that_has_not_begun_is_not_late():
    live = engine_record(engine_n=0)
    live["engine_steps"] = live["was_wet"] = 0
    render(live[0], 64, ring(seed=13), ring(), ring(), ring())
    assert live["dry_blocks"][0] == 0


def test_a_limit_that_the_method_does_not_keep_adds_the_dry_signal():
    noisy, answers, clean = ring() + np.float32(0.8), ring(), ring()
    live = engine_record(engine_n=10_000, engine_gain_min=0.25)
    render(live[0], 64, noisy, ring(), answers, clean)
    assert_allclose(clean[at(320, 64), 0], 0.25 * 0.8, atol=1e-6)
    live["engine_limits"] = 1
    render(live[0], 64, noisy, ring(), answers, clean)
    assert not clean[at(320, 64)].any()


# --- protection ------------------------------------------------------------------------------------------------------


def test_what_is_below_the_ceiling_passes_to_the_bit():
    clean = ring(2, seed=14)
    before, live = clean.copy(), record(channels=2)
    protect(live[0], 500, clean)
    assert_array_equal(clean, before)
    assert live["limited"][0] == 0


@pytest.mark.parametrize("peak", [1.5, 4.0])
def test_no_sample_exceeds_the_ceiling_and_the_limiter_lets_go_afterwards(peak):
    clean, live = ring() + np.float32(0.5), record()
    clean[100:200] = peak
    protect(live[0], 600, clean)
    assert np.max(np.abs(clean)) <= live["ceiling"][0] * (1 + 1e-6)
    assert_array_equal(clean[:100], 0.5)
    assert clean[200, 0] == pytest.approx(0.5 * live["ceiling"][0] / peak, rel=0.01), "it takes hold at once"
    assert clean[200, 0] < clean[400, 0] < clean[599, 0] < 0.5, "and lets go slowly"
    assert live["limited"][0] == 500, "every sample from the first loud one on"
    for _ in range(60):
        clean[:] = 0.5
        protect(live[0], 600, clean)
    assert_array_equal(clean[:600], 0.5)


def test_both_channels_are_limited_alike():
    clean, live = np.tile(np.array([2.0, 0.5], np.float32), (CAPACITY, 1)), record(channels=2)
    protect(live[0], 64, clean)
    assert_allclose(clean[:64, 0] / clean[:64, 1], 4.0, rtol=1e-6)


def test_a_stream_fades_in_over_50_ms_and_out_in_10():
    clean, live = ring() + np.float32(0.5), record()
    live["fade"] = 0.0
    protect(live[0], 600, clean)
    assert 0.0 < clean[0, 0] < 0.001 and np.all(np.diff(clean[:600, 0]) > 0.0)
    live["fade"], live["phase"] = 1.0, STOPPING
    clean[:] = 0.5
    protect(live[0], 200, clean)
    assert clean[0, 0] < 0.5 and not clean[160:200].any() and live["fade"][0] == 0.0


def test_loudness_and_the_howl_guard_turn_the_output_down():
    clean, live = ring() + np.float32(0.5), record(loudness=0.5, howl_gain=0.1)
    protect(live[0], 640, clean)
    assert clean[0, 0] == pytest.approx(0.25, rel=0.01)
    assert clean[-1, 0] == pytest.approx(0.025, rel=1e-5)


# --- output ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, CAPACITY - 5])
@pytest.mark.parametrize(("channels", "outputs"), [(1, 1), (1, 2), (2, 2), (2, 1), (3, 2), (2, 4)])
def test_channels_are_spread_mixed_or_left_out(channels, outputs, position):
    clean, block = ring(channels, seed=15), np.full((64, outputs), np.nan, np.float32)
    deliver(record(channels=channels, channels_out=outputs, n=position)[0], clean, block)
    heard = clean[at(position, 64)]
    if channels == 1:
        expected = np.repeat(heard, outputs, 1)
    elif outputs == 1:
        expected = heard.mean(1, keepdims=True)
    else:
        expected = np.zeros((64, outputs), np.float32)
        expected[:, : min(channels, outputs)] = heard[:, :outputs]
    assert_allclose(block, expected, atol=1e-7)


def test_a_stream_is_over_when_its_source_was_played_or_its_fade_has_ended():
    assert finish(record()[0], 0, 64) == 0
    playing = record(drained=10, latency=64, source_end=5)
    playing["wait"] = 48
    assert finish(playing[0], 0, 64) == 0
    playing["drained"] = 48 + 64
    assert finish(playing[0], 0, 64) == 1 and playing["phase"][0] == FINISHED and playing["n"][0] == 128
    stopping = record(phase=STOPPING)
    assert finish(stopping[0], 0, 64) == 0
    stopping["fade"] = 0.0
    assert finish(stopping[0], 0, 64) == 1
    engine = record(drained=48 + 64, latency=64, source_end=5, share_target=1.0, engine_latency=500)
    engine["wait"], engine["engine_wait"] = 48, 100
    assert finish(engine[0], 0, 64) == 0 and engine["phase"][0] == RUNNING, "the engine's path is longer"


# --- counting --------------------------------------------------------------------------------------------------------


def test_times_fall_into_bins_whose_ends_take_everything_beyond():
    assert histogram_index(0) == histogram_index(HISTOGRAM_FLOOR_NS) == 0
    assert histogram_index(2 * HISTOGRAM_FLOOR_NS) == 16
    assert histogram_index(10**15) == HISTOGRAM_BINS - 1


def test_jitter_is_the_difference_between_an_interval_and_its_block():
    live = record()
    for now in (1_000_000, 5_000_000, 9_500_000):
        count_start(live[0], now, 64, 0)
    assert live["jitter_max_ns"][0] == 500_000 and live["jitter_histogram"][0].sum() == 2
    assert (live["first_ns"][0], live["last_ns"][0], live["callbacks"][0]) == (1_000_000, 9_500_000, 3)


def test_each_status_bit_has_a_counter_of_its_own():
    live = record()
    for flags in (0b1, 0b10, 0b10010):
        count_start(live[0], 1, 64, flags)
    assert_array_equal(live["flag_counts"][0], [1, 2, 0, 0, 1])


@pytest.mark.parametrize(("spent_ns", "late"), [(3_999_000, 0), (4_001_000, 1)])
def test_a_callback_is_late_when_it_took_longer_than_its_block_lasts(spent_ns, late):
    live = record()
    count_end(live[0], 1000, 1000 + spent_ns, 64)
    assert live["late_blocks"][0] == late and live["compute_max_ns"][0] == live["compute_sum_ns"][0] == spent_ns


def test_levels_are_sums_of_squares_and_peaks_and_zeros_in_a_row_are_counted():
    noisy, clean, live = ring(2, seed=16), ring(2, seed=17), record(channels=2)
    noisy[20:64] = 0.0
    count_levels(live[0], noisy, clean, 0, 64)
    assert live["energy_in"][0] == pytest.approx(np.sum(noisy[:64].astype(float) ** 2))
    assert live["energy_out"][0] == pytest.approx(np.sum(clean[:64].astype(float) ** 2))
    assert live["peak_in"][0] == np.max(np.abs(noisy[:64])) and live["zero_run"][0] == 44
    count_levels(live[0], noisy, clean, 64, 64)
    assert live["zero_run"][0] == 0
