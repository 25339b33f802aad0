"""Levels and spectra of a running session before and after the method, read from its rings by whoever watches."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from rtdenoise.live_audio.record import audible_delay
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.shared_memory import Region, span_of
from rtdenoise.typing import F32
from rtdenoise.units import db_from_power

BANDS = 96
LOWEST_HZ, HIGHEST_HZ = 50.0, 16000.0  # of speech and most noises; above it a picture shows little
FLOOR_DB, TOP_DB = -100.0, -20.0
_FRAME_SECONDS = 0.032
_LONGEST_SECONDS = 0.5  # of sound that one reading covers
_SILENCE_DB = -200.0
_SLOPE, _OFFSET = np.float32(20.0 * 255.0 / (TOP_DB - FLOOR_DB)), np.float32(-FLOOR_DB * 255.0 / (TOP_DB - FLOOR_DB))


class Meters:
    """What passed a session since the last `read`: the same moment before and after the method.

    A reading copies from the rings; the audio thread does not notice.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._region: Region | None = None
        self._rings: dict[str, F32] = {}
        self._position = 0
        self._window, self._starts, self._last = np.zeros(0, np.float32), np.zeros(0, int), 0

    def read(self) -> dict[str, Any] | None:
        """Levels and spectra since the last call; None if no sound has passed.

        Returns
        -------
        dict, optional
            ``seconds`` of sound since the stream was opened, ``top_hz`` of the spectra, and for ``before`` and
            ``after`` ``level_dbfs``, ``peak_dbfs`` and ``spectrum``: `BANDS` bytes in base64, from `FLOOR_DB` (0) to
            `TOP_DB` (255), over bands of equal width in mel from `LOWEST_HZ` to ``top_hz``.
        """
        region = self._session.region
        live = region.live[0]
        rate, n, delay = float(live["rate"]), int(live["n"]), audible_delay(region.live)
        if live["capacity"] == 0 or live["wait"] < 0 or n <= delay:
            return None
        if region is not self._region or n < self._position:
            self._follow(region, rate)
        start = max(self._position, delay, n - int(_LONGEST_SECONDS * rate))
        if start >= n or n - delay < self._window.size:
            return None
        self._position = n
        before, after = self._sides(start, n, delay)
        return {"seconds": round(n / rate, 3), "top_hz": self._top_hz(rate), "before": before, "after": after}

    def _follow(self, region: Region, rate: float) -> None:
        self._region, self._rings, self._position = region, region.attached_rings(), 0
        length = 1 << round(math.log2(_FRAME_SECONDS * rate))
        window = np.hanning(length)
        self._window = (window * math.sqrt(2.0) / window.sum()).astype(np.float32)  # a sine's bin has its power
        edges = np.round(_edges_hz(self._top_hz(rate)) * length / rate).astype(int)
        self._last = edges[-1]
        self._starts = np.minimum(edges[:-1], self._last - 1)

    @staticmethod
    def _top_hz(rate: float) -> float:
        return min(HIGHEST_HZ, rate / 2.0)

    def _sides(self, start: int, stop: int, delay: int) -> list[dict[str, Any]]:
        """Both sides in few steps: a process that wakes now and then spends its time on calls, not on samples."""
        first = min(start, stop - self._window.size)
        spans = ("noisy", first - delay, stop - delay), ("clean", first, stop)
        sides = np.stack([span_of(self._rings[ring], *span) for ring, *span in spans])
        if not math.isfinite(float(sides.sum())):
            sides = np.nan_to_num(sides, posinf=0.0, neginf=0.0)
        new = np.abs(sides[:, start - stop :])
        levels = zip(np.square(new).mean(axis=(1, 2)), new.max(axis=(1, 2)), self._spectra(sides), strict=True)
        return [
            {
                "level_dbfs": round(max(_SILENCE_DB, db_from_power(float(power))), 1),
                "peak_dbfs": round(max(_SILENCE_DB, db_from_power(float(peak) ** 2)), 1),
                "spectrum": spectrum,
            }
            for power, peak, spectrum in levels
        ]

    def _spectra(self, sides: F32) -> list[str]:
        """Spectra of the newest samples."""
        newest = sides[:, -self._window.size :]
        frames = newest[:, :, 0] if newest.shape[2] == 1 else newest.mean(axis=2)
        magnitude = np.abs(np.fft.rfft(frames * self._window))
        bands = np.maximum.reduceat(magnitude[:, : self._last], self._starts, axis=1)
        scaled = np.log10(bands + np.float32(1e-10)) * _SLOPE + _OFFSET
        return [base64.b64encode(row).decode("ascii") for row in scaled.clip(0.0, 255.0).astype(np.uint8)]


def _edges_hz(top_hz: float) -> np.ndarray:
    """The `BANDS` + 1 edges of the bands."""
    low, high = (2595.0 * math.log10(1.0 + hz / 700.0) for hz in (LOWEST_HZ, top_hz))
    return np.asarray(700.0 * (10.0 ** (np.linspace(low, high, BANDS + 1) / 2595.0) - 1.0))
