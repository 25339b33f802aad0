"""All measurements of one case, made inside its own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rtdenoise.bench.cases import NATIVE, Case
from rtdenoise.bench.memory import allocations, peak_mb, resident_mb
from rtdenoise.child.scheduling import PRIORITY_AUDIO, Grant, request_priority
from rtdenoise.evaluate.compared.systems import own_settings
from rtdenoise.registry import build
from rtdenoise.typing import F32, Denoiser

Percentiles = dict[str, float]
Run = Callable[[int, int, Any], None]

PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
ROUNDS = 7
_BLOCKS = 256
_STREAMS = (1, 4, 16, 64, 256)
_ROUND_SECONDS = 0.06
_SETTLING_HOPS = 16  # of a paced run, not counted: caches warm up and the new priority takes effect
_HISTOGRAM_BINS = 60


def measure(case: Case, *, seconds: float, born: float, loaded: bool) -> dict[str, Any]:
    """All figures of a case, in the units their names give.

    Parameters
    ----------
    case : Case
    seconds : float
        Length of the paced run.
    born : float
        Wall-clock time at which this process was requested.
    loaded : bool
        Run next to a Python thread that never sleeps.
    """
    denoiser, startup = _start(case, born)
    built_mb = resident_mb()
    blocks = noisy_blocks(denoiser.hop, denoiser.sample_rate)
    run = _runner(case, denoiser, blocks)
    hog = Hog() if loaded and case.engine == NATIVE else None
    try:
        steady = back_to_back(run, denoiser)
        paced = paced_run(run, denoiser, seconds)
    finally:
        if hog is not None:
            hog.stop()
    return {
        **case.as_dict(),
        "hop": denoiser.hop,
        "hop_ms": 1e3 * denoiser.hop / case.rate_hz,
        "latency_ms": latency_parts(denoiser, case, paced),
        "startup_seconds": startup,
        "memory_mb": {"built": built_mb, "peak": peak_mb()},
        "paced": paced,
        "back_to_back": steady,
        "overhead_us": overhead_us() if case.engine == NATIVE else None,
        "allocations": allocations(case, denoiser, blocks, run),
        **capacity(case, denoiser, blocks, steady),
    }


def _start(case: Case, born: float) -> tuple[Denoiser, float]:
    """The denoiser after its first hop, and the time that took."""
    denoiser = build(own_settings(case.name), case.rate_hz)
    block = np.zeros(denoiser.hop, np.float32)
    denoiser.process(block, block)
    return denoiser, time.time() - born


def startup_seconds(case: Case, born: float) -> float:
    """Time from requesting a process to its first denoised hop."""
    return _start(case, born)[1]


def noisy_blocks(hop: int, rate_hz: int) -> F32:
    """(256, hop) float32 of harmonic bursts in noise, which exercise every branch."""
    t = np.arange(_BLOCKS * hop) / rate_hz
    voice = np.sum([np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20)], axis=0)
    noise = np.random.default_rng(0).normal(0.0, 0.02, t.size)
    return np.asarray(0.08 * voice * (np.sin(2 * np.pi * 2.3 * t) > 0) + noise, np.float32).reshape(_BLOCKS, hop)


def _runner(case: Case, denoiser: Denoiser, blocks: F32) -> Run:
    """A function that fills ``(n, 2)`` times, given the first due time and the period."""
    from rtdenoise.bench import loops
    from rtdenoise.kernels.sized import headers

    if case.engine != NATIVE:
        return lambda due, period, times: loops.time_calls(denoiser, blocks, due, period, times)
    out, scratch = np.empty(denoiser.hop, np.float32), np.zeros(2, np.int64)
    states: Any = headers(denoiser.state)  # type: ignore[attr-defined]  # native denoisers have one

    def run(due: int, period: int, times: Any) -> None:
        loops.time_hops(blocks, out, states, due, period, times, scratch)

    run(0, 0, np.zeros((8, 2), np.int64))  # compiles
    return run


class Hog:
    """A Python thread that never sleeps: contention for the GIL, as other code in the same program causes."""

    def __init__(self) -> None:
        self._stopped = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        number = 0
        while not self._stopped:
            number = (number * 31 + 7) % 1_000_003

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped = True
        self._thread.join()


def percentiles(values_us: Any) -> Percentiles:
    """The percentiles listed in `PERCENTILES`."""
    return {name: float(np.percentile(values_us, share)) for name, share in PERCENTILES.items()}


def back_to_back(run: Run, denoiser: Denoiser) -> dict[str, Any]:
    """Hop after hop in rounds, each next to a round of a reference workload, to compare runs from different days."""
    probe = np.zeros((20, 2), np.int64)
    run(0, 0, probe)
    each_us = max(0.2, float(np.median(probe[:, 1] - probe[:, 0])) / 1e3)
    count = int(np.clip(_ROUND_SECONDS * 1e6 / each_us, 20, 20000))
    every, medians, references = [], [], []
    for _ in range(ROUNDS):
        times = np.zeros((count, 2), np.int64)
        references.append(reference_us())
        run(0, 0, times)
        spent = (times[:, 1] - times[:, 0]) / 1e3
        every.append(spent)
        medians.append(float(np.median(spent)))
    found = np.concatenate(every)
    hop_us = 1e6 * denoiser.hop / denoiser.sample_rate
    return {
        "hops": int(found.size),
        "us": percentiles(found),
        "us_per_10ms": float(np.median(found)) * 1e4 / hop_us,
        "rtf": float(np.median(found)) / hop_us,
        "rounds_us": medians,
        "reference_us": references,
        "histogram": histogram(found),
    }


def reference_us() -> float:
    """Median time of a fixed workload: the speed of the machine at this moment."""
    signal = np.linspace(-1.0, 1.0, 4096)
    spent = []
    for _ in range(60):
        began = time.perf_counter_ns()
        np.fft.irfft(np.fft.rfft(signal))
        spent.append(time.perf_counter_ns() - began)
    return float(np.median(spent)) / 1e3


def histogram(values_us: Any) -> dict[str, list[float]]:
    """Counts in logarithmic bins; `edges_us` has one more entry than `counts`."""
    low, high = max(1e-2, float(values_us.min()) * 0.95), float(values_us.max()) * 1.05
    edges = np.geomspace(low, max(high, 1.01 * low), _HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(values_us, edges)
    return {"edges_us": [float(v) for v in edges], "counts": [int(v) for v in counts]}


def paced_run(run: Run, denoiser: Denoiser, seconds: float) -> dict[str, Any]:
    """Run each hop when its block is due, at the priority that live audio requests."""
    period_ns = round(1e9 * denoiser.hop / denoiser.sample_rate)
    count = max(50, round(seconds * 1e9 / period_ns))
    every = np.zeros((_SETTLING_HOPS + count, 2), np.int64)
    denoiser.reset()
    first, grant = _with_priority(lambda due: run(due, period_ns, every), 2 * period_ns)
    times = every[_SETTLING_HOPS:]
    due = first + period_ns * np.arange(_SETTLING_HOPS, len(every))
    spent, behind = (times[:, 1] - times[:, 0]) / 1e3, (times[:, 0] - due) / 1e3
    late = int(np.count_nonzero(times[:, 1] - due > period_ns))
    return {
        "hops": count,
        "us": percentiles(spent),
        "jitter_us": percentiles(np.maximum(behind, 0.0)),
        "completion_us": percentiles(np.maximum(times[:, 1] - due, 0) / 1e3),
        "late_blocks": late,
        "priority": grant.detail if grant.granted else "ordinary",
        "histogram": histogram(spent),
    }


def _with_priority(work: Callable[[int], None], lead_ns: int) -> tuple[int, Grant]:
    """Run `work(first_due_ns)` in a short-lived thread with real-time priority.

    An ordinary user may be granted the priority but cannot drop it: later measurements would inherit it, and any
    computation longer than rtkit allows would be killed.
    """

    def run() -> tuple[int, Grant]:
        grant = request_priority(threading.get_native_id(), PRIORITY_AUDIO)
        first = time.monotonic_ns() + lead_ns
        work(first)
        return first, grant

    with ThreadPoolExecutor(1) as alone:
        return alone.submit(run).result()


def latency_parts(denoiser: Denoiser, case: Case, paced: dict[str, Any]) -> dict[str, float]:
    """Parts in ms: algorithm, gathering the block, the queue to an engine process, compute (p99).

    Compiled methods, networks among them, have no queue: live audio runs them in the callback.  The devices' latencies
    are not included: `rtdenoise latency --loopback` measures those.
    """
    hop_ms = 1e3 * denoiser.hop / case.rate_hz
    in_callback = case.engine in (NATIVE, "numba") or case.name == "bypass"  # as in live audio, where it keeps up
    parts = {
        "block": hop_ms,
        "algorithm": 1e3 * denoiser.latency_samples / case.rate_hz,
        "queue": 0.0 if in_callback else hop_ms,  # an engine process has one hop's time before its result is due
        "compute": paced["us"]["p99"] / 1e3,
    }
    return {**parts, "total": sum(parts.values()) - (parts["compute"] if parts["queue"] else 0.0)}


def overhead_us() -> float:
    """Overhead of the timing itself, per hop."""
    from rtdenoise.bench import loops

    times, scratch = np.zeros((2000, 2), np.int64), np.zeros(2, np.int64)
    loops.time_nothing(times[:8], scratch)
    began = time.perf_counter_ns()
    loops.time_nothing(times, scratch)
    return (time.perf_counter_ns() - began) / 1e3 / times.shape[0]


def capacity(case: Case, denoiser: Denoiser, blocks: F32, steady: dict[str, Any]) -> dict[str, Any]:
    """``streams_per_core`` and, for compiled hops, the curve of time against streams."""
    hop_us = 1e6 * denoiser.hop / denoiser.sample_rate
    if case.engine != NATIVE:
        return {"streams_per_core": int(1.0 / max(steady["rtf"], 1e-9)), "capacity": []}
    from rtdenoise.bench import loops
    from rtdenoise.kernels.sized import headers

    scratch, curve = np.zeros(2, np.int64), []
    for streams in _STREAMS:
        states = headers(np.repeat(denoiser.state, streams))  # type: ignore[attr-defined]  # native denoisers have one
        many = blocks[np.arange(streams) % _BLOCKS].copy()
        outs = np.empty_like(many)
        loops.time_streams(many, outs, states, np.zeros((2, 2), np.int64), scratch)
        times = np.zeros((int(np.clip(2000 // streams, 8, 200)), 2), np.int64)
        loops.time_streams(many, outs, states, times, scratch)
        spent = (times[:, 1] - times[:, 0]) / 1e3
        curve.append({"streams": streams, **percentiles(spent)})
    each_us = min(point["p50"] / point["streams"] for point in curve[-2:])
    return {"streams_per_core": int(hop_us / each_us), "capacity": curve}
