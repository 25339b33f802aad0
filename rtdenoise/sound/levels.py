"""Measure levels before and after denoising, and the noise reduction in pauses, in constant memory."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32, F64
from rtdenoise.units import db_from_power

_FRAME_SECONDS = 0.02
_LOWEST_DB, _HIGHEST_DB, _STEP_DB = -120.0, 40.0, 0.5
_QUIET_SHARE = 0.2
_MAX_VALUE = 1e15  # its square still fits into float32


class _Track:
    """Power of one signal: in total, at its peak and per 20 ms frame."""

    def __init__(self, frame: int) -> None:
        self._frame = frame
        self._rest = np.zeros(0, np.float32)
        self.energy = 0.0
        self.peak = 0.0
        self.n_values = 0
        self.frames: list[F64] = []

    def take(self, samples: F32) -> None:
        if samples.size == 0:
            return
        flat = np.clip(samples.reshape(len(samples), -1), -_MAX_VALUE, _MAX_VALUE)
        power = np.mean(np.square(flat), axis=1, dtype=np.float32)
        self.energy += float(np.sum(power, dtype=np.float64)) * flat.shape[1]
        self.peak = max(self.peak, float(np.max(np.abs(flat))))
        self.n_values += flat.size
        joined = np.concatenate([self._rest, power])
        whole = len(joined) // self._frame * self._frame
        if whole:
            self.frames.append(joined[:whole].reshape(-1, self._frame).mean(axis=1, dtype=np.float64))
        self._rest = joined[whole:]

    def level_db(self) -> float | None:
        power = self.energy / self.n_values if self.n_values else 0.0
        return db_from_power(power) if power > 0.0 else None

    def peak_db(self) -> float | None:
        return db_from_power(self.peak**2) if self.peak > 0.0 else None


class LevelMeter:
    """Compare a noisy signal with its enhanced version while both go by."""

    def __init__(self, sample_rate: int) -> None:
        frame = max(1, round(_FRAME_SECONDS * sample_rate))
        self.noisy = _Track(frame)
        self.clean = _Track(frame)
        n_bins = round((_HIGHEST_DB - _LOWEST_DB) / _STEP_DB)
        self._count = np.zeros(n_bins, np.int64)
        self._noisy_power = np.zeros(n_bins)
        self._clean_power = np.zeros(n_bins)

    def take(self, noisy: F32, clean: F32) -> None:
        """Take the next samples of both; each may be ahead of the other.

        Parameters
        ----------
        noisy, clean : (n,) or (n, channels) float32, read
            Finite; aligned with each other from their first samples on.
        """
        self.noisy.take(noisy)
        self.clean.take(clean)
        before, after = np.concatenate([[], *self.noisy.frames]), np.concatenate([[], *self.clean.frames])
        n = min(len(before), len(after))
        self.noisy.frames, self.clean.frames = [before[n:]], [after[n:]]
        self._sort(before[:n], after[:n])

    def _sort(self, before: F64, after: F64) -> None:
        """Add frames to the classes of equal noisy level; digital silence is no pause and is left out."""
        heard = before > 10.0 ** (_LOWEST_DB / 10.0)
        before, after = before[heard], after[heard]
        index = ((10.0 * np.log10(before) - _LOWEST_DB) / _STEP_DB).astype(np.int64)
        index = np.clip(index, 0, len(self._count) - 1)
        self._count += np.bincount(index, minlength=len(self._count))
        self._noisy_power += np.bincount(index, before, minlength=len(self._count))
        self._clean_power += np.bincount(index, after, minlength=len(self._count))

    def noise_reduction_db(self) -> float | None:
        """By how much the quietest fifth of all 20 ms frames became quieter, in dB; None for digital silence."""
        total = int(self._count.sum())
        if total == 0:
            return None
        last = int(np.searchsorted(np.cumsum(self._count), _QUIET_SHARE * total)) + 1
        before, after = float(self._noisy_power[:last].sum()), float(self._clean_power[:last].sum())
        return db_from_power(before) - db_from_power(after)
