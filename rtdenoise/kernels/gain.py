"""Spectral gain rules: one frame in, one gain per bin out; symbols follow Loizou (2013).

==========  =============================  ==========
``gamma``   a posteriori SNR               power ratio
``xi``      a priori SNR                   power ratio
``gain``    applied to the spectrum        amplitude
==========  =============================  ==========
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)  # float32-normal; far below a 24-bit noise floor


@kernel_apart
def wiener_decision_directed(
    power: F32, noise_psd: F32, clean_psd: F32, gain: F32, alpha: np.float32, gain_min: np.float32
) -> None:
    """Wiener gain from the decision-directed a priori SNR.

    ``xi = alpha * clean_psd / noise_psd + (1 - alpha) * max(gamma - 1, 0)``
    ``gain = max(xi / (1 + xi), gain_min)``

    Parameters
    ----------
    power : (n_bins,) float32, read
        ``|X|**2`` of this frame.
    noise_psd : (n_bins,) float32, read
        Noise power estimate, same scale as `power`.
    clean_psd : (n_bins,) float32, read and written
        In: ``|S|**2`` estimated for the previous frame.  Out: for this one.
    gain : (n_bins,) float32, written
        Amplitude gain in ``[gain_min, 1]``.
    alpha : float32 in [0, 1)
        Decision-directed smoothing, per frame.
    gain_min : float32 in [0, 1]
        Spectral floor.  (A floor on ``xi`` would be the same thing: gain rises with xi.)

    Notes
    -----
    Ephraim & Malah (1984), eq. 51, with this frame's noise PSD in both terms.
    """
    for k in range(power.size):
        noise = max(noise_psd[k], _TINY)
        gamma = power[k] / noise
        xi = alpha * clean_psd[k] / noise + (_ONE - alpha) * max(gamma - _ONE, _ZERO)
        gain[k] = max(xi / (_ONE + xi), gain_min)
        clean_psd[k] = gain[k] * gain[k] * power[k]


@kernel
def exponential_integral(x: np.float32) -> np.float32:
    """``E1(x)`` for x > 0, to 2e-5: the integral of ``exp(-t) / t`` from x to infinity.

    Abramowitz & Stegun (1964), 5.1.53 below 1 and 5.1.56 above.
    """
    if x < _ONE:
        poly = np.float32(-0.57721566) + x * (
            np.float32(0.99999193)
            + x
            * (
                np.float32(-0.24991055)
                + x * (np.float32(0.05519968) + x * (np.float32(-0.00976004) + x * np.float32(0.00107857)))
            )
        )
        return np.float32(poly - np.log(x))
    above = np.float32(0.2677737343) + x * (
        np.float32(8.6347608925) + x * (np.float32(18.0590169730) + x * (np.float32(8.5733287401) + x))
    )
    below = np.float32(3.9584969228) + x * (
        np.float32(21.0996530827) + x * (np.float32(25.6329561486) + x * (np.float32(9.5733223454) + x))
    )
    return np.float32(np.exp(-x) / x * above / below)


@kernel_apart
def log_mmse_decision_directed(
    power: F32, noise_psd: F32, clean_psd: F32, gain: F32, alpha: np.float32, gain_min: np.float32
) -> None:
    """Log-spectral amplitude gain from the decision-directed a priori SNR.

    ``gain = xi / (1 + xi) * exp(E1(v) / 2)``, ``v = gamma xi / (1 + xi)``, between `gain_min` and 1.

    Parameters
    ----------
    power, noise_psd, clean_psd, gain, alpha, gain_min
        As in `wiener_decision_directed`.

    Notes
    -----
    Ephraim & Malah (1985), "Speech enhancement using a minimum mean-square error log-spectral amplitude estimator",
    eq. 20; xi as Ephraim & Malah (1984), eq. 51.
    """
    for k in range(power.size):
        noise = max(noise_psd[k], _TINY)
        gamma = power[k] / noise
        xi = alpha * clean_psd[k] / noise + (_ONE - alpha) * max(gamma - _ONE, _ZERO)
        wiener = xi / (_ONE + xi)
        v = max(gamma * wiener, np.float32(1e-8))
        raised = wiener * np.exp(np.float32(0.5) * exponential_integral(v)) if v < np.float32(20) else wiener
        gain[k] = min(max(raised, gain_min), _ONE)
        clean_psd[k] = gain[k] * gain[k] * power[k]


@kernel
def remaining_gain(
    power: np.float32, noise: np.float32, factor: np.float32, floor: np.float32, gain_min: np.float32
) -> np.float32:
    """``sqrt(max(Y - a N, floor N) / Y)``, between `gain_min` and 1 (Berouti et al. 1979, eqs. 4-6)."""
    remaining = max(power - factor * noise, floor * noise)
    return min(max(np.sqrt(remaining / max(power, _TINY)), gain_min), _ONE)


@kernel_apart
def subtract_power(
    power: F32,
    smoothed: F32,
    noise_psd: F32,
    gain: F32,
    band_edges: np.ndarray,
    band_weight: F32,
    smoothing_power: np.float32,
    floor: np.float32,
    gain_min: np.float32,
) -> None:
    """Power spectral subtraction with over-subtraction by band SNR and a spectral floor.

    Per band ``a = clip(4 - 0.15 SNR_dB, 1, 4.75)``; per bin ``S = max(Y - w a N, floor N)`` and ``gain = sqrt(S / Y)``.

    Parameters
    ----------
    power : (n_bins,) float32, read
        ``|X|**2`` of this frame.
    smoothed : (n_bins,) float32, read and written
        ``Y``: `power` smoothed over time, against musical noise.
    noise_psd : (n_bins,) float32, read
        ``N``, same scale as `power`.
    gain : (n_bins,) float32, written
        Amplitude gain in ``[gain_min, 1]``.
    band_edges : (n_bands + 1,) int32, read
        First bin of each band, then one past the last.  One band is Berouti's method, several are Kamath and Loizou's.
    band_weight : (n_bands,) float32, read
        ``w``: further over-subtraction per band.
    smoothing_power : float32 in [0, 1)
        Per hop.
    floor : float32
        Spectral floor, power ratio to the noise (Berouti's beta).
    gain_min : float32 in [0, 1]
        Attenuation limit.

    Notes
    -----
    Berouti, Schwartz & Makhoul (1979), eqs. 4-6; Kamath & Loizou (2002), eqs. 4-7.
    """
    for band in range(band_weight.size):
        first, end = band_edges[band], band_edges[band + 1]
        total_power, total_noise = _TINY, _TINY
        for k in range(first, end):
            smoothed[k] = smoothing_power * smoothed[k] + (_ONE - smoothing_power) * power[k]
            total_power += smoothed[k]
            total_noise += noise_psd[k]
        snr_db = np.float32(10) * np.log10(total_power / total_noise)
        over_subtraction = min(max(np.float32(4) - np.float32(0.15) * snr_db, _ONE), np.float32(4.75))
        factor = over_subtraction * band_weight[band]
        for k in range(first, end):
            gain[k] = remaining_gain(smoothed[k], noise_psd[k], factor, floor, gain_min)
