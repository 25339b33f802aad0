"""Noise PSD tracking by minimum statistics: the minimum of the smoothed power over a window (Martin 2001).

R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum statistics", IEEE Trans.
Speech and Audio Processing 9(5).  All times arrive as smoothing factors per hop, converted from seconds by the caller.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)  # float32-normal; far below a 24-bit noise floor


@kernel_apart
def smooth_for_minimum(power: F32, noise_psd: F32, smoothed: F32, correction: F32, times: F32, alpha: F32) -> None:
    """First half of minimum statistics: smooth the power with the optimal factor for each bin.

    Parameters
    ----------
    power, noise_psd : (n_bins,) float32, read
    smoothed : (n_bins,) float32, read and written
        Smoothed periodogram ``P``.
    correction : (1,) float32, read and written
        Smoothed error correction factor ``alpha_c``.
    times : (4,) float32, read
        Per hop: largest smoothing, smallest smoothing, smoothing of the correction, largest smoothing of the moments.
    alpha : (n_bins,) float32, written
        The factor used.

    Notes
    -----
    Martin (2001), eqs. 9-12.
    """
    total_smoothed, total_power = _TINY, _TINY
    for k in range(power.size):
        total_smoothed += smoothed[k]
        total_power += power[k]
    error = total_smoothed / total_power - _ONE
    step = max(_ONE / (_ONE + error * error), np.float32(0.7))
    correction[0] = times[2] * correction[0] + (_ONE - times[2]) * step
    for k in range(power.size):
        ratio = smoothed[k] / max(noise_psd[k], _TINY) - _ONE
        alpha[k] = max(times[0] * correction[0] / (_ONE + ratio * ratio), times[1])
        smoothed[k] = alpha[k] * smoothed[k] + (_ONE - alpha[k]) * power[k]


@kernel_apart
def minimum_bias(
    noise_psd: F32, smoothed: F32, mean: F32, square: F32, alpha: F32, times: F32, inverse_dof: F32
) -> np.float32:
    """Second half of minimum statistics: the inverse degrees of freedom, on which the bias of the minimum depends.

    Parameters
    ----------
    noise_psd, smoothed, alpha : (n_bins,) float32, read
    mean, square : (n_bins,) float32, read and written
        First and second moment of `smoothed`.
    times : (4,) float32, read
        As in `smooth_for_minimum`.
    inverse_dof : (n_bins,) float32, written
        ``1 / Qeq``, the inverse of the equivalent degrees of freedom, at most 1/2.

    Returns
    -------
    float32
        Mean of `inverse_dof`.

    Notes
    -----
    Martin (2001), eqs. 20-22.
    """
    total = _ZERO
    for k in range(smoothed.size):
        beta = min(alpha[k] * alpha[k], times[3])
        mean[k] = beta * mean[k] + (_ONE - beta) * smoothed[k]
        square[k] = beta * square[k] + (_ONE - beta) * smoothed[k] * smoothed[k]
        variance = max(square[k] - mean[k] * mean[k], _ZERO)
        noise = max(noise_psd[k], np.float32(1e-15))  # its square must stay normal
        inverse_dof[k] = min(variance / (np.float32(2) * noise * noise), np.float32(0.5))
        total += inverse_dof[k]
    return total / np.float32(smoothed.size)


@kernel
def bias_of_minimum(inverse_dof: np.float32, length: np.float32, table: np.float32) -> np.float32:
    """``Bmin``: mean over minimum of `length` smoothed values (Martin 2001, eq. 17, with `table` = M(length))."""
    dof = (_ONE / max(inverse_dof, np.float32(1e-6)) - np.float32(2) * table) / (_ONE - table)
    return _ONE + (length - _ONE) * np.float32(2) / max(dof, np.float32(1e-3))


@kernel_apart
def track_minimum(
    noise_psd: F32,
    smoothed: F32,
    inverse_dof: F32,
    mean_inverse_dof: np.float32,
    minimum: F32,
    minimum_sub: F32,
    stored: np.ndarray,
    local: np.ndarray,
    counters: np.ndarray,
    windows: F32,
) -> None:
    """Search for the minimum over the window, in sub-windows, and set the noise PSD.

    Parameters
    ----------
    noise_psd : (n_bins,) float32, written
    smoothed, inverse_dof : (n_bins,) float32, read
    mean_inverse_dof : float32
    minimum, minimum_sub : (n_bins,) float32, read and written
        Running minima with the bias of the whole window and of a sub-window.
    stored : (n_sub, n_bins) float32, read and written
        Minima of the finished sub-windows, a ring.
    local : (n_bins,) uint8, read and written
        1 where a minimum was found inside a sub-window rather than at its edge.
    counters : (3,) int64, read and written
        Frame in the sub-window, ring position, frames per sub-window (read).
    windows : (4,) float32, read
        Length and table value of the whole window, then of a sub-window.

    Notes
    -----
    Martin (2001), fig. 5 and eqs. 17-18, 25.
    """
    last = counters[0] >= counters[2] - 1
    spread = _ONE + np.float32(2.12) * np.sqrt(mean_inverse_dof)
    slope = _slope(mean_inverse_dof)
    for k in range(smoothed.size):
        candidate = smoothed[k] * spread
        found = candidate * bias_of_minimum(inverse_dof[k], windows[0], windows[1]) < minimum[k]
        if found:
            minimum[k] = candidate * bias_of_minimum(inverse_dof[k], windows[0], windows[1])
            minimum_sub[k] = candidate * bias_of_minimum(inverse_dof[k], windows[2], windows[3])
        if last:
            _close_sub_window(k, found, slope, noise_psd, minimum, minimum_sub, stored, local, counters[1])
        elif counters[0] > 0:
            if found:
                local[k] = 1
            noise_psd[k] = max(min(minimum_sub[k], noise_psd[k]), _TINY)
    counters[0] = 0 if last else counters[0] + 1
    if last:
        counters[1] = (counters[1] + 1) % stored.shape[0]


@kernel
def _slope(mean_inverse_dof: np.float32) -> np.float32:
    """Largest factor by which the noise may rise in one step (Martin 2001, fig. 5)."""
    if mean_inverse_dof < np.float32(0.03):
        return np.float32(8)
    if mean_inverse_dof < np.float32(0.05):
        return np.float32(4)
    if mean_inverse_dof < np.float32(0.06):
        return np.float32(2)
    return np.float32(1.2)


@kernel
def _close_sub_window(
    k: int,
    found: bool,
    slope: np.float32,
    noise_psd: F32,
    minimum: F32,
    minimum_sub: F32,
    stored: np.ndarray,
    local: np.ndarray,
    position: int,
) -> None:
    """End of a sub-window in bin `k`: store its minimum and take the smallest stored one, or follow a rise."""
    if found:
        local[k] = 0
    stored[position, k] = minimum[k]
    smallest = minimum[k]
    for u in range(stored.shape[0]):
        smallest = min(smallest, stored[u, k])
    if local[k] == 1 and smallest < minimum_sub[k] < slope * smallest:
        smallest = minimum_sub[k]
        for u in range(stored.shape[0]):
            stored[u, k] = smallest
    local[k] = 0
    minimum[k] = np.inf
    minimum_sub[k] = np.inf
    noise_psd[k] = max(smallest, _TINY)
