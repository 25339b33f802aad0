"""A compiled network inside the callback: the machine code of the audio process, over arrays; and the plan for it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.cache import kept_files
from rtdenoise.errors import ConfigError, DeviceError
from rtdenoise.live_audio.audio import pace
from rtdenoise.live_audio.audio.pace import Bench
from rtdenoise.live_audio.audio.shutdown import Shutdown
from rtdenoise.live_audio.audio.worker import Worker
from rtdenoise.live_audio.callback import outside
from rtdenoise.live_audio.callback.outside import compile_outside
from rtdenoise.live_audio.callback.programs import process_callback, start_of
from rtdenoise.live_audio.messages import Opened, packed
from rtdenoise.live_audio.monitor import Monitor
from rtdenoise.live_audio.record import audible_delay
from rtdenoise.methods.can.models import SPEC, WEIGHTS, write_files
from rtdenoise.methods.can.weights import weights_as_bytes
from tests.live.harness import plan
from tests.methods.can.networks import random_network

RATE, MODEL = 48000, "can-small"
FADE = 4800  # samples until the first fade-ins are over


def network_plan(channels=1, **fields):
    return plan("CAN", channels=channels, model=MODEL, **fields)


@pytest.fixture(scope="module")
def program():
    start = start_of(network_plan().settings, RATE, 1, with_network=True)
    return start, process_callback(start)


@pytest.fixture
def bench(program):
    return Bench(*program, RATE)


def voice(seconds, seed=0):
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 30)) * (np.sin(2 * np.pi * 2 * time) > 0)
    return (0.1 * tones + random.normal(0, 0.02, time.size)).astype(np.float32)[:, None]


def played(bench, signal, block):
    out = np.zeros_like(signal)
    for start in range(0, len(signal) - block + 1, block):
        bench.call(signal[start : start + block], out[start : start + block])
    return out[: len(signal) // block * block]


@pytest.mark.parametrize("block", [64, 100, 128, 256, 1000])
def test_what_is_heard_is_the_offline_output_to_the_bit_at_the_reported_delay(bench, block):
    signal = voice(1.5)
    out = played(bench, signal, block)[:, 0]
    delay, hop = audible_delay(bench.live), int(bench.live["engine_hop"][0])
    assert delay == hop - np.gcd(hop, block) + int(bench.live["engine_latency"][0])
    expected = rtdenoise.denoise(signal[:, 0], RATE, "CAN", model=MODEL)
    assert_array_equal(out[delay + FADE :], expected[FADE : out.size - delay])
    assert bench.live["dry_blocks"][0] == bench.live["engine_skipped"][0] == 0
    monitor = Monitor()
    monitor.open(bench.live, Opened())
    report = monitor.total()
    assert (report["run_in"], report["processing_rate_hz"], report["band_hz"]) == ("callback", RATE, RATE / 2)


def test_a_network_whose_weights_all_bands_share_runs_inside_too(tmp_path):
    network = random_network("banded")
    write_files(tmp_path, {SPEC: network.spec.as_json().encode(), WEIGHTS: weights_as_bytes(network)})
    settings = plan("CAN", channels=1, model=str(tmp_path)).settings
    start = start_of(settings, RATE, 1, with_network=True)
    bench, signal = Bench(start, process_callback(start), RATE), voice(0.7)
    out = played(bench, signal, 128)[:, 0]
    delay = audible_delay(bench.live)
    expected = rtdenoise.denoise(signal[:, 0], RATE, "CAN", model=str(tmp_path))
    assert_array_equal(out[delay + FADE :], expected[FADE : out.size - delay])
    assert bench.live["dry_blocks"][0] == 0


def test_switched_off_it_costs_nothing_and_switched_on_it_skips_what_it_missed(bench):
    signal = voice(1.0)
    played(bench, signal, 128)
    live = bench.live
    live["share_target"], steps = 0.0, None
    played(bench, signal, 128)
    live["engine_on"] = 0
    steps = int(live["engine_steps"][0])
    wf = played(bench, signal, 128)
    assert live["engine_steps"][0] == steps and np.std(wf) < 0.9 * np.std(signal)
    live["engine_on"], live["engine_weight"], live["was_wet"] = 1, 0.0, 0
    n, latency = int(live["n_in"][0]), int(live["engine_latency"][0])
    played(bench, signal[:128], 128)
    assert n <= live["engine_from"][0] - latency <= n + 128 and live["engine_skipped"][0] > 0.9 * RATE
    played(bench, signal[: 20 * 128], 128)
    assert live["was_wet"][0] == 1, "answers are there again"
    live["share_target"] = 1.0
    heard = played(bench, signal, 128)
    assert live["dry_samples"][0] == 0
    assert np.abs(np.diff(heard[:, 0])).max() < 1.5 * np.abs(np.diff(signal[:, 0])).max(), "no click"


@pytest.mark.parametrize("blocks", [(64, 128), (64, 256), (64, 384), (100, 128), (128, 128)])
def test_a_network_that_joins_after_blocks_of_other_lengths_is_never_late(program, blocks):
    start, callback = program
    bench, signal = Bench(replace(start, network=None), callback, RATE), voice(1.0)
    live = bench.live
    played(bench, signal[: blocks[0]], blocks[0])
    played(bench, signal[: 3 * blocks[1]], blocks[1])
    network = deepcopy(start.network)
    bench._start.connect_network(network, callback.network)
    network.expect(live)
    live["engine_on"] = 1
    played(bench, signal[: RATE // 4], blocks[1])
    assert live["was_wet"][0] == live["engine_weight"][0] == 1, "its answers are there"
    live["share_target"] = 1.0
    begin = int(live["engine_from"][0] - live["engine_latency"][0])
    position = int(live["n_in"][0])
    out, delay = played(bench, signal, blocks[1])[:, 0], audible_delay(live)
    assert live["dry_blocks"][0] == live["inserted"][0] == 0
    noisy = np.concatenate([signal[: blocks[0]], signal[: 3 * blocks[1]], signal[: RATE // 4 // blocks[1] * blocks[1]]])
    noisy = np.concatenate([noisy, signal])[begin:, 0]
    expected = rtdenoise.denoise(noisy, RATE, "CAN", model=MODEL)[position - begin - delay :]
    assert_array_equal(out[FADE:], expected[FADE : out.size])


@pytest.mark.usefixtures("program")
def test_what_is_not_kept_is_compiled_in_another_process(monkeypatch, tmp_path):
    asked = network_plan()
    compile_outside(packed(asked), RATE)  # kept: at once
    monkeypatch.setattr(outside, "network_is_kept", lambda *_: False)
    compile_outside(packed(asked), RATE)
    missing = plan("CAN", model=str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="none"):
        compile_outside(packed(missing), RATE)
    monkeypatch.setattr(outside, "_COMPILE_SECONDS", 0.01)
    with pytest.raises(DeviceError, match=r"can-small was not compiled within 0 s"):
        compile_outside(packed(asked), RATE)


def test_the_limit_is_the_users_at_any_time(bench):
    signal = np.random.default_rng(1).normal(0, 0.05, (RATE, 1)).astype(np.float32)
    played(bench, signal, 128)
    bench.live["engine_gain_min"] = 1.0
    played(bench, signal, 128)
    out, delay = played(bench, signal, 128), audible_delay(bench.live)
    assert np.abs(out[delay:] - signal[: len(out) - delay]).max() < 1e-3


def test_its_delay_at_48_khz_is_16_ms_and_less_than_a_block():
    live = start_of(network_plan().settings, RATE, 1, with_network=True).network
    assert live is not None and (live.latency_samples + live.block.size) / RATE == 0.016


def test_pauses_of_the_paced_measurement_are_not_part_of_it(program):
    times = Bench(*program, RATE).paced_us(384, 0.2)
    assert times.size == 25 and 1 < np.median(times) < 8000


@pytest.fixture
def seconds(monkeypatch, tmp_path):
    """How long each paced measurement took, with nothing kept from before."""
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    found, measured = [], Bench.paced_us

    def paced_us(bench, block, duration):
        found.append(duration)
        return measured(bench, block, duration)

    monkeypatch.setattr(Bench, "paced_us", paced_us)
    return found


@pytest.mark.parametrize(("limit_us", "least_seconds", "most_seconds"), [(1e9, 0.05, 0.1), (1.0, 1.0, 1.5)])
def test_a_short_measurement_is_enough_far_below_the_limit_and_both_are_kept(
    program, seconds, limit_us, least_seconds, most_seconds
):
    settings = network_plan().settings
    found = pace.hop_us(settings, *program, RATE, 1, limit_us)
    assert least_seconds <= sum(seconds) <= most_seconds
    assert pace.hop_us(settings, *program, RATE, 1, limit_us) == found > 0
    assert sum(seconds) <= most_seconds, "kept"


def test_a_short_measurement_is_not_enough_for_a_lower_limit_later(program, seconds):
    settings = network_plan().settings
    quick = pace.hop_us(settings, *program, RATE, 1, 1e9)
    assert pace.hop_us(settings, *program, RATE, 1, 2.0 * quick) == quick and seconds == [0.05]
    whole = pace.hop_us(settings, *program, RATE, 1, 1.9 * quick)
    assert seconds == [0.05, 1.0]
    assert pace.hop_us(settings, *program, RATE, 1, 1e9) == whole and seconds == [0.05, 1.0]


@pytest.mark.parametrize(
    ("block", "took_us", "line"),
    [
        (64, 700.0, "can-small runs in the audio callback: a hop takes 0.70 ms of a block's 1.33 ms"),
        (384, 4700.0, "can-small runs in the audio callback: a hop takes 4.70 ms of a block's 8.00 ms"),
        (
            384,
            4900.0,
            "a hop takes 4.90 ms of a block's 8.00 ms, more than 60 %; a lighter network or --run-in callback",
        ),
        (1152, 4700.0, "can-small runs in the audio callback: 3 hops take 14.10 ms of a block's 24.00 ms"),
        (
            1152,
            4900.0,
            "3 hops take 14.70 ms of a block's 24.00 ms, more than 60 %; a lighter network or --run-in callback",
        ),
        (
            400,
            4500.0,
            "2 hops take 9.00 ms of a block's 8.33 ms, more than 60 %; a lighter network or --run-in callback",
        ),
        (0, 1500.0, "a hop takes 1.50 ms of a block's 2.67 ms"),
        (
            128,
            1700.0,
            "a hop takes 1.70 ms of a block's 2.67 ms, more than 60 %; a larger --block or --run-in callback",
        ),
    ],
)
def test_all_hops_of_a_block_must_fit_into_it(program, monkeypatch, tmp_path, block, took_us, line):
    """The time measured on an earlier start is that of another machine; a hop of can-small has 384 samples here."""
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    asked = network_plan()
    kept_files.keep(pace.kept_as(asked.settings, RATE, 1), took_us)
    worker = Worker(asked, SimpleNamespace(live=None), -1, SimpleNamespace(), Shutdown())
    place = worker._place(asked, *program, RATE, lambda hop: block)
    assert line in place.line and place.where == ("engine" if "more than" in line else "callback")


@pytest.mark.parametrize(
    ("fields", "inside"),
    [
        ({}, True),
        ({"run_in": "callback"}, True),
        ({"run_in": "engine"}, False),
        ({"channels": 2}, True),
        ({"channels": 2, "channel_mode": "each"}, False),
        ({"channels": 2, "channel_mode": "downmix"}, False),
        ({"engine": "tests.live.harness:quick_engine"}, False),
        ({"can_engine": "litert"}, False),
        ({"model": "germain2018-causal"}, False),
        ({"processing_rate_hz": 16000}, False),
        ({"model": "no such model"}, False),
    ],
)
def test_what_runs_inside(fields, inside):
    asked = plan("CAN", **{"model": MODEL, **fields})
    assert asked.network_inside is inside
    assert asked.uses_engine is not inside


def test_what_cannot_run_inside_is_refused_if_asked_for():
    with pytest.raises(ConfigError, match=r"run_in='callback' takes SS, WF and networks over spectra .*; leave it out"):
        plan("CAN", run_in="callback", can_engine="litert")
    with pytest.raises(ConfigError, match=r"run_in='thread' must be one of: auto, callback, engine"):
        plan("WF", run_in="thread")
    assert plan("WF", run_in="engine").uses_engine and not plan("bypass", run_in="engine").uses_engine
    assert not replace(plan("WF"), run_in="callback").uses_engine
