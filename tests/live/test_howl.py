"""Feedback is told from tones that people make: only what follows the output's gain counts, whatever it sounds like."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy.signal import iirpeak

from rtdenoise.live_audio.callback.block import protect
from rtdenoise.live_audio.callback.howl import LISTENING, guard_against_howl
from rtdenoise.live_audio.record import LIVE, prepare
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

RATE, BLOCK = 16000, 128
T = np.arange(8 * RATE) / RATE


@numba.njit
def play(live, outside, room, share, delay, ceiling, microphone, speaker):
    """A room: the microphone hears `outside` and, `delay` later and through the room's resonance, the speaker."""
    record = live[0]
    capacity = microphone.shape[0]
    memory = np.zeros(2)
    gains = np.ones(outside.size // BLOCK)
    for block in range(outside.size // BLOCK):
        for n in range(block * BLOCK, (block + 1) * BLOCK):
            heard = speaker[(n - delay) % capacity, 0] if n >= delay else 0.0
            x = room[0] * heard + memory[0]
            memory[0] = room[1] * heard - room[4] * x + memory[1]
            memory[1] = room[2] * heard - room[5] * x
            sample = outside[n] + share * x
            microphone[n % capacity, 0] = min(max(sample, -ceiling), ceiling)
            speaker[n % capacity, 0] = microphone[n % capacity, 0]
        protect(record, BLOCK, speaker)
        guard_against_howl(record, microphone, record.n, BLOCK)
        record.n += BLOCK
        gains[block] = record.howl_gain
    return gains


def through(outside, share=0.0, delay_seconds=0.02, ceiling=10.0, hz=1200.0):
    live = np.zeros(1, LIVE)
    prepare(live, rate=RATE, channels=1, channels_in=1, channels_out=1, hop=64, latency=64)
    rings = [np.zeros((4 * RATE // BLOCK * BLOCK, 1), np.float32) for _ in range(2)]
    room = np.concatenate(iirpeak(hz, 8.0, fs=RATE))
    outside = np.asarray(outside, np.float32)
    gains = play(live, outside, room, share, int(delay_seconds * RATE), ceiling, *rings)
    return live[0], gains, rings[1][-RATE:, 0]


def sung(melody_hz, vibrato, decay):
    """Notes of 0.4 s with harmonics, one after the other."""
    length = int(0.4 * RATE)
    signal = np.zeros(T.size)
    for k, start in enumerate(range(0, T.size - length, length)):
        t = np.arange(length) / RATE
        phase = 2 * np.pi * melody_hz[k % len(melody_hz)] * (t + vibrato * np.sin(2 * np.pi * 5.5 * t) / 35)
        shape = np.minimum(1.0, t / 0.03) * np.exp(-decay * t) * np.minimum(1.0, (0.4 - t) / 0.02)
        signal[start : start + length] = 0.4 * shape * (np.sin(phase) + 0.01 * np.sin(2 * phase))
    return signal


PEOPLE = {
    "a steady tone": 0.3 * np.sin(2 * np.pi * 440.0 * T),
    "a loud steady tone": 0.95 * np.sin(2 * np.pi * 1000.0 * T),
    "a tone that fades in": 0.5 * np.minimum(1.0, 10.0 ** (2.0 * (T - 1.5))) * np.sin(2 * np.pi * 900.0 * T),
    "a whistle": 0.4 * np.sin(2 * np.pi * 1500.0 * T + 3.0 * np.sin(2 * np.pi * 5.0 * T)) * (np.sin(np.pi * T) > -0.2),
    "a trembling tone": 0.4 * (1 + 0.45 * np.sin(2 * np.pi * 4.0 * T)) * np.sin(2 * np.pi * 800.0 * T),
    "a flute": sung([523.0, 587.0, 659.0, 784.0], 0.3, 0.0),
    "bells": sung([880.0, 1318.5, 1046.5], 0.0, 12.0),
    "a telephone": 0.4 * np.sin(2 * np.pi * 425.0 * T) * (T % 1.0 < 0.5),
    "noise": noise(8.0, RATE).astype(float),
}


@pytest.mark.parametrize("outside", PEOPLE.values(), ids=PEOPLE.keys())
def test_tones_of_people_are_not_feedback(outside):
    live, gains, _ = through(outside)
    assert live["howls"] == 0
    assert live["howl_state"] == LISTENING
    assert np.mean(gains < 1.0) < 0.1, "and but for short trials the output is what it was"


@pytest.mark.parametrize("share", [1.2, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("delay_seconds", [0.01, 0.03, 0.08])
def test_a_loop_is_feedback_however_fast_it_grows(share, delay_seconds):
    live, gains, speaker = through(0.01 * noise(8.0, RATE), share, delay_seconds)
    assert live["howls"] >= 1
    assert gains[-1] < 0.9 / share * 1.3
    assert np.sqrt(np.mean(speaker**2)) < 0.03, "it is quiet at the end"


def test_a_loop_through_an_overdriven_microphone_is_feedback():
    live, _, speaker = through(0.01 * noise(8.0, RATE), 4.0, 0.03, ceiling=1.0)
    assert live["howls"] >= 1
    assert np.sqrt(np.mean(speaker**2)) < 0.03


def test_a_loop_beside_a_spared_whistle_is_still_found():
    whistle = 0.1 * np.sin(2 * np.pi * 600.0 * T) * (T < 3.0)
    live, _, _ = through(whistle + 0.005 * noise(8.0, RATE) * (T > 3.5), 3.0, 0.03)
    assert live["howls"] >= 1


def test_the_found_frequency_is_the_rooms(server):
    """The card's speaker is heard by its microphone, louder: a loop through the real server."""
    with VirtualCard(server.name) as card:
        card.set_idle(noise(4.0, card.rate) * np.float32(0.01))
        with running(plan("bypass")) as live:
            card.wait_connected()
            card.set_feedback(3.0, iirpeak(1200.0, 8.0, fs=card.rate))
            record = live.session.region.live
            live.wait(lambda: record["howls"][0] > 0, 20.0)
            live.wait(lambda: record["howl_gain"][0] < 0.5, 30.0)
            angle = np.arccos(record["howl_cosine"][0] / 2.0) / (2.0 * np.pi)  # per sample of about 16 kHz
            assert angle * card.rate / max(1, card.rate // 16000) == pytest.approx(1200.0, rel=0.1)


def test_a_tone_through_the_real_server_is_not_feedback(server):
    """As loud as a howl, and for longer than a howl needs."""
    with VirtualCard(server.name) as card:
        card.set_idle((0.5 * np.sin(2 * np.pi * 1000.0 / card.rate * np.arange(card.rate))).astype(np.float32))
        with running(plan("bypass")) as live:
            record = live.session.region.live
            live.wait(lambda: record["howl_spared"][0] < 3.0, 10.0)
            live.wait(lambda: record["howl_now"][0] == 1.0, 30.0)
            assert record["howls"][0] == 0
