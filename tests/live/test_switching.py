"""From one method to another while audio runs: no restart, no gap, no click, and each is what it is alone."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.cache import kept_files
from rtdenoise.live_audio.audio import pace
from rtdenoise.live_audio.ends.taps import Tap, pull_together
from rtdenoise.live_audio.record import audible_delay
from rtdenoise.live_audio.shared_memory import span_of
from tests.live.harness import plan, running, settings
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

TONE_HZ = 230.0  # its phase is another one in a path of another delay
HALF = "tests.live.harness:quick_engine"  # stands for CAN: half the amplitude, a delay of its own


def tone(seconds, rate):
    return (0.4 * np.sin(2 * np.pi * TONE_HZ / rate * np.arange(int(seconds * rate)))).astype(np.float32)


def heard(live):
    """The engine is heard alone."""
    record = live.session.region.live
    return record["share"][0] == 1.0 and record["engine_weight"][0] == 1.0 and live.session.method == "CAN"


def not_heard(live):
    record = live.session.region.live
    return record["share"][0] == 0.0 and record["engine_on"][0] == 0


def test_between_a_compiled_method_and_an_engine_there_is_no_gap_and_no_click(server):
    with VirtualCard(server.name) as card, running(plan("bypass", engine=HALF, howl_guard=False)) as live:
        card.wait_connected()
        card.set_idle(tone(1.0, card.rate))
        time.sleep(0.5)
        opened, record = live.session.monitor.devices, live.session.region.live
        rings = live.session.region.attached_rings()
        for _ in range(2):  # the second time the engine is there already
            begin = int(record["n"][0])
            live.session.set_method("CAN")
            live.wait(lambda: heard(live), 30.0)
            middle = int(record["n"][0])
            clean = span_of(rings["clean"], max(begin, middle - 3 * card.rate), middle)[:, 0]
            _smooth(clean, card.rate, 0.15)  # half way the two, 79 degrees apart, add up to 0.19
            live.session.set_method("WF")
            live.wait(lambda: not_heard(live), 30.0)
            _smooth(span_of(rings["clean"], middle, int(record["n"][0]))[:, 0], card.rate, 0.0)
            live.session.set_bypass(True)
            live.wait(lambda: record["weight"][0] == 0.0, 30.0)
        assert live.session.monitor.devices is opened
        assert live.session.reopened == 0


def _smooth(clean, rate, quietest):
    """No step, and every 10 ms at least this amplitude."""
    steepest = 0.4 * 2 * np.pi * TONE_HZ / rate
    assert abs(np.diff(clean)).max() < 2.0 * steepest
    pieces = clean[: clean.size // 160 * 160].reshape(-1, 160)
    assert abs(pieces).max(axis=1).min() >= quietest


def test_after_the_switch_the_output_is_the_engines_to_the_sample_and_wf_again_afterwards(server):
    with VirtualCard(server.name) as card, running(plan("WF", engine=HALF, howl_guard=False)) as live:
        card.wait_connected()
        assert audible_delay(live.session.region.live) == 64
        live.session.set_method("CAN")
        live.wait(lambda: heard(live), 30.0)
        record, signal = live.session.region.live, noise(1.0, card.rate)
        late = int(record["dry_blocks"][0])
        answer = card.play_record(signal)
        assert audible_delay(record) == 96 + 128
        same = answer[96 + 128 : 96 + 128 + signal.size] == np.float32(0.5) * signal
        assert np.count_nonzero(~same) <= (int(record["dry_blocks"][0]) - late) * 1100
        assert np.mean(same) > 0.5
        live.session.set_method("WF")
        live.wait(lambda: not_heard(live), 30.0)
        before = int(record["n"][0])
        wet = card.play_record(signal)
        noisy = span_of(live.session.region.attached_rings()["noisy"], before, int(record["n"][0]))[:, 0]
    assert np.flatnonzero(noisy == signal[0]).size
    assert np.std(wet[64 : 64 + signal.size]) < 0.9 * np.std(signal)
    alone = rtdenoise.denoise(np.tile(signal, 3), card.rate, method="WF", preset="low")[-signal.size :]
    differs = wet[64 : 64 + signal.size] - alone
    assert np.std(differs[signal.size // 2 :]) < 0.3 * np.std(alone), "WF ran on unheard and knew the noise"


def test_a_recording_stays_aligned_over_a_switch(server):
    with VirtualCard(server.name) as card, running(plan("bypass", engine=HALF, howl_guard=False)) as live:
        card.wait_connected()
        card.set_idle(noise(1.0, card.rate))
        session, region = live.session, live.session.region
        taps = Tap(session, "noisy", held=True), Tap(session, "clean", late=True)

        pieces: list[list[np.ndarray]] = []

        def pull():
            n = int(region.live["n"][0])
            pieces.append([piece[:, 0] for piece in pull_together(taps, region, n)[1]])
            return n

        pull()
        session.set_method("CAN")
        live.wait(lambda: heard(live), 30.0)
        start = pull()
        live.wait(lambda: region.live["n"][0] > start + 8000, 10.0)
        pull()
    noisy, clean = (np.concatenate(one) for one in zip(*pieces, strict=True))
    assert noisy.size == clean.size
    after = slice(-8000, None)
    assert np.mean(clean[after] == np.float32(0.5) * noisy[after]) > 0.5, "but for answers given late"


def test_an_engine_that_cannot_be_built_leaves_the_method_that_runs(server):
    told: list[str] = []
    broken = plan("WF", engine="tests.live.harness:broken_engine")
    with VirtualCard(server.name), running(broken, told) as live:
        live.session.set_method("CAN")
        live.wait(lambda: bool(told) and live.session.method == live.session.plan.settings.method == "WF", 20.0)
        assert live.session.region.live["share_target"][0] == 0.0
    assert "no such network" in told[0]
    assert "WF goes on" in told[0]


def test_attenuation_limit_of_an_engine_without_one_of_its_own(server):
    """The limit's share of the dry signal is added to what the engine leaves."""
    with VirtualCard(server.name) as card, running(plan("CAN", engine=HALF, howl_guard=False)) as live:
        card.wait_connected()
        live.wait(lambda: heard(live), 30.0)
        live.session.set_attenuation_limit_db(6.0206)
        signal = noise(0.5, card.rate)
        answer = card.play_record(signal)[96 + 128 :]
    near = abs(answer[: signal.size] - 0.75 * signal) < 1e-4
    assert np.mean(near) > 0.5, "half of 1 and half of 0.5, but for answers that a busy machine gave late"


def test_can_is_switched_to_and_keeps_to_the_limit_itself(server):
    with VirtualCard(server.name) as card, running(plan("WF")) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        record = live.session.region.live
        live.session.set_method("CAN")
        live.wait(lambda: heard(live), 60.0)
        assert record["engine_limits"][0] == 1
        session = live.session
        session.set_attenuation_limit_db(0.0)
        live.wait(lambda: session.monitor.level_out_db > session.monitor.level_in_db - 0.5, 20.0)
        session.set_attenuation_limit_db(30.0)
        live.wait(lambda: session.monitor.level_out_db < session.monitor.level_in_db - 6.0, 20.0)


def test_from_wf_to_a_network_in_the_callback_and_back(server):
    """What comes in from where it begins gives its offline output, to the bit."""
    told: list[str] = []
    with VirtualCard(server.name) as card, running(plan("WF", model="can-small", howl_guard=False), told) as live:
        card.wait_connected()
        signal = noise(2.0, card.rate) * np.float32(0.3)
        card.set_idle(signal)
        record, session = live.session.region.live, live.session
        opened, rings = session.monitor.devices, session.region.attached_rings()
        session.set_method("CAN")
        session.set_method("WF")  # and another choice before it is there
        live.wait(lambda: record["engine_inside"][0] == 1, 60.0)
        live.wait(lambda: record["n"][0] > card.rate, 10.0)
        assert session.method == "WF" and record["engine_on"][0] == 0 and record["engine_steps"][0] == 0
        session.set_method("CAN")
        live.wait(lambda: heard(live), 60.0)
        begin = int(record["engine_from"][0] - record["engine_latency"][0])
        live.wait(lambda: record["n"][0] > begin + 2 * card.rate, 10.0)
        end = int(record["n"][0])
        noisy, clean = span_of(rings["noisy"], begin, end)[:, 0], span_of(rings["clean"], end - card.rate, end)[:, 0]
        expected = rtdenoise.denoise(noisy, card.rate, "CAN", model="can-small")
        last = end - begin - audible_delay(record)
        assert_array_equal(clean, expected[last - card.rate : last])
        for method in ("WF", "SS"):
            assert session.monitor.total()["run_in"] == "callback" and session._engines._working is None
            session.set_method(method)
            live.wait(lambda: not_heard(live), 10.0)
            assert session.method == method
            session.set_method("CAN")
            live.wait(lambda: heard(live), 10.0)
        assert record["dry_blocks"][0] == 0 and session.monitor.devices is opened and session.reopened == 0
    assert [line for line in told if "can-small" in line] == told and len(told) == 1
    assert told[0].startswith("can-small runs in the audio callback: ")


def test_a_bypass_that_is_chosen_while_a_network_joins_stays(server):
    with VirtualCard(server.name) as card, running(plan("WF", model="can-small", howl_guard=False)) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        record, session = live.session.region.live, live.session
        session.set_method("CAN")
        session.set_bypass(True)
        live.wait(lambda: record["share"][0] == 1.0, 60.0)
        live.wait(lambda: session.method == "CAN", 10.0)
        assert session.bypassed and record["wet_target"][0] == 0.0
        session.set_method("WF")
        live.wait(lambda: not_heard(live), 10.0)
        session.set_bypass(True)
        session.set_method("CAN")
        live.wait(lambda: heard(live), 60.0)
        live.wait(lambda: not session.bypassed, 10.0)


@pytest.mark.parametrize(("opened", "chosen"), [("CAN", "WF"), ("WF", "CAN"), ("CAN", "SS"), ("bypass", "CAN")])
def test_what_is_chosen_while_the_devices_open_is_what_is_heard(server, opened, chosen):
    with VirtualCard(server.name) as card, running(plan(opened, model="can-small", howl_guard=False)) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        session = live.session
        session.change(replace(session.plan, source="mic:virtual_microphone"))
        live.wait(lambda: session.state == "starting", 10.0)
        session.set_method(chosen)
        assert session.state == "starting" and session.method == chosen
        live.wait(lambda: session.state == "running", 60.0)
        record, share = session.region.live, float(chosen == "CAN")
        live.wait(lambda: record["share"][0] == share and record["engine_on"][0] == share, 60.0)
        live.wait(lambda: session.method == chosen, 10.0)
        assert record["wet_target"][0] == 1.0 and session.reopened == 0
        if chosen != "CAN":
            assert record["rule"][0] == session._rules[chosen]


def test_from_one_method_in_an_engine_to_another_in_an_engine(server):
    """The attenuation tells them apart: no more than 18 dB, or what a network takes of noise alone."""
    asked = plan("WF", model="can-small", run_in="engine", howl_guard=False)
    with VirtualCard(server.name) as card, running(asked) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        record, monitor, session = live.session.region.live, live.session.monitor, live.session

        def heard_as(method, least_db, most_db):
            live.wait(lambda: session.method == method and record["share_target"][0] == record["share"][0] == 1.0, 60.0)
            live.wait(lambda: least_db < monitor.level_in_db - monitor.level_out_db < most_db, 20.0)
            assert session.monitor.total()["run_in"] == "engine"

        heard_as("WF", 6.0, 19.0)
        for method, least_db, most_db in (("CAN", 22.0, 200.0), ("WF", 6.0, 19.0)):
            session.set_method(method)
            assert session.method == "WF", "meanwhile"
            heard_as(method, least_db, most_db)
        session.set_method("CAN")  # and another choice before it is there
        session.set_method("SS")
        heard_as("SS", 6.0, 19.0)
        assert session.reopened == 0


def test_a_network_in_the_callback_is_left_and_entered_without_a_gap(server):
    with VirtualCard(server.name) as card, running(plan("CAN", model="can-small", howl_guard=False)) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        record, session = live.session.region.live, live.session
        opened, rings = session.monitor.devices, session.region.attached_rings()
        assert heard(live) or live.wait(lambda: heard(live), 30.0)
        for method in ("WF", "SS"):
            begin = int(record["n"][0])
            session.set_method(method)
            live.wait(lambda: not_heard(live), 30.0)
            assert session.method == method and session.attenuation_limit_db == pytest.approx(18.0, abs=0.1)
            session.set_method("CAN")
            live.wait(lambda: heard(live), 10.0)
            clean = span_of(rings["clean"], max(begin, int(record["n"][0]) - 3 * card.rate), int(record["n"][0]))[:, 0]
            pieces = clean[: clean.size // 160 * 160].reshape(-1, 160)
            assert np.all(pieces.any(axis=1)), "a gap"
        assert record["dry_blocks"][0] == 0 and record["engine_inside"][0] == 1
        assert session._engines._working is None, "no engine process"
        assert session.monitor.devices is opened and session.reopened == 0


@pytest.fixture
def slow_machine():
    """The time measured on an earlier start, which is what a start reads, is that of a much slower machine."""
    name = pace.kept_as(plan("CAN", model="can-small").settings, 16000, 1)
    before = kept_files.find(float, name)
    kept_files.keep(name, 1e5)
    yield
    kept_files.keep(name, before if before is not None else 100.0)


TOO_SLOW = (
    "can-small runs in a process of its own: a hop takes 100.00 ms of a block's 8.00 ms, more than 60 %; "
    "a lighter network or --run-in callback avoids it"
)


@pytest.mark.usefixtures("slow_machine")
def test_where_a_hop_takes_too_long_for_the_callback_the_network_runs_in_an_engine(server):
    asked, told = plan("CAN", model="can-small", howl_guard=False), []
    with VirtualCard(server.name), running(asked, told) as live:
        live.wait(lambda: heard(live), 60.0)
        assert live.session.region.live["engine_inside"][0] == 0
        assert live.session.monitor.total()["run_in"] == "engine"
        assert live.session._engines._working.alive
    assert told[0] == TOO_SLOW


@pytest.mark.usefixtures("slow_machine")
def test_from_wf_to_such_a_network_in_an_engine_and_back_to_what_runs_in_the_callback(server):
    told: list[str] = []
    with VirtualCard(server.name) as card, running(plan("WF", model="can-small", howl_guard=False), told) as live:
        card.wait_connected()
        card.set_idle(noise(4.0, card.rate) * np.float32(0.3))
        record, session = live.session.region.live, live.session
        for method in ("WF", "SS"):
            session.set_method("CAN")
            live.wait(lambda: heard(live), 60.0)
            assert record["engine_inside"][0] == 0 and session.monitor.total()["run_in"] == "engine"
            session.set_method(method)
            live.wait(lambda: not_heard(live), 10.0)
            assert session.method == method and session.monitor.total()["run_in"] == "callback"
        assert session.plan.run_in == "auto", "where the audio process opens anew, the network may be in the callback"
        assert session.reopened == 0
    assert told == [TOO_SLOW], "once"


def test_another_device_keeps_limit_and_mix_and_other_settings_bring_their_limit(server):
    with VirtualCard(server.name), running(plan("WF")) as live:
        session = live.session

        def runs() -> bool:
            return session.state == "running" and session.region.live["callbacks"][0] > 0

        live.wait(runs, 240.0)
        usual_db = session.attenuation_limit_db
        session.set_attenuation_limit_db(6.0)
        session.set_parameter("mix", 0.5)
        session.change(replace(session.plan, source="mic:virtual_microphone"))
        live.wait(runs, 60.0)
        assert session.attenuation_limit_db == pytest.approx(6.0, abs=1e-3)
        session.change(replace(session.plan, settings=settings(preset="balanced")))
        live.wait(runs, 60.0)
        assert session.attenuation_limit_db == pytest.approx(usual_db, abs=1e-3)
        assert session.region.live["mix"][0] == 0.5
        assert session.reopened == 0


def test_a_change_that_fails_is_taken_back(server):
    told: list[str] = []
    with VirtualCard(server.name), running(plan("bypass"), told) as live:
        before = live.session.plan
        live.wait(lambda: live.session.state == "running", 240.0)
        live.session.change(replace(before, source="mic:none"))
        live.wait(lambda: any(line.endswith("; what was before goes on") for line in told), 60.0)
        live.wait(lambda: live.session.state == "running", 60.0)
        assert live.session.plan == before
