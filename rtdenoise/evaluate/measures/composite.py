"""Composite scores CSIG, CBAK and COVL (Hu & Loizou 2008) and the two distances they are made of.

Y. Hu, P. C. Loizou, "Evaluation of objective quality measures for speech enhancement", IEEE TASLP 16(1), 2008,
table VI; the distances as in P. C. Loizou, *Speech Enhancement*, 2nd ed., section 11.1 and its appendix of programs.
As in the tables of the VoiceBank-DEMAND papers, PESQ in them is the wide-band one.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32, F64

_FRAME_SECONDS = 0.03
_KEPT_SHARE = 0.95  # the worst 5 % of frames are dropped from both distances
_EPSILON = float(np.finfo(np.float64).eps)

# Klatt's 25 critical bands, as tabulated by Loizou: centre and bandwidth in Hz.
_CENTRES_HZ = (
    50.0, 120.0, 190.0, 260.0, 330.0, 400.0, 470.0, 540.0, 617.372, 703.378, 798.717, 904.128, 1020.38, 1148.30,
    1288.72, 1442.54, 1610.70, 1794.16, 1993.93, 2211.08, 2446.71, 2701.97, 2978.04, 3276.17, 3597.63,
)  # fmt: skip
_WIDTHS_HZ = (
    70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 70.0, 77.3724, 86.0056, 95.3398, 105.411, 116.256, 127.914, 140.423, 153.823,
    168.154, 183.457, 199.776, 217.153, 235.631, 255.255, 276.072, 298.126, 321.465, 346.136,
)  # fmt: skip
_K_MAX, _K_LOCAL = 20.0, 1.0  # weights of the global and the nearest spectral peak


def composite(clean: F32, enhanced: F32, rate_hz: int, pesq: float) -> dict[str, float]:
    """``csig``, ``cbak`` and ``covl``: predicted opinion of speech, background and the whole, 1 to 5.

    Parameters
    ----------
    clean, enhanced : (n,) float, full scale 1.0
    rate_hz : int
    pesq : float
        Of the same pair; NaN makes all three NaN.
    """
    names = ("csig", "cbak", "covl")
    if not np.isfinite(pesq) or clean.size < 4 * _frame(rate_hz)[0]:
        return dict.fromkeys(names, float("nan"))
    llr = log_likelihood_ratio(clean, enhanced, rate_hz)
    wss = weighted_spectral_slope(clean, enhanced, rate_hz)
    segmental = overlapping_segmental_snr_db(clean, enhanced, rate_hz)
    values = (
        3.093 - 1.029 * llr + 0.603 * pesq - 0.009 * wss,
        1.634 + 0.478 * pesq - 0.007 * wss + 0.063 * segmental,
        1.594 + 0.805 * pesq - 0.512 * llr - 0.007 * wss,
    )
    return {name: float(np.clip(value, 1.0, 5.0)) for name, value in zip(names, values, strict=True)}


def _frame(rate_hz: int) -> tuple[int, int]:
    """Length and hop in samples: 30 ms, three quarters of overlap."""
    length = round(_FRAME_SECONDS * rate_hz)
    return length, length // 4


def _frames(signal: F32, rate_hz: int) -> F64:
    """(n_frames, length) float64, windowed by the 30 ms Hann window without its zeros."""
    length, hop = _frame(rate_hz)
    count = int(signal.size / hop - length / hop)
    index = np.arange(length) + hop * np.arange(count)[:, np.newaxis]
    window = 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(1, length + 1) / (length + 1)))
    frames: F64 = signal.astype(np.float64)[index] * window
    return frames


def _mean_of_best(distances: F64) -> float:
    kept = np.sort(distances)[: round(_KEPT_SHARE * distances.size)]
    return float(np.mean(kept)) if kept.size else float("nan")


def overlapping_segmental_snr_db(clean: F32, enhanced: F32, rate_hz: int) -> float:
    """Segmental SNR of the composite scores: 30 ms frames with three quarters of overlap, each within [-10, 35] dB."""
    target = _frames(clean, rate_hz)
    signal = np.sum(target**2, axis=1)
    noise = np.sum((target - _frames(enhanced, rate_hz)) ** 2, axis=1)
    ratio = 10.0 * np.log10(signal / (noise + _EPSILON) + _EPSILON)
    return float(np.mean(np.clip(ratio, -10.0, 35.0)))


def log_likelihood_ratio(clean: F32, enhanced: F32, rate_hz: int) -> float:
    """LLR (Loizou 2013, eq. 11.10): ``log(a_e R_c a_e / a_c R_c a_c)`` of linear prediction, mean of the best 95 %."""
    order = 10 if rate_hz < 10000 else 16
    correlation = _autocorrelation(_frames(clean + _EPSILON, rate_hz), order)
    of_clean = _levinson(correlation)
    of_enhanced = _levinson(_autocorrelation(_frames(enhanced + _EPSILON, rate_hz), order))
    lags = np.abs(np.arange(order + 1)[:, np.newaxis] - np.arange(order + 1))
    matrices = correlation[:, lags]
    numerator = np.einsum("fi,fij,fj->f", of_enhanced, matrices, of_enhanced)
    denominator = np.einsum("fi,fij,fj->f", of_clean, matrices, of_clean)
    tiny = np.finfo(np.float64).tiny
    ratio = np.maximum(numerator, tiny) / np.maximum(denominator, tiny)
    return _mean_of_best(np.log(np.maximum(ratio, tiny)))


def _autocorrelation(frames: F64, order: int) -> F64:
    """(n_frames, order + 1)."""
    length = frames.shape[1]
    return np.stack([np.sum(frames[:, lag:] * frames[:, : length - lag], axis=1) for lag in range(order + 1)], axis=1)


def _levinson(correlation: F64) -> F64:
    """Prediction error filters (n_frames, order + 1) with a leading one, by the Levinson-Durbin recursion."""
    n_frames, n_lags = correlation.shape
    filters = np.zeros((n_frames, n_lags))
    filters[:, 0] = 1.0
    smallest = np.maximum(_EPSILON * correlation[:, 0], np.finfo(np.float64).tiny)
    error = np.maximum(correlation[:, 0], smallest)
    for i in range(1, n_lags):
        backward = correlation[:, i:0:-1]  # lags i .. 1, matching the filter so far
        # rounding pushes it beyond one in frames of digital silence
        reflection = np.clip(-np.sum(filters[:, :i] * backward, axis=1) / error, -1.0, 1.0)
        filters[:, 1 : i + 1] += reflection[:, np.newaxis] * filters[:, i - 1 :: -1][:, :i]
        error = np.maximum(error * (1.0 - reflection**2), smallest)
    return filters


def weighted_spectral_slope(clean: F32, enhanced: F32, rate_hz: int) -> float:
    """WSS (Klatt 1982; Loizou 2013, eq. 11.15 to 11.18), mean of the best 95 % of frames."""
    energies = [_band_energies_db(_frames(signal, rate_hz), rate_hz) for signal in (clean, enhanced)]
    slopes = [np.diff(energy, axis=1) for energy in energies]
    weights = [_slope_weights(energy, slope) for energy, slope in zip(energies, slopes, strict=True)]
    weight = 0.5 * (weights[0] + weights[1])
    distance = np.sum(weight * (slopes[0] - slopes[1]) ** 2, axis=1) / np.sum(weight, axis=1)
    return _mean_of_best(distance)


def _band_energies_db(frames: F64, rate_hz: int) -> F64:
    """(n_frames, 25) dB: energy through Gaussian-like critical-band filters, at least -100 dB."""
    n_fft = 2 ** int(np.ceil(np.log2(2 * frames.shape[1])))
    half = n_fft // 2
    power = np.abs(np.fft.rfft(frames, n_fft, axis=1)[:, :half]) ** 2
    nyquist = rate_hz / 2.0
    centres = np.floor(np.array(_CENTRES_HZ) / nyquist * half)[:, np.newaxis]
    widths = (np.array(_WIDTHS_HZ) / nyquist * half)[:, np.newaxis]
    level = np.log(_WIDTHS_HZ[0]) - np.log(np.array(_WIDTHS_HZ))[:, np.newaxis]
    filters = np.exp(-11.0 * ((np.arange(half) - centres) / widths) ** 2 + level)
    filters[filters <= np.exp(-30.0 / (2.0 * 2.303))] = 0.0
    return np.asarray(10.0 * np.log10(np.maximum(power @ filters.T, 1e-10)))


def _slope_weights(energy_db: F64, slope_db: F64) -> F64:
    """Klatt's weights: near the largest energy of the frame and near the nearest peak count most."""
    peak = _nearest_peak_db(energy_db, slope_db)
    lower = energy_db[:, :-1]
    by_largest = _K_MAX / (_K_MAX + energy_db.max(axis=1, keepdims=True) - lower)
    by_nearest = _K_LOCAL / (_K_LOCAL + peak - lower)
    return np.asarray(by_largest * by_nearest)


def _nearest_peak_db(energy_db: F64, slope_db: F64) -> F64:
    """Energy at the peak that each slope climbs to: upwards while slopes rise, downwards while they fall."""
    n_slopes = slope_db.shape[1]
    up, down = np.empty_like(slope_db), np.empty_like(slope_db)
    # `up`: walk right until a slope is not positive; the peak is the band before it, as in Loizou's program
    following = energy_db[:, n_slopes - 1].copy()
    for band in range(n_slopes - 1, -1, -1):
        rises = slope_db[:, band] > 0.0
        following = np.where(rises, following, energy_db[:, max(band - 1, 0)])
        up[:, band] = following
    following = energy_db[:, 0].copy()
    for band in range(n_slopes):
        falls = slope_db[:, band] <= 0.0
        following = np.where(falls, following, energy_db[:, band + 1])
        down[:, band] = following
    return np.where(slope_db > 0.0, up, down)
