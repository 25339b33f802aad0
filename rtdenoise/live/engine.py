"""The engine process: runs a method that is not a compiled hop, between two rings, woken for every block."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from dataclasses import asdict
from importlib import import_module

import numpy as np

from rtdenoise.errors import RtDenoiseError
from rtdenoise.live import scheduling
from rtdenoise.live.pipes import ChildEnd, decode
from rtdenoise.live.plan import LivePlan
from rtdenoise.live.record import BINS_PER_OCTAVE, HISTOGRAM_BINS, HISTOGRAM_FLOOR_NS
from rtdenoise.live.region import Region
from rtdenoise.typing import F32, Denoiser

_IDLE_SECONDS = 0.1
_BACKLOG_HOPS = 8  # further behind than this it jumps ahead: those samples have been played dry


def build_denoiser(plan: LivePlan, rate: int) -> Denoiser:
    """The denoiser of a plan at the device's rate, by the function the plan names, warm."""
    module, _, function = plan.engine.partition(":")
    denoiser: Denoiser = getattr(import_module(module), function)(plan.settings, rate, plan.channels)
    shape = (denoiser.hop,) if denoiser.channels == 1 else (denoiser.hop, denoiser.channels)
    silence = np.zeros(shape, np.float32)
    for _ in range(3):
        denoiser.process(silence, silence.copy())
    denoiser.reset()
    return denoiser


class Engine:
    """Turns noisy samples into wet ones as long as the record says that the stream runs."""

    def __init__(self, denoiser: Denoiser, region: Region, wake_fd: int) -> None:
        self._denoiser, self._live, self._wake_fd = denoiser, region.live[0], wake_fd
        rings = region.attached_rings()
        self._noisy, self._wet = (self._mono(rings["noisy"]), self._mono(rings["wet"]))
        self._fence = threading.Lock()
        self._poller = select.poll() if wake_fd >= 0 else None
        if self._poller is not None:
            self._poller.register(wake_fd, select.POLLIN)
        self._hop = denoiser.hop
        self._nap_seconds = self._hop / denoiser.sample_rate / 4

    def _mono(self, ring: F32) -> F32:
        return ring[:, 0] if self._denoiser.channels == 1 else ring

    def run(self) -> None:
        """Work until the process ends."""
        self._catch_up(int(self._live["n_in"]) // self._hop * self._hop)
        while True:
            self._wait()
            self._advance()

    def _wait(self) -> None:
        if self._poller is None:
            time.sleep(self._nap_seconds)  # no eventfd here: look four times a hop
        elif self._poller.poll(_IDLE_SECONDS * 1000):
            os.read(self._wake_fd, 8)

    def _advance(self) -> None:
        live, hop = self._live, self._hop
        live["engine_heartbeat_ns"] = time.monotonic_ns()
        while True:
            behind = int(live["n_in"]) - int(live["n_wet"])
            if behind < hop:
                return
            if behind > int(live["wait"]) + _BACKLOG_HOPS * hop:
                self._catch_up(int(live["n_in"]) // hop * hop - hop)
            at = int(live["n_wet"]) % self._noisy.shape[0]
            started = time.perf_counter_ns()
            self._denoiser.process(self._noisy[at : at + hop], self._wet[at : at + hop])
            self._count(time.perf_counter_ns() - started)
            with self._fence:  # a lock is a memory barrier: the samples are seen before their number
                live["n_wet"] += hop

    def _catch_up(self, position: int) -> None:
        """Continue at `position`; nothing between the last answer and it will ever be valid."""
        live = self._live
        skipped = position - int(live["n_wet"])
        if skipped > 0:
            live["wet_from"] = position
            live["engine_skipped"] += skipped
            with self._fence:
                live["n_wet"] = position

    def _count(self, spent_ns: int) -> None:
        live = self._live
        octaves = np.log2(max(spent_ns, HISTOGRAM_FLOOR_NS) / HISTOGRAM_FLOOR_NS)
        live["engine_histogram"][min(int(octaves * BINS_PER_OCTAVE), HISTOGRAM_BINS - 1)] += 1
        live["engine_max_ns"] = max(int(live["engine_max_ns"]), spent_ns)
        live["engine_steps"] += 1


def _serve(parent: ChildEnd) -> None:
    order = parent.wait(30.0)
    if order is None:
        return
    plan: LivePlan = decode(order["plan"])
    while order.get("order") != "build":
        order = parent.wait(600.0) or order
    denoiser = build_denoiser(plan, int(order["rate"]))
    grants = [scheduling.request_priority(0, scheduling.PRIORITY_ENGINE), scheduling.freeze_garbage()]
    parent.send("built", hop=denoiser.hop, latency=denoiser.latency_samples, grants=[asdict(grant) for grant in grants])
    while order.get("order") != "run":
        order = parent.wait(600.0) or order
    Engine(denoiser, Region(order["region"]), int(order["wake_fd"])).run()


def main() -> None:
    """Build when told the rate, run when told that the rings stand; report what went wrong in one line."""
    scheduling.end_with_parent()
    parent = ChildEnd()
    try:
        _serve(parent)
    except RtDenoiseError as error:
        parent.send("error", kind=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 - reported to the session, which decides
        parent.send("error", kind="ModelError", message=f"{type(error).__name__}: {' '.join(str(error).split())}")
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
