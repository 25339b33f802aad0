"""Elementary functions shared by the kernels, in plain arithmetic so that loops over them vectorise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rtdenoise.kernels.jit import COMPILES, deferred, kernel, kernel_apart
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_E_RANGE = np.float32(30)  # 1 + exp(-30) == 1 in float32
_LN_2 = np.float32(0.6931471805599453)

if COMPILES:
    _exponent: Callable[[np.float32], np.float32] = deferred("rtdenoise.kernels.compiling.elementary", "exponent")
    _mantissa: Callable[[np.float32], np.float32] = deferred("rtdenoise.kernels.compiling.elementary", "mantissa")

else:

    def _exponent(x: np.float32) -> np.float32:
        return np.float32(np.floor(np.log2(x) + 0.5))

    def _mantissa(x: np.float32) -> np.float32:
        return np.float32(x * 2.0 ** -float(_exponent(x)))


@kernel
def exponential(x: np.float32) -> np.float32:
    """``exp(x)`` for x limited to -30..30, to 5e-6 relative within 8 of 0, as plain arithmetic that vectorises.

    Taylor series of ``exp(x / 64)`` up to the fifth power, squared six times.
    """
    y = min(max(x, -_E_RANGE), _E_RANGE) * np.float32(1.0 / 64.0)
    cubic = np.float32(1 / 6) + y * (np.float32(1 / 24) + y * np.float32(1 / 120))
    e = _ONE + y * (_ONE + y * (np.float32(1 / 2) + y * cubic))
    e2 = e * e
    e4 = e2 * e2
    e8 = e4 * e4
    e16 = e8 * e8
    e32 = e16 * e16
    return e32 * e32


@kernel
def logarithm(x: np.float32) -> np.float32:
    """``ln(x)`` of a positive normal float32, to 2e-7 absolute near 1 and one rounding elsewhere.

    ``ln(m 2**e) = e ln 2 + 2 artanh((m - 1) / (m + 1))`` with the Taylor series of artanh up to the seventh power.
    """
    s = (_mantissa(x) - _ONE) / (_mantissa(x) + _ONE)
    square = s * s
    series = np.float32(1 / 3) + square * (np.float32(1 / 5) + square * np.float32(1 / 7))
    return _exponent(x) * _LN_2 + np.float32(2) * s * (_ONE + square * series)


@kernel_apart
def running_mean(values: F32, reach: int, means: F32) -> None:
    """Moving average over `reach` neighbours to either side, fewer at the ends.

    Parameters
    ----------
    values : (n,) float32, read
        If n <= ``2 * reach``, the reach is reduced to ``(n - 1) // 2``.
    means : (n,) float32, written; not `values`
    """
    n = values.size
    reach = min(reach, (n - 1) // 2)
    total = _ZERO
    for k in range(reach):
        total += values[k]
    for k in range(reach + 1):
        total += values[k + reach]
        means[k] = total / np.float32(k + reach + 1)
    for k in range(reach + 1, n - reach):
        total += values[k + reach] - values[k - reach - 1]
        means[k] = total
    share = _ONE / np.float32(2 * reach + 1)
    for k in range(reach + 1, n - reach):
        means[k] *= share
    for k in range(max(reach + 1, n - reach), n):
        total -= values[k - reach - 1]
        means[k] = total / np.float32(n - k + reach)


@kernel_apart
def mean_of_17(values: F32, means: F32) -> None:
    """`running_mean` with reach 8, for n above 32: sums of 2, 4, 8 and 16 neighbours, which vectorise.

    Parameters
    ----------
    values : (n,) float32, read
    means : (n,) float32, written; not `values`
    """
    n = values.size
    for k in range(n - 1):
        means[k] = values[k] + values[k + 1]
    for k in range(n - 3):
        means[k] += means[k + 2]
    for k in range(n - 7):
        means[k] += means[k + 4]
    for k in range(n - 15):
        means[k] += means[k + 8]
    for i in range(n - 16):
        k = n - 17 - i
        means[k + 8] = means[k] + values[k + 16]
    share = _ONE / np.float32(17)
    for k in range(8, n - 8):
        means[k] *= share
    low, high = _ZERO, _ZERO
    for k in range(8):
        low += values[k]
        high += values[n - 1 - k]
    for k in range(8):
        low += values[k + 8]
        high += values[n - 9 - k]
        share = _ONE / np.float32(k + 9)
        means[k], means[n - 1 - k] = low * share, high * share


@kernel_apart
def dense(inputs: F32, table: F32, offset: F32, outputs: F32) -> None:
    """``outputs = offset + inputs . table``; four rows per pass, so that the sums are loaded and stored less often.

    Parameters
    ----------
    inputs : (n_in,) float32, read
        n_in a multiple of 4.
    table : (n_in, n_out) float32, read
    offset : (n_out,) float32, read
    outputs : (n_out,) float32, written
    """
    for c in range(outputs.size):
        outputs[c] = offset[c]
    for i in range(0, inputs.size, 4):
        a, b, d, e = inputs[i], inputs[i + 1], inputs[i + 2], inputs[i + 3]
        for c in range(outputs.size):
            outputs[c] += (a * table[i, c] + b * table[i + 1, c]) + (d * table[i + 2, c] + e * table[i + 3, c])


@kernel
def leak(values: F32) -> None:
    """Leaky rectifier with slope 1/10 below zero, in place; (n,) float32 (Maas, Hannun & Ng 2013)."""
    for k in range(values.size):
        values[k] = max(values[k], np.float32(0.1) * values[k])
