"""Tell voiced sound from any other: the end of a signal repeats what was a pitch period before it.

Normalised cross-correlation of the signal up to 1.5 kHz at lags of 1 to 12.5 ms, i.e. pitches of 80 Hz to 1 kHz.  Each
lag has its own norm, so a click that dies away does not resemble itself, and neither does noise, however coloured.

Source: D. Talkin, "A robust algorithm for pitch tracking (RAPT)", in Speech Coding and Synthesis, Elsevier 1995.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32

_ZERO = np.float32(0)
_TINY = 1e-60

N_LOW_MAX, N_LAGS_MAX = 384, 160
"""Most samples of the lowered signal, and most lags."""

DECIMATION, LOW, WINDOW, FIRST_LAG, LAST_LAG = range(5)
"""Indices into ``counts``."""


@kernel
def lower(history: F32, decimation: int, low: F32) -> None:
    """Write the end of a signal at a lower rate, smoothed by a triangle of two new sampling intervals.

    Parameters
    ----------
    history : (n,) float32, read
        ``n >= (low.size + 1) * decimation``
    decimation : int
    low : (n_low,) float32, written
        Times the square of `decimation`; the newest sample of both is the last.
    """
    start = history.size - low.size * decimation
    for j in range(low.size):
        at = start + j * decimation
        before, now = history[at - decimation :], history[at:]
        rising, falling = _ZERO, _ZERO
        for i in range(decimation):
            rising += np.float32(i + 1) * before[i]
            falling += np.float32(decimation - 1 - i) * now[i]
        low[j] = rising + falling


@kernel
def filter_sections(signal: F32, sections: F32) -> None:
    """Filter in place by second-order sections, which have rested on the first sample.

    Parameters
    ----------
    signal : (n,) float32, read and written
    sections : (n_sections, 5) float32, read
        ``b0, b1, b2, a1, a2`` each, with ``a0 = 1``.  The first must pass nothing constant.
    """
    first = signal[0]
    for n in range(signal.size):
        signal[n] -= first
    for section in range(sections.shape[0]):
        b0, b1, b2 = sections[section, 0], sections[section, 1], sections[section, 2]
        a1, a2 = sections[section, 3], sections[section, 4]
        one, two = _ZERO, _ZERO
        for n in range(signal.size):
            x = signal[n]
            y = b0 * x + one
            one = b1 * x - a1 * y + two
            two = b2 * x - a2 * y
            signal[n] = y


@kernel_apart
def correlate(signal: F32, window: int, last_lag: int, products: F32) -> None:
    """Products of the end of a signal with what was some lag before, summed over a window.

    Parameters
    ----------
    signal : (n,) float32, read
        ``n >= window + last_lag``
    window, last_lag : int
        In samples.
    products : (n_lags,) float32, written
        The first belongs to `last_lag`, each next one to one less.
    """
    for j in range(products.size):
        products[j] = _ZERO
    for n in range(signal.size - window, signal.size):
        x, before = signal[n], signal[n - last_lag :]
        for j in range(products.size):  # the inner loop, so that it vectorises without sums in another order
            products[j] += x * before[j]


@kernel
def repetition(signal: F32, window: int, last_lag: int, products: F32) -> np.float32:
    """Largest normalised cross-correlation of the last `window` samples with those some lag before.

    Parameters
    ----------
    signal, window, last_lag, products
        As `correlate` takes them.

    Returns
    -------
    float32
        0 if nothing is alike, 1 if the signal repeats itself, whatever its level.
    """
    correlate(signal, window, last_lag, products)
    end, own, other = signal.size, _TINY, _TINY
    for n in range(end - window, end):
        own += np.float64(signal[n]) * signal[n]
        other += np.float64(signal[n - last_lag]) * signal[n - last_lag]
    best = _TINY - _TINY
    for j in range(products.size):
        if products[j] > _ZERO:
            best = max(best, np.float64(products[j]) * products[j] / (own * other))
        new, old = np.float64(signal[end - last_lag + j]), np.float64(signal[end - window - last_lag + j])
        other = max(other + new * new - old * old, _TINY)  # in double precision, since it adds and takes away
    return np.float32(np.sqrt(best))


@kernel
def voicing(history: F32, counts: np.ndarray, sections: F32, low: F32, products: F32) -> np.float32:
    """How voiced the end of a signal is: `repetition` of what is lowered and filtered.

    Parameters
    ----------
    history : (n,) float32, read
    counts : (5,) int64, read
        Decimation, length of the lowered signal, window, and first and last lag.
    sections : (n_sections, 5) float32, read
        As for `filter_sections`, at the lower rate.
    low, products : (N_LOW_MAX,) and (N_LAGS_MAX,) float32, written
        Scratch.

    Returns
    -------
    float32
        0 to 1: most vowels are above .9, a few hundredths of claps, clicks and noise are.
    """
    used = low[: counts[LOW]]
    lower(history, counts[DECIMATION], used)
    filter_sections(used, sections)
    n_lags = counts[LAST_LAG] - counts[FIRST_LAG] + 1
    return repetition(used, counts[WINDOW], counts[LAST_LAG], products[:n_lags])
