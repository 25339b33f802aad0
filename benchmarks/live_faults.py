"""Figures of live audio when something ends: an early Ctrl-C, a speaker that goes."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import Any

import jack
import numpy as np

from benchmarks.live_sessions import LIVE, card_of
from rtdenoise.child.process import Child
from rtdenoise.live_audio.audio import ahead
from rtdenoise.live_audio.supervise import watch
from tests.live.harness import Running, plan, running
from tests.live.test_exactness import noise

_EARLY = (0.2, 1.2)
_INTERRUPTS, _DEPARTURES = 20, 8
_ANSWERS_SECONDS = 2.0  # a synchronous server that was left without a word takes 20


def ending(_seconds: float) -> dict[str, Any]:
    """Ctrl-C soon after the start: seconds until the command has ended, and how often that left a server that hangs.

    The server is synchronous: it waits for every client that goes without a word.
    """
    rng, took, hanging = random.Random(0), [], 0
    with card_of() as card:
        for _ in range(_INTERRUPTS):
            process = subprocess.Popen([*LIVE, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(*_EARLY))
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait(30)
            took.append(time.monotonic() - sent)
            hanging += _answers_within(card._arguments[0]) > _ANSWERS_SECONDS
    return {"signals": _INTERRUPTS, "servers_that_hang": hanging, **_summary(took)}


def _answers_within(server: str) -> float:
    """How long it takes to become a client."""
    began = time.monotonic()
    while True:
        try:
            jack.Client("asking", no_start_server=True, servername=server).close()
        except jack.JackError:
            time.sleep(0.05)
            continue
        return time.monotonic() - began


def speaker(_seconds: float) -> dict[str, Any]:
    """A JACK speaker goes: seconds until the session says so, with the look into JACK and by the list of devices."""
    found = {}
    for way, module in (("look", "rtdenoise.live_audio.audio.begin"), ("list", "tests.live.unwatched")):
        ahead.Child = lambda _module, *arguments, name=module: Child(name, *arguments)  # type: ignore[assignment, misc]
        try:
            found[way] = _summary([_missed_after() for _ in range(_DEPARTURES if way == "look" else 2)])
        finally:
            ahead.Child = Child  # type: ignore[misc]
    return found | {"seconds_between_two_lists": watch._TARGET_SECONDS}


def _missed_after() -> float:
    told: list[str] = []
    with card_of() as card:
        leaving = jack.Client("leaving", no_start_server=True, servername=card._arguments[0])
        leaving.inports.register("playback_1", is_terminal=True)
        leaving.activate()
        card.set_idle(noise(1.0, card.rate))
        with running(plan("bypass", target="leaving"), told) as live:
            time.sleep(random.uniform(1.0, 2.0))
            began = time.monotonic()
            leaving.close()
            _wait_told(live, told)
            return time.monotonic() - began


def _wait_told(live: Running, told: list[str]) -> None:
    live.wait(lambda: any("output device is gone" in line for line in told))


def _summary(seconds: list[float]) -> dict[str, Any]:
    return {"median_seconds": round(float(np.median(seconds)), 2), "longest_seconds": round(max(seconds), 2)}
