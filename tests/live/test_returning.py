"""Devices and servers that go and come back: what was playing goes on, and what came back is heard."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest

from rtdenoise.live_audio.ends.feeder import Feeder
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.supervise import ending, watch
from tests.live.harness import Running, device, plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

BLOCK = 1600


def blocks_of(signal_in: np.ndarray):
    return (signal_in[at : at + BLOCK, np.newaxis] for at in range(0, signal_in.size, BLOCK))


def taken(region) -> np.ndarray:
    """What the stream took from its source; less than a ring."""
    n = int(region.live["n_taken"][0])
    assert n < region.live["capacity"][0]
    return region.attached_rings()["source"][:n, 0].copy()


def test_a_file_goes_on_where_the_lost_server_left_it_and_ends(server_of):
    server, told = server_of(realtime=False), []
    signal_in = noise(5.0, server.rate)
    with running(plan("bypass", source=None, target="speaker"), told) as live:
        before = live.session.region
        feeder = Feeder(live.session, blocks_of(signal_in), server.rate)
        live.wait(lambda: before.live["n_taken"][0] > 1.5 * server.rate, 60.0)
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.start()
        live.wait(lambda: live.session.state == "finished", 30.0)
        first, second = taken(before), taken(live.session.region)
        feeder.finish()
    assert told[-1] == "audio is back"
    np.testing.assert_array_equal(first, signal_in[: first.size])
    start = signal_in.size - second.size
    assert first.size - BLOCK < start <= first.size, "nothing is left out; the block that was cut is played again"
    np.testing.assert_array_equal(second, signal_in[start:])


def test_a_file_ends_even_if_all_of_it_was_handed_over_before_the_server_was_lost(server_of):
    server = server_of(realtime=False)
    signal_in = noise(1.5, server.rate)  # less than the ring takes at once
    with running(plan("bypass", source=None, target="speaker")) as live:
        before = live.session.region
        feeder = Feeder(live.session, blocks_of(signal_in), server.rate)
        live.wait(lambda: before.live["source_end"][0] == signal_in.size, 60.0)
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.start()
        live.wait(lambda: live.session.state == "finished", 30.0)
        second = taken(live.session.region)
        feeder.finish()
    np.testing.assert_array_equal(second, signal_in[signal_in.size - second.size :])
    assert taken(before).size + second.size >= signal_in.size


def test_a_file_follows_the_rate_of_a_server_that_comes_back_at_another(server_of):
    server = server_of(realtime=False)
    signal_in, rate = noise(4.0, server.rate), server.rate
    with running(plan("bypass", source=None, target="speaker")) as live:
        before = live.session.region
        feeder = Feeder(live.session, blocks_of(signal_in), rate)
        live.wait(lambda: before.live["n_taken"][0] > 1.5 * rate, 60.0)
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.rate = 48000
        server.start()
        live.wait(lambda: live.session.state == "finished", 240.0)
        first, second = taken(before), taken(live.session.region)
        feeder.finish()
    left = (signal_in.size - first.size) / rate
    assert left - 0.02 < second.size / 48000 < left + BLOCK / rate + 0.02
    assert np.std(second) > 0.5 * np.std(signal_in)


def test_a_file_is_played_by_the_second_opening_if_the_first_fails(server_of):
    server = server_of(realtime=False)
    signal_in = noise(1.0, server.rate)
    session = Session(plan("bypass", source=None, target="speaker"), lambda _line: None)
    feeder, first = Feeder(session, blocks_of(signal_in), server.rate), session.region
    os.kill(session._worker.pid, signal.SIGKILL)
    live = Running(session)
    try:
        live.wait(lambda: session.state == "finished", 240.0)
        assert session.region is not first
        np.testing.assert_array_equal(taken(session.region), signal_in)
    finally:
        live.join()
        feeder.finish()
        session.close()


def test_a_microphone_that_was_away_for_a_moment_is_heard_again(server, monkeypatch):
    """Its name is listed again when anybody looks; JACK has left our port unconnected."""
    monkeypatch.setattr(watch, "_ZERO_SECONDS", 12.0)  # a slow machine takes seconds to bring it back
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 13.0)
    told: list[str] = []
    second = VirtualCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name), running(plan("bypass", source="other_microphone"), told) as live:
        second.set_idle(noise(1.0, second.rate))
        live.wait(lambda: live.session.region.live["energy_in"][0] > 0.0, 60.0)
        second.__exit__()
        with VirtualCard(server.name, "other_microphone", "other_speaker") as again:
            again.set_idle(noise(1.0, again.rate))
            live.wait(lambda: live.session.reopened == 1, 60.0)
            live.wait(lambda: "the input is back" in told, 60.0)
    assert [line for line in told if "plugged in again; opening the devices again" in line]


def test_a_muted_microphone_is_opened_again_once_and_then_left_alone(server, monkeypatch):
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 3.5)
    told: list[str] = []
    with VirtualCard(server.name) as card, running(plan("bypass"), told) as live:
        live.wait(lambda: live.session.reopened == 1, 60.0)
        live.wait(lambda: live.session.region.live["zero_run"][0] > 10 * card.rate, 60.0)
        assert live.session.reopened == 1
        assert sum("digital silence" in line for line in told) == 1
        card.set_idle(noise(1.0, card.rate))
        live.wait(lambda: "the input is back" in told, 60.0)


def test_before_it_opens_again_what_still_runs_leaves_the_server_in_order(server, monkeypatch):
    """A synchronous server waits 20 s for a client that is killed, and so would the next opening."""
    monkeypatch.setattr(ending, "_LEAVE_SECONDS", 10.0)  # in earnest it is short: a user waits
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC) + 3600.0
    with VirtualCard(server.name), running(plan("bypass")) as live:
        before = live.session._worker
        monkeypatch.setattr(watch, "_suspended_seconds", lambda: slept)
        live.wait(lambda: live.session.reopened == 1, 60.0)
        assert before._process.poll() == 0


def hears(card):
    """Whether its speaker gets anything."""
    try:
        return np.std(card.play_record(np.zeros(card.rate // 2, np.float32))) > 0.0
    except (RuntimeError, TimeoutError):  # the server left out a cycle, or waits for a client on a busy machine
        return False


@contextmanager
def returned(server):
    """The speaker again; a server that waits for a client on a busy machine refuses at first."""
    limit = time.monotonic() + 40.0
    while True:
        card = VirtualCard(server.name, "other_microphone", "other_speaker")
        try:
            card.__enter__()
            break
        except RuntimeError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.5)
    try:
        yield card
    finally:
        card.__exit__()


def test_a_vanished_speaker_is_noticed_and_used_again_when_it_is_back(server):
    told: list[str] = []
    second = VirtualCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name) as card, running(plan("bypass", target="other_speaker"), told) as live:
        card.set_idle(noise(1.0, card.rate))
        time.sleep(3.0)
        assert not told, "it was looked for, and found"
        second.__exit__()
        live.wait(lambda: "the output device is gone; opening the devices again" in told, 60.0)
        with returned(server) as again:
            live.wait(lambda: hears(again), 60.0)
    assert "audio is back" in told


def test_a_speaker_that_was_away_for_a_moment_is_heard_again(server):
    """Its name is listed whenever anybody looks; JACK has left its new ports unconnected."""
    told: list[str] = []
    second = VirtualCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name) as card, running(plan("bypass", target="other_speaker"), told) as live:
        card.set_idle(noise(1.0, card.rate))
        live.wait(lambda: live.session._watch._target is None, 10.0)
        second.__exit__()
        with returned(server) as again:
            live.wait(lambda: hears(again), 60.0)
    assert "audio is back" in told


def test_a_speaker_that_is_back_before_anybody_looks_is_heard_again(server):
    """JACK gives its port the place of the old one; only its client's number tells."""
    from tests.virtual_card.clients import LocalCard  # loads JACK's library

    told: list[str] = []
    second = LocalCard(server.name, "other_microphone", "other_speaker").__enter__()
    with VirtualCard(server.name) as card, running(plan("bypass", target="other_speaker"), told) as live:
        card.set_idle(noise(1.0, card.rate))
        live.wait(lambda: live.session._watch._target is None, 10.0)
        second.__exit__()
        with LocalCard(server.name, "other_microphone", "other_speaker") as again:
            live.wait(lambda: hears(again), 60.0)
    assert "audio is back" in told


@pytest.mark.parametrize("host_api", ["ALSA", "JACK Audio Connection Kit"])
def test_an_output_is_looked_for_only_where_it_goes_without_a_word(host_api, monkeypatch):
    looked = []
    monkeypatch.setattr(watch, "_TARGET_SECONDS", 0.0)
    monkeypatch.setattr(watch, "list_devices", lambda _seconds: looked.append(1) or [])
    from rtdenoise.live_audio.record import LIVE

    live, told = np.zeros(1, LIVE), []
    eyes = watch.Watch(None, device("speaker", 0, 2, host_api=host_api))
    for _ in range(5):
        live["callbacks"] += 1
        assert eyes.trouble(live, told.append) == "", "a list of nothing says nothing"
        time.sleep(0.02)
    assert bool(looked) == ("JACK" in host_api)
