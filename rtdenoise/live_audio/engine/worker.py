"""The engine process: runs a method that is not a compiled hop, between two rings, woken for every block."""

from __future__ import annotations

import os
import select
import sys
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from rtdenoise.child import scheduling
from rtdenoise.child.lines import ChildEnd
from rtdenoise.errors import ModelError
from rtdenoise.live_audio.engine.positions import prepare_positions, publish, samples_in
from rtdenoise.live_audio.messages import Build, Built, Failed, Load, Work, unpacked
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import BINS_PER_OCTAVE, HISTOGRAM_BINS, HISTOGRAM_FLOOR_NS
from rtdenoise.live_audio.shared_memory import Region
from rtdenoise.streaming.rate import processing_rate_hz
from rtdenoise.typing import F32, Denoiser

_IDLE_SECONDS = 0.1
_BACKLOG_HOPS = 8  # further behind than this it skips ahead: those samples have been played dry


def build_denoiser(plan: LivePlan, rate: int) -> Denoiser:
    """Build a plan's denoiser at the device's rate with the function the plan names, and warm it up."""
    module, _, function = plan.engine.partition(":")
    whole = replace(plan.settings, spectral=replace(plan.settings.spectral, mix=1.0))  # the callback mixes
    denoiser: Denoiser = getattr(import_module(module), function)(whole, rate, plan.channels)
    shape = (denoiser.hop,) if denoiser.channels == 1 else (denoiser.hop, denoiser.channels)
    silence = np.zeros(shape, np.float32)
    for _ in range(3):
        denoiser.process(silence, silence.copy())
    denoiser.reset()
    prepare_positions()
    return denoiser


class Engine:
    """Denoises noisy samples into the answers ring until the process ends; sleeps while `engine_on` is 0."""

    def __init__(self, denoiser: Denoiser, region: Region, wake_fd: int) -> None:
        self._denoiser, self._region, self._wake_fd = denoiser, region, wake_fd
        self._live = region.live[0]
        rings = region.attached_rings()
        self._noisy, self._answers = (self._mono(rings["noisy"]), self._mono(rings["answers"]))
        self._poller = select.poll() if wake_fd >= 0 else None
        if self._poller is not None:
            self._poller.register(wake_fd, select.POLLIN)
        self._hop = denoiser.hop
        self._cut = np.zeros((self._hop, *self._noisy.shape[1:]), np.float32)  # a hop that wraps around the ring's end
        self._limits = gain_limits(denoiser)
        self._limit = float(self._limits[0][0]) if self._limits else 0.0
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
            time.sleep(self._nap_seconds)  # no eventfd here: poll four times per hop
        elif self._poller.poll(_IDLE_SECONDS * 1000):
            os.read(self._wake_fd, 8)

    def _advance(self) -> None:
        live, hop = self._live, self._hop
        live["engine_heartbeat_ns"] = time.monotonic_ns()
        while live["engine_on"]:
            n_in = samples_in(self._region.live)
            behind = n_in - int(live["engine_n"])
            if behind < hop:
                return
            if behind > max(0, int(live["engine_wait"])) + _BACKLOG_HOPS * hop:
                self._catch_up(n_in // hop * hop - hop)
            self._follow_limit()
            started = time.perf_counter_ns()
            self._enhance(int(live["engine_n"]) % self._noisy.shape[0])
            self._count(time.perf_counter_ns() - started)
            publish(self._region.live, int(live["engine_n"]) + hop)

    def _enhance(self, at: int) -> None:
        head = min(self._hop, self._noisy.shape[0] - at)
        if head == self._hop:
            self._denoiser.process(self._noisy[at : at + head], self._answers[at : at + head])
            return
        self._cut[:head], self._cut[head:] = self._noisy[at:], self._noisy[: self._hop - head]
        self._denoiser.process(self._cut, self._cut)
        self._answers[at:], self._answers[: self._hop - head] = self._cut[:head], self._cut[head:]

    def _follow_limit(self) -> None:
        """Pass on the user's attenuation limit, if the method applies one itself."""
        wanted = float(self._live["engine_gain_min"])
        if wanted != self._limit:
            self._limit = wanted
            for limit in self._limits:
                limit.fill(wanted)

    def _catch_up(self, position: int) -> None:
        """Continue at `position`; the output between the last answer and it will never be valid.

        The first `latency` samples of output are invalid too: they are silence or belong to earlier input.
        """
        live = self._live
        skipped = position - int(live["engine_n"])
        if skipped > 0:
            live["engine_from"] = position + self._denoiser.latency_samples
            live["engine_skipped"] += skipped
            publish(self._region.live, position)

    def _count(self, spent_ns: int) -> None:
        live = self._live
        octaves = np.log2(max(spent_ns, HISTOGRAM_FLOOR_NS) / HISTOGRAM_FLOOR_NS)
        live["engine_histogram"][min(int(octaves * BINS_PER_OCTAVE), HISTOGRAM_BINS - 1)] += 1
        live["engine_max_ns"] = max(int(live["engine_max_ns"]), spent_ns)
        live["engine_steps"] += 1


def gain_limits(denoiser: Any) -> list[F32]:
    """The arrays ``gain_min`` of a denoiser or of those inside its adapters: lowest gains, writable any time."""
    limit = getattr(denoiser, "gain_min", None)
    if isinstance(limit, np.ndarray):
        return [limit]
    inside = [getattr(denoiser, name, None) for name in ("inner", "_inner", "_denoiser")]
    inside += list(getattr(denoiser, "_denoisers", ()))
    return [limit for one in inside if one is not None for limit in gain_limits(one)]


def _serve(parent: ChildEnd) -> None:
    load = parent.wait_for(Load, 30.0)
    if load is None:
        return
    plan = unpacked(load.plan)
    build = parent.wait_for(Build)
    assert build is not None  # it waits without a limit
    denoiser = build_denoiser(plan, build.rate_hz)
    scheduling.request_priority(0, scheduling.PRIORITY_ENGINE)
    scheduling.freeze_garbage()
    limits = gain_limits(denoiser)
    built = Built(
        hop=denoiser.hop,
        latency=denoiser.latency_samples,
        rate_hz=processing_rate_hz(denoiser),
        limits=bool(limits),
        gain_min=float(limits[0][0]) if limits else 0.0,
    )
    parent.send(built)
    work = parent.wait_for(Work)
    assert work is not None
    Engine(denoiser, Region(work.region), work.wake_fd).run()


def main() -> None:
    """Build on the order with the rate, run once the rings are ready, and report any error in one line."""
    scheduling.end_with_parent()
    parent = ChildEnd()
    try:
        _serve(parent)
    except Exception as error:  # noqa: BLE001 - reported to the session, which decides
        parent.send(Failed.of(error, ModelError))
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
