"""Read-only monitoring of a running stream: levels, timing statistics, dropouts and latency from its record."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.record import (
    FLAGS,
    HISTOGRAM_BINS,
    audible_delay,
    audible_rate,
    histogram_value_ns,
    percentile_ns,
)
from rtdenoise.live_audio.supervise.lost import LostSamples
from rtdenoise.rates import passed_hz
from rtdenoise.units import db_from_power

_SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
_SUMS = (
    "callbacks", "n", "late_blocks", "dry_blocks", "dry_samples", "inserted", "missing", "bad_samples", "limited",
    "howls", "engine_steps", "engine_skipped", "play_starved", "play_jumps",
)  # fmt: skip
_LEVEL_SECONDS = 0.1
_QUIET_SHARE = 0.2
_QUIET_MEMORY = 100  # readings, 10 s
_PATH = ("wet_target", "share_target", "rule", "gain_min", "engine_gain_min", "mix")
"""Fields that define the audible path; levels measured under other values do not apply to it."""
_MAXIMA = {"compute_us": "compute_max_ns", "jitter_us": "jitter_max_ns", "engine_us": "engine_max_ns"}
_SETTLED = 20  # callbacks; the first ones run with cold caches and are not representative


@dataclass(slots=True)
class Reading:
    """Counters and histograms at one instant, or the difference between two; can be added."""

    seconds: float = 0.0
    lost: int = 0
    compute_sum_ns: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0))
    flags: np.ndarray = field(default_factory=lambda: np.zeros(len(FLAGS), np.int64))
    compute: np.ndarray = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, np.int64))
    jitter: np.ndarray = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, np.int64))
    engine: np.ndarray = field(default_factory=lambda: np.zeros(HISTOGRAM_BINS, np.int64))
    energy_in: float = 0.0
    energy_out: float = 0.0

    def minus(self, other: Reading) -> Reading:
        """Difference between this reading and the earlier `other`."""
        return self._combined(other, -1)

    def plus(self, other: Reading) -> Reading:
        """Sum of both."""
        return self._combined(other, 1)

    def _combined(self, other: Reading, sign: int) -> Reading:
        return Reading(
            seconds=self.seconds + sign * other.seconds,
            lost=self.lost + sign * other.lost,
            compute_sum_ns=self.compute_sum_ns + sign * other.compute_sum_ns,
            counts={name: self.counts[name] + sign * other.counts[name] for name in _SUMS},
            flags=self.flags + sign * other.flags,
            compute=self.compute + sign * other.compute,
            jitter=self.jitter + sign * other.jitter,
            engine=self.engine + sign * other.engine,
            energy_in=self.energy_in + sign * other.energy_in,
            energy_out=self.energy_out + sign * other.energy_out,
        )


def take_reading(live: Any) -> Reading:
    """Current counters of the record; `live` is (1,) `LIVE`."""
    record = live[0]
    return Reading(
        seconds=time.monotonic(),
        compute_sum_ns=int(record["compute_sum_ns"]),
        counts={name: int(record[name]) for name in _SUMS},
        flags=record["flag_counts"] + record["play_flag_counts"],
        compute=record["compute_histogram"].copy(),
        jitter=record["jitter_histogram"].copy(),
        engine=record["engine_histogram"].copy(),
        energy_in=float(record["energy_in"]),
        energy_out=float(record["energy_out"]),
    )


class Monitor:
    """Follows successive streams through their records, accumulating totals across reopenings.

    Call `update` about ten times a second; `interval` and `total` then report on the time since the last `interval` and
    since the start.
    """

    def __init__(self) -> None:
        self._live: Any = None
        self._past = Reading()
        self._at_open = Reading()
        self._at_interval = Reading()
        self._at_level = Reading()
        self._levels: deque[tuple[float, float]] = deque(maxlen=_QUIET_MEMORY)
        self._path: tuple[float, ...] = ()
        self._past_max_us = dict.fromkeys(_MAXIMA, 0.0)
        self._lost = LostSamples()
        self.devices = Opened()
        self.level_in_db = self.level_out_db = -200.0

    def open(self, live: Any, devices: Opened) -> None:
        """Follow this record from now on; called when a stream starts running."""
        if self._live is not None:
            self._past, self._past_max_us = self._sum(), self._max_us()
        self._live = live
        self.devices = devices
        self._at_open = Reading(seconds=time.monotonic())
        self._at_level = take_reading(live)
        self._lost.restart()

    def freeze(self) -> None:
        """Keep a copy of the record when the stream ends, and release the shared one."""
        if self._live is not None:
            self._live = self._live.copy()

    def _max_us(self) -> dict[str, float]:
        """The exact longest times since the start; the histograms resolve them only to 2 %."""
        if self._live is None:
            return self._past_max_us
        now = {name: float(self._live[of][0]) / 1e3 for name, of in _MAXIMA.items()}
        return {name: max(self._past_max_us[name], value) for name, value in now.items()}

    def _sum(self) -> Reading:
        now = self._past
        if self._live is not None:
            now = now.plus(take_reading(self._live).minus(self._at_open))
        return replace(now, lost=self.lost)

    def update(self) -> None:
        """Update the levels and the count of lost samples."""
        if self._live is None:
            return
        self._lost.look(self._live[0])
        self._follow_path()
        if time.monotonic() - self._at_level.seconds < _LEVEL_SECONDS * 0.9:
            return
        now = take_reading(self._live)
        step = now.minus(self._at_level)
        if step.counts["n"] > 0:
            n = step.counts["n"] * int(self._live["channels"][0])
            self.level_in_db, self.level_out_db = db_from_power(step.energy_in / n), db_from_power(step.energy_out / n)
            if step.energy_in > 0.0 and self._live["wet_target"][0] > 0.0:
                self._levels.append((self.level_in_db, self.level_out_db))
            self._at_level = now

    def _follow_path(self) -> None:
        """Discard levels measured with another method or limit, or before a bypass."""
        path = tuple(float(self._live[name][0]) for name in _PATH)
        if path != self._path:
            self._path = path
            self._levels.clear()
            self._at_level = take_reading(self._live)

    @property
    def lost(self) -> int:
        """Input samples lost since the start: those no callback delivered."""
        return self._lost.count

    def noise_reduction_db(self) -> float | None:
        """How much quieter the output is in the quietest fifth of the last ten seconds; None in silence or bypass."""
        if len(self._levels) < 10 or self._live is None or self._live["wet_target"][0] == 0.0:
            return None
        ordered = sorted(self._levels)[: max(2, int(len(self._levels) * _QUIET_SHARE))]
        return float(np.median([before - after for before, after in ordered]))

    def budget(self) -> dict[str, float]:
        """The latency budget by component, in ms; "total" is their sum."""
        if self._live is None:
            return {}
        record = self._live[0]
        per_ms = float(record["rate"]) / 1000.0
        block = int(record["block"])
        algorithm = int(record["engine_latency" if record["share_target"] > 0.0 else "latency"])
        second_clock = max(0.0, float(record["play_target"]) - block)  # its lead includes the block
        parts = {
            "device_in": 1000.0 * self.devices.latency_in_seconds,
            "block": block / per_ms,
            "algorithm": algorithm / per_ms,
            "queue": (max(0, audible_delay(self._live) - algorithm) + second_clock) / per_ms,
            "compute": percentile_ns(record["compute_histogram"], 0.5) / 1e6 * (record["callbacks"] >= _SETTLED),
            "device_out": 1000.0 * self.devices.latency_out_seconds,
        }
        parts["total"] = sum(parts.values())
        return {name: round(value, 3) for name, value in parts.items()}

    def _processing(self) -> dict[str, Any]:
        """Where the audible method runs, at which rate, and the highest frequency that it lets through."""
        if self._live is None:
            return {}
        record, rate = self._live[0], audible_rate(self._live)
        inside = record["share_target"] == 0.0 or record["engine_inside"] == 1
        return {
            "run_in": "callback" if inside else "engine",
            "processing_rate_hz": round(rate),
            "band_hz": passed_hz(float(record["rate"]), rate),
        }

    def interval(self) -> dict[str, Any]:
        """Report on the time since the last call."""
        now = self._sum()
        report = self._report(now.minus(self._at_interval))
        self._at_interval = now
        return report

    def total(self) -> dict[str, Any]:
        """Report on the time since the start."""
        report = self._report(self._sum())
        for name, longest in self._max_us().items():
            if name in report:
                report[name] = _up_to(longest, report[name])
        if report["budget_used_percent"]:
            block_us = 1e3 * report["block_ms"]
            report["budget_used_percent"] = {
                name: round(100.0 * us / block_us, 2) for name, us in report["compute_us"].items()
            }
        return report

    def _report(self, span: Reading) -> dict[str, Any]:
        live = None if self._live is None else self._live[0]
        block_ns = 0.0 if live is None or not live["block"] else float(live["block"]) / float(live["rate"]) * 1e9
        compute = _times(span.compute)
        compute["mean"] = round(span.compute_sum_ns / 1e3 / max(span.counts["callbacks"], 1), 1)
        samples = 0 if live is None else span.counts["n"] * int(live["channels"])
        return {
            "seconds": round(span.seconds, 3),
            **span.counts,
            "lost": span.lost,
            "xruns": {name: int(count) for name, count in zip(FLAGS, span.flags, strict=True)},
            "block_ms": round(block_ns / 1e6, 3),
            "compute_us": compute,
            "compute_histogram_us": _filled(span.compute),
            "budget_used_percent": {name: round(100e3 * us / block_ns, 2) for name, us in compute.items()}
            if block_ns
            else {},
            "jitter_us": _times(span.jitter),
            **({"engine_us": _times(span.engine)} if span.engine.any() else {}),
            "level_in_dbfs": round(db_from_power(span.energy_in / max(samples, 1)), 1),
            "level_out_dbfs": round(db_from_power(span.energy_out / max(samples, 1)), 1),
            "noise_reduction_db": self.noise_reduction_db(),
            **(
                {"clock_drift_ppm": round(1e6 * float(live["play_drift"]), 1)}
                if live is not None and live["play_rate"]
                else {}
            ),
            **self._processing(),
            "latency_ms": self.budget(),
        }


def count_xruns(report: dict[str, Any]) -> int:
    """Over- and underflows in a report, not counting the host's priming output before the first block."""
    return sum(count for name, count in report["xruns"].items() if name != "priming_output")


def _filled(histogram: np.ndarray) -> list[list[float]]:
    """Non-empty bins of a histogram: pairs of time, in us, and count."""
    return [[round(histogram_value_ns(int(k)) / 1e3, 2), int(histogram[k])] for k in np.flatnonzero(histogram)]


def _times(histogram: np.ndarray) -> dict[str, float]:
    """Percentiles and the largest entry, in us."""
    times = {name: round(percentile_ns(histogram, share) / 1e3, 1) for name, share in _SHARES.items()}
    return {**times, "max": round(percentile_ns(histogram, 1.0) / 1e3, 1)}


def _up_to(longest: float, times: dict[str, float]) -> dict[str, float]:
    """Times from a histogram, limited by the exactly measured maximum."""
    return {**{name: min(us, round(longest, 1)) for name, us in times.items()}, "max": round(longest, 1)}
