"""How long a callback takes on this machine, at the pace of audio: over arrays, without a device."""

from __future__ import annotations

import ctypes
import sys
import time
from copy import deepcopy
from typing import Any

import numpy as np

from rtdenoise.cache import kept_files, machine_code
from rtdenoise.config import Settings
from rtdenoise.live_audio.callback.programs import network_digest
from rtdenoise.live_audio.callback.start import Callback, Start
from rtdenoise.live_audio.record import LIVE, RINGS, attach_rings, prepare, ring_capacity

SHARE_MAX = 0.6
"""Most that the 99.9th percentile of a network's hop may take of a block's time inside the callback."""
_SECONDS = 1.0
_QUICK_SECONDS = 0.05
_WARM_HOPS = 10
_RING_SECONDS = 0.5
_PERCENTILE = 99.9
_FUNCTION = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p
)


class Bench:
    """A stream without a device: calls a callback with the blocks of a signal.

    Parameters
    ----------
    start : Start
        Copied.
    callback : Callback
    rate, channels : int

    Attributes
    ----------
    live : (1,) `LIVE`
    """

    def __init__(self, start: Start, callback: Callback, rate: int, channels: int = 1) -> None:
        self._start, self._loaded = deepcopy(start), callback
        self._call = _FUNCTION(callback.address)
        self.live: Any = np.zeros(1, LIVE)
        state, hop = self._start.state, self._start.hop
        ends = {"channels": channels, "channels_in": channels, "channels_out": channels}
        prepare(self.live, rate=rate, hop=hop, latency=self._start.latency_samples, **ends)
        self.live["rule"], self.live["gain_min"] = state["rule"][0], state["gain_min"][0]
        capacity = ring_capacity(rate, hop, _RING_SECONDS)
        self._rings = {name: np.zeros((capacity, channels), np.float32) for name in RINGS}
        attach_rings(self.live, self._rings)
        self._start.prepare_network(self.live)
        self._start.connect(self.live.ctypes.data, callback)
        self._times = np.zeros(3)

    def call(self, block: np.ndarray, out: np.ndarray) -> None:
        """Process one block, (n, channels) float32, contiguous."""
        user, times = self._start.user.ctypes.data, self._times.ctypes.data
        self._call(block.ctypes.data, out.ctypes.data, len(block), times, 0, user)

    def warm(self, block: int, calls: int) -> None:
        """Process a number of silent blocks at once, which brings code and weights into the processor's caches."""
        silence = np.zeros((block, int(self.live["channels"][0])), np.float32)
        out = np.empty_like(silence)
        for _ in range(calls):
            self.call(silence, out)

    def paced_us(self, block: int, seconds: float) -> np.ndarray:
        """Processor time of each callback, in us, while they come as a device would call them."""
        rate, channels = float(self.live["rate"][0]), int(self.live["channels"][0])
        signal = np.random.default_rng(0).normal(0.0, 0.1, (block, channels)).astype(np.float32)
        out, times = np.empty_like(signal), np.zeros(max(1, round(seconds * rate / block)))
        due = time.perf_counter()
        for number in range(times.size):
            due += block / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            started = _clock_ns()
            self.call(signal, out)
            times[number] = (_clock_ns() - started) * 1e-3
        return times


def _clock_ns() -> int:
    """Time of this thread alone, which other programs do not lengthen; on Windows its clock is too coarse."""
    return time.perf_counter_ns() if sys.platform == "win32" else time.thread_time_ns()


def kept_as(settings: Settings, rate: int, channels: int) -> str:
    """Name under which the time of a network's hop is kept: of this machine, network and rate."""
    return f"pace {machine_code.stamps()[0]} {settings.can} {network_digest(settings)} {rate} {channels}"


def hop_us(settings: Settings, start: Start, callback: Callback, rate: int, channels: int, limit_us: float) -> float:
    """What nearly every paced hop of a network stays below in the callback, in us; kept between runs.

    Measures one second of hops, or a twentieth of a second if all hops in it stay below half the limit.  Both are kept
    apart: a limit that is lower later needs the whole second.

    Parameters
    ----------
    settings : Settings
    start : Start
        With a network.
    callback : Callback
    rate, channels : int
    limit_us : float
        What a hop may take.
    """
    assert start.network is not None
    key = kept_as(settings, rate, channels)
    kept = kept_files.find(float, key)
    if kept is not None:
        return kept
    quick = kept_files.find(float, f"{key} quick")
    if quick is not None and quick <= 0.5 * limit_us:
        return quick
    bench, block = Bench(start, callback, rate, channels), start.network.block.size
    bench.warm(block, _WARM_HOPS)
    if quick is None:
        quick = float(bench.paced_us(block, _QUICK_SECONDS).max())
        kept_files.keep(f"{key} quick", quick)
    if quick <= 0.5 * limit_us:
        return quick
    kept = float(np.percentile(bench.paced_us(block, _SECONDS), _PERCENTILE))
    kept_files.keep(key, kept)
    return kept
