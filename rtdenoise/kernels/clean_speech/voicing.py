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
def lower(history: F32, decimation: int, high_pass: F32, low_pass: F32, low: F32) -> None:
    """Write the end of a signal at a lower rate, filtered.

    It is smoothed by a triangle that spans two new sampling intervals, and the filters start in the steady state of the
    first sample, so that a constant gives no transient.

    Parameters
    ----------
    history : (n,) float32, read
        ``n >= (low.size + 1) * decimation``
    decimation : int
    high_pass, low_pass : (5,) float32, read
        Second-order sections ``b0, b1, b2, a1, a2`` at the lower rate, with ``a0 = 1``.
    low : (n_low,) float32, written
        Times the square of `decimation`; the newest sample of both is the last.

    Notes
    -----
    Smoothing and both filters share one loop, so that the processor overlaps their recursions.
    """
    b0, b1, b2, a1, a2 = high_pass[0], high_pass[1], high_pass[2], high_pass[3], high_pass[4]
    c0, c1, c2, d1, d2 = low_pass[0], low_pass[1], low_pass[2], low_pass[3], low_pass[4]
    first, one, two, three, four = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    start = history.size - low.size * decimation
    for j in range(low.size):
        at = start + j * decimation
        before, now = history[at - decimation :], history[at:]
        rising, falling = _ZERO, _ZERO
        for i in range(decimation):
            rising += np.float32(i + 1) * before[i]
            falling += np.float32(decimation - 1 - i) * now[i]
        x = rising + falling
        if j == 0:
            first = x
        x -= first
        y = b0 * x + one
        one = b1 * x - a1 * y + two
        two = b2 * x - a2 * y
        z = c0 * y + three
        three = c1 * y - d1 * z + four
        four = c2 * y - d2 * z
        low[j] = z


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
    first = signal.size - window
    fours = first + window // 4 * 4
    for n in range(first, fours, 4):
        x, y, z, w = signal[n], signal[n + 1], signal[n + 2], signal[n + 3]
        before = signal[n - last_lag :]
        for j in range(products.size):  # the inner loop, so that it vectorises without sums in another order
            total = products[j] + x * before[j]
            total += y * before[j + 1]
            total += z * before[j + 2]
            products[j] = total + w * before[j + 3]
    for n in range(fours, signal.size):
        x, before = signal[n], signal[n - last_lag :]
        for j in range(products.size):
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
    sections : (2, 5) float32, read
        The high-pass and the low-pass of `lower`.
    low, products : (N_LOW_MAX,) and (N_LAGS_MAX,) float32, written
        Scratch.

    Returns
    -------
    float32
        0 to 1: most vowels are above .9, a few hundredths of claps, clicks and noise are.
    """
    used = low[: counts[LOW]]
    lower(history, counts[DECIMATION], sections[0], sections[1], used)
    n_lags = counts[LAST_LAG] - counts[FIRST_LAG] + 1
    return repetition(used, counts[WINDOW], counts[LAST_LAG], products[:n_lags])
