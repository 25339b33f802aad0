"""Run a live session beside a test, and the engines that tests put into it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rtdenoise.config import Settings, load_settings
from rtdenoise.live_audio.audio.devices import Device
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.session import Session
from rtdenoise.typing import F32
from tests.live.diagnosis import diagnosis

STEP_SECONDS = 0.02


def settings(method: str = "WF", preset: str = "low", **overrides: Any) -> Settings:
    return load_settings(method=method, preset=preset, overrides=overrides)


def plan(
    method: str = "WF",
    preset: str = "low",
    *,
    model: str = "can-live",
    can_engine: str = "auto",
    channel_mode: str = "linked",
    processing_rate_hz: int | None = None,
    **fields: Any,
) -> LivePlan:
    devices = {"source": "virtual_microphone", "target": "virtual_speaker"}
    overrides = {"channel_mode": channel_mode, "processing_rate_hz": processing_rate_hz}
    found = settings(method, preset, can={"model": model, "engine": can_engine}, **overrides)
    return LivePlan(settings=found, **(devices | fields))


def device(
    name: str,
    channels_in: int = 1,
    channels_out: int = 0,
    *,
    host_api: str = "ALSA",
    index: int = 0,
    default: bool = False,
) -> Device:
    """A device that nobody has."""
    return Device(
        index=index,
        name=name,
        host_api=host_api,
        channels_in=channels_in,
        channels_out=channels_out,
        rate_hz=48000,
        latency_in_seconds=0.0,
        latency_out_seconds=0.0,
        default_input=default,
        default_output=False,
    )


class Running:
    """A session that a thread looks after, as the command line does."""

    def __init__(self, session: Session, told: list[str] | None = None) -> None:
        self.session, self._told = session, told if told is not None else []
        self.failure: BaseException | None = None
        self._end, self._ended = threading.Event(), threading.Event()
        # it outlives `join`: Linux ends a process with the thread that started it, and a session ends its own in order
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        try:
            while not self._end.is_set() and self.session.step():
                time.sleep(STEP_SECONDS)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.failure = error
        self._ended.set()
        while self.session.state != "finished":
            time.sleep(STEP_SECONDS)

    def wait(self, condition: Callable[[], bool], timeout_seconds: float = 60.0) -> float:
        """Until `condition`; returns the seconds it took."""
        started = time.monotonic()
        while not condition():
            if self.failure is not None:
                raise self.failure
            if time.monotonic() - started > timeout_seconds:
                what = f"still {self.session.state} ({self.session._stage.name}) after {timeout_seconds} s"
                raise TimeoutError(f"{what}\n{diagnosis(self.session, self._told)}")
            time.sleep(0.005)
        return time.monotonic() - started

    def join(self) -> None:
        """Until nobody drives the session any more; close it then."""
        self._end.set()
        self._ended.wait(5)


@contextmanager
def running(live_plan: LivePlan, told: list[str] | None = None) -> Iterator[Running]:
    """A session that runs: the devices are open and the first blocks have passed."""
    lines: list[str] = told if told is not None else []
    session = Session(live_plan, lines.append)
    runner = Running(session, lines)
    try:
        runner.wait(lambda: session.state == "running" and session.region.live["fade"][0] == 1.0, 240.0)
        yield runner
    finally:
        runner.join()
        session.close()
    if runner.failure is not None:
        raise runner.failure


class HalfAmplitude:
    """A slow engine: works `seconds` on every hop, halves the amplitude, has a latency of its own."""

    def __init__(self, sample_rate: int, channels: int, seconds: float) -> None:
        self.sample_rate, self.channels, self.hop, self.latency_samples = sample_rate, channels, 64, 96
        self._seconds = seconds
        shape = (self.latency_samples + self.hop,) + (() if channels == 1 else (channels,))
        self._line = np.zeros(shape, np.float32)

    def process(self, block: F32, out: F32) -> None:
        until = time.perf_counter() + self._seconds
        self._line[self.latency_samples :] = block
        out[:] = np.float32(0.5) * self._line[: self.hop]
        self._line[: self.latency_samples] = self._line[self.hop :].copy()
        while time.perf_counter() < until:
            pass

    def reset(self) -> None:
        self._line[:] = 0.0


def quick_engine(_settings: Settings, rate: int, channels: int) -> HalfAmplitude:
    return HalfAmplitude(rate, channels, 0.0)


def slow_engine(_settings: Settings, rate: int, channels: int) -> HalfAmplitude:
    """Half of a hop's time, every hop."""
    return HalfAmplitude(rate, channels, 0.5 * 64 / rate)


def broken_engine(_settings: Settings, rate: int, channels: int) -> HalfAmplitude:
    raise ValueError("no such network")


@contextmanager
def stopped(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
