"""Streaming sample-rate converter with a short, constant, exactly known delay."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rtdenoise.kernels.jit import ready
from rtdenoise.kernels.resample import resample
from rtdenoise.typing import F32, F64

Count = TypeVar("Count", int, npt.NDArray[np.int64])

PASSBAND = 0.9
"""Fraction of the lower Nyquist band that passes unchanged; aliases stay above it."""

_STOPBAND_DB = 80.0
_BLOCK = 4096  # input samples buffered between calls, beyond the filter length
_PHASES_AT_ONCE = 2048  # computed together, to bound memory: rates without a common factor have 100,000


class Resampler:
    """Causal rational resampler with a linear-phase filter; the output is bit-identical for any block lengths.

    Time is counted in ticks of the least common multiple of ``rate_in`` and ``rate_out``.  Output ``j`` is the input at
    tick ``j * ticks_out - delay_ticks``.

    Parameters
    ----------
    rate_in, rate_out : int
        In Hz.
    extra_ticks : int
        Delay added to the filter's half length, to make the delay of a chain a whole number of samples.

    Notes
    -----
    Windowed-sinc design by Kaiser's formulas (Oppenheim & Schafer, sec. 7.6): 80 dB, transition from .9 to 1.1 of the
    lower Nyquist frequency.  Its half length is 1.6 ms between 16 and 48 kHz.  The streaming resampler of libsoxr, the
    obvious choice, works in blocks: it was measured to hold back up to 37 ms each way (12 to 15 ms in variable-rate
    mode), which would be most of the total delay.
    """

    def __init__(self, rate_in: int, rate_out: int, extra_ticks: int = 0) -> None:
        common = math.lcm(rate_in, rate_out)
        self.ticks_in, self.ticks_out = common // rate_in, common // rate_out
        self._bank, half = _filter_bank(rate_in, rate_out)
        self.delay_ticks = half + extra_ticks
        self._shift = -extra_ticks
        self._kept = self._bank.shape[1]
        self._recent = np.zeros(self._kept + _BLOCK, np.float32)
        self._resample = ready(resample, self._bank, self._recent, 0, 0, 1, 1, 0, self._recent)  # compiles now
        self.reset()

    def reset(self) -> None:
        """Forget the signal."""
        self._recent[:] = 0.0
        self._held = 0  # samples in _recent
        self._n_in = 0
        self._n_out = 0

    def outputs_after(self, n_in: Count) -> Count:
        """Number of outputs available after `n_in` inputs; a scalar or an array."""
        count = (n_in * self.ticks_in - 1 - self._shift) // self.ticks_out + 1
        return count * (count > 0)

    def push(self, block: F32) -> F32:
        """Take any number of inputs and return the outputs that they complete.

        Parameters
        ----------
        block : (n,) float32, read

        Returns
        -------
        (m,) float32
        """
        pieces = [self._push(block[start : start + _BLOCK]) for start in range(0, block.size, _BLOCK)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def _push(self, block: F32) -> F32:
        if self._held + block.size > self._recent.size:
            self._recent[: self._kept] = self._recent[self._held - self._kept : self._held].copy()
            self._held = self._kept
        self._recent[self._held : self._held + block.size] = block
        self._held += block.size
        self._n_in += block.size
        out = np.empty(self.outputs_after(self._n_in) - self._n_out, np.float32)
        self._resample(
            self._bank,
            self._recent[: self._held],
            self._n_in - self._held,
            self._n_out,
            self.ticks_in,
            self.ticks_out,
            self._shift,
            out,
        )
        self._n_out += out.size
        return out


def filter_delay_seconds(rate_in: int, rate_out: int) -> float:
    """Delay of a `Resampler` without extra ticks: half the length of its filter."""
    return _half_ticks(rate_in, rate_out) / math.lcm(rate_in, rate_out)


def _half_ticks(rate_in: int, rate_out: int) -> int:
    transition_hz = (1.0 - PASSBAND) * min(rate_in, rate_out)  # from .9 to 1.1 of the lower Nyquist frequency
    width = (_STOPBAND_DB - 8.0) / (2.285 * 2.0 * math.pi * transition_hz)  # seconds
    return math.ceil(width / 2.0 * math.lcm(rate_in, rate_out))


@lru_cache(maxsize=16)
def _filter_bank(rate_in: int, rate_out: int) -> tuple[F32, int]:
    """All phases of the low-pass filter, and half its length in ticks."""
    common = math.lcm(rate_in, rate_out)
    ticks_in = common // rate_in
    nyquist_hz = min(rate_in, rate_out) / 2
    half = _half_ticks(rate_in, rate_out)
    n_taps = 2 * half // ticks_in + 1
    bank = np.empty((ticks_in, n_taps), np.float32)
    for start in range(0, ticks_in, _PHASES_AT_ONCE):
        phases = np.arange(start, min(start + _PHASES_AT_ONCE, ticks_in))
        offsets = phases[:, None] + ticks_in * np.arange(n_taps)[None, :] - half
        weights = _lowpass(offsets / common, half / common, nyquist_hz)
        bank[phases] = weights / weights.sum(axis=1, keepdims=True)  # unity gain at DC in every phase
    return bank, half


def _lowpass(seconds: F64, half_seconds: float, cutoff_hz: float) -> F64:
    inside = np.clip(1.0 - (seconds / half_seconds) ** 2, 0.0, None)
    beta = 0.1102 * (_STOPBAND_DB - 8.7)
    window = np.where(np.abs(seconds) <= half_seconds, np.i0(beta * np.sqrt(inside)), 0.0)
    return np.asarray(np.sinc(2.0 * cutoff_hz * seconds) * window, np.float64)
