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


class Meters:
    """What passed a session since the last `read`: the same moment before and after the method.

    A reading copies from the rings; the audio thread does not notice.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._region: Region | None = None
        self._rings: dict[str, F32] = {}
        self._position = 0
        self._window, self._starts = np.zeros(0, np.float32), np.zeros(0, int)

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
        if start >= n:
            return None
        self._position = n
        both = self._samples("noisy", start - delay, n - delay), self._samples("clean", start, n)
        before, after = map(_levels, both, self._spectra([samples for samples, _ in both]))
        return {"seconds": round(n / rate, 3), "top_hz": self._top_hz(rate), "before": before, "after": after}

    def _follow(self, region: Region, rate: float) -> None:
        self._region, self._rings, self._position = region, region.attached_rings(), 0
        length = 1 << round(math.log2(_FRAME_SECONDS * rate))
        window = np.hanning(length)
        self._window = (window * math.sqrt(2.0) / window.sum()).astype(np.float32)  # a sine's bin has its power
        self._starts = np.round(_edges_hz(self._top_hz(rate)) * length / rate).astype(int)

    @staticmethod
    def _top_hz(rate: float) -> float:
        return min(HIGHEST_HZ, rate / 2.0)

    def _samples(self, ring: str, start: int, stop: int) -> tuple[F32, int]:
        """Samples up to `stop` for a spectrum, and how many of them are new."""
        samples = span_of(self._rings[ring], max(0, min(start, stop - self._window.size)), stop)
        if not math.isfinite(float(samples.sum())):
            samples = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
        return samples, stop - start

    def _spectra(self, both: list[F32]) -> list[str]:
        """Spectra of the newest samples, both at once: most of the time goes into calls."""
        frames = np.zeros((len(both), self._window.size), np.float32)
        for frame, samples in zip(frames, both, strict=True):
            newest = samples[-frame.size :]
            frame[frame.size - newest.shape[0] :] = newest[:, 0] if newest.shape[1] == 1 else newest.mean(axis=1)
        bins = np.fft.rfft(frames * self._window)
        power = bins.real**2 + bins.imag**2
        last = self._starts[-1]
        bands = np.maximum.reduceat(power[:, :last], np.minimum(self._starts[:-1], last - 1), axis=1)
        decibels = 10.0 * np.log10(bands + np.float32(1e-20))
        scaled = ((decibels - FLOOR_DB) * (255.0 / (TOP_DB - FLOOR_DB))).clip(0.0, 255.0).astype(np.uint8)
        return [base64.b64encode(row.tobytes()).decode("ascii") for row in scaled]


def _levels(side: tuple[F32, int], spectrum: str) -> dict[str, Any]:
    new = side[0][-side[1] :].reshape(-1)
    return {
        "level_dbfs": round(max(_SILENCE_DB, db_from_power(float(np.dot(new, new)) / new.size)), 1),
        "peak_dbfs": round(max(_SILENCE_DB, db_from_power(max(float(new.max()), -float(new.min())) ** 2)), 1),
        "spectrum": spectrum,
    }


def _edges_hz(top_hz: float) -> np.ndarray:
    """The `BANDS` + 1 edges of the bands."""
    low, high = (2595.0 * math.log10(1.0 + hz / 700.0) for hz in (LOWEST_HZ, top_hz))
    return np.asarray(700.0 * (10.0 ** (np.linspace(low, high, BANDS + 1) / 2595.0) - 1.0))
