"""A priori SNR from context: a correction of the decision-directed estimate by recent averages in 20 bands.

``ln xi(k) = 1/2 ln(xi_dd(k) + .001) + c(k)``, where ``xi_dd`` is the decision-directed estimate and ``c`` is a fitted
function of seven features of every band, interpolated between band centres.  All features are logarithms of recursive
averages of power ratios, hence independent of the level.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import dense, exponential, leak, logarithm
from rtdenoise.kernels.gain import remaining_gain
from rtdenoise.kernels.jit import kernel_apart
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)
_RATIO_MAX = np.float32(1e4)
_RATIO_MIN = np.float32(0.05)  # added before a logarithm: smaller ratios carry no information
_XI_MIN = np.float32(0.001)
_DECISION_MIN = np.float32(0.178)  # -15 dB: floor of the gain inside the decision-directed recursion

N_FEATURES = 7
N_AVERAGES = 3


@kernel_apart
def band_features(
    power: F32,
    noise_psd: F32,
    share_above: F32,
    first_bin: np.ndarray,
    inverse_width: F32,
    averages: F32,
    peak: F32,
    smoothing: F32,
    features: F32,
    sums: F32,
    ratio: F32,
    root: F32,
    n_frames: int,
) -> None:
    """Compute seven log features per band.

    0 power over noise; 1-3 its averages with three time constants; 4 mean ratio over squared mean root ratio
    (peakiness); 5 power relative to the recent peak of the band; 6 noise relative to the mean of all bands.

    Parameters
    ----------
    power, noise_psd : (n_bins,) float32, read
    share_above : (n_bins,) float32, read
        Share with which a bin belongs to the band above it; the rest belongs to the band below.
    first_bin : (n_bands + 1,) int32, read
        Bins ``first_bin[b]`` to ``first_bin[b + 1]`` lie between the centres of bands ``b`` and ``b + 1``.
    inverse_width : (n_bands,) float32, read
        Reciprocal of the sum of shares; 0 for a band above half the sample rate, which copies the one below.
    averages : (3, n_bands) float32, read and written
    peak : (n_bands,) float32, read and written
    smoothing : (4,) float32, read
        Per hop: for the three averages and for the decay of the peak.
    features : (7, n_bands) float32, written
    sums : (4, n_bands) float32, written
        Scratch.
    ratio, root : (n_bins,) float32, written
        Power over noise and its square root, at most 1e4 and 100.
    n_frames : int
        Frames before this one; the averages start at the values of the first frame.
    """
    n_bands = peak.size
    for k in range(power.size):
        ratio[k] = min(power[k] / max(noise_psd[k], _TINY), _RATIO_MAX)
        root[k] = np.sqrt(ratio[k])
    sums[:] = _ZERO
    for band in range(n_bands):
        all_power, all_noise, all_ratio, all_root = _ZERO, _ZERO, _ZERO, _ZERO
        above_power, above_noise, above_ratio, above_root = _ZERO, _ZERO, _ZERO, _ZERO
        for k in range(first_bin[band], first_bin[band + 1]):
            share = share_above[k]
            all_power += power[k]
            above_power += share * power[k]
            all_noise += noise_psd[k]
            above_noise += share * noise_psd[k]
            all_ratio += ratio[k]
            above_ratio += share * ratio[k]
            all_root += root[k]
            above_root += share * root[k]
        sums[0, band] += all_power - above_power
        sums[1, band] += all_noise - above_noise
        sums[2, band] += all_ratio - above_ratio
        sums[3, band] += all_root - above_root
        if band + 1 < n_bands:
            sums[0, band + 1] = above_power
            sums[1, band + 1] = above_noise
            sums[2, band + 1] = above_ratio
            sums[3, band + 1] = above_root
    for band in range(n_bands):
        noise, width = max(sums[1, band], _TINY), inverse_width[band]
        mean_ratio, mean_root = sums[2, band] * width, sums[3, band] * width
        level = max(sums[0, band] * width, _TINY)
        features[0, band] = logarithm(min(sums[0, band] / noise, _RATIO_MAX) + _RATIO_MIN)
        features[4, band] = logarithm((mean_ratio + _RATIO_MIN) / (mean_root * mean_root + _RATIO_MIN))
        features[5, band] = logarithm(level)
        features[6, band] = logarithm(max(noise * width, _TINY))
    for j in range(N_AVERAGES):
        s = smoothing[j] if n_frames > 0 else _ZERO
        for band in range(n_bands):
            averages[j, band] = s * averages[j, band] + (_ONE - s) * features[0, band]
            features[1 + j, band] = averages[j, band]
    for band in range(n_bands):
        level = features[5, band]
        falling = smoothing[3] * peak[band] + (_ONE - smoothing[3]) * level
        peak[band] = max(level, falling) if n_frames > 0 else level
        features[5, band] = level - peak[band]
    mean_noise = _ZERO
    for band in range(n_bands):
        if inverse_width[band] == _ZERO:
            for j in range(N_FEATURES):
                features[j, band] = features[j, band - 1]
        mean_noise += features[6, band]
    for band in range(n_bands):
        features[6, band] -= mean_noise / np.float32(n_bands)


@kernel_apart
def band_regression(
    features: F32, table: F32, offset: F32, value_table: F32, value_offset: F32, hidden: F32, value: F32
) -> None:
    """Regression from the features to one value per band centre: one hidden layer.

    ``value = value_offset + leaky(offset + features . table) . value_table``

    Parameters
    ----------
    features : (7, n_bands) float32, read
    table : (7 * n_bands, n_hidden) float32, read
    offset : (n_hidden,) float32, read
    value_table : (n_hidden, n_values) float32, read
    value_offset : (n_values,) float32, read
    hidden : (n_hidden,) float32, written
        Scratch.
    value : (n_values,) float32, written
        Per band: ``c``, the logarithm of a power ratio, or an SNR in dB, depending on the constants.

    Notes
    -----
    A small multilayer perceptron; its constants come from `benchmarks/fit_prior`.
    """
    dense(features.reshape(features.size), table, offset, hidden)
    leak(hidden)
    dense(hidden, value_table, value_offset, value)


@kernel_apart
def spread(value: F32, share_above: F32, first_bin: np.ndarray, spread_value: F32) -> None:
    """Interpolate from band centres to bins; the value of the last band extends to half the sample rate.

    Parameters
    ----------
    value : (n_bands,) float32, read
    share_above, first_bin
        As in `band_features`.
    spread_value : (n_bins,) float32, written
    """
    n_bands = value.size
    for band in range(n_bands):
        below, step = value[band], value[min(band + 1, n_bands - 1)] - value[band]
        end = first_bin[band + 1] if band + 1 < n_bands else spread_value.size
        for k in range(first_bin[band], end):
            spread_value[k] = below + share_above[k] * step


@kernel_apart
def wiener_by_context(
    power: F32,
    noise_psd: F32,
    clean_psd: F32,
    gain: F32,
    alpha: np.float32,
    gain_min: np.float32,
    starting: bool,
    clearness: np.float32,
) -> None:
    """Wiener gain from the contextual a priori SNR, with a soft floor.

    ``xi = sqrt(xi_dd + .001) exp(c)``, ``gain = gain_min + (1 - gain_min) xi / (1 + xi)``;
    in a clean recording at least ``sqrt(xi_dd / (1 + xi_dd))``

    Parameters
    ----------
    power, noise_psd : (n_bins,) float32, read
    clean_psd : (n_bins,) float32, read and written
        Estimate of the decision-directed recursion, as in `rtdenoise.kernels.gain.wiener_decision_directed`.
    gain : (n_bins,) float32, read and written
        In: ``c``.  Out: amplitude gain in ``[gain_min, 1]``.
    alpha : float32 in [0, 1)
        Decision-directed smoothing, per frame.
    gain_min : float32 in [0, 1]
        Attenuation limit.
    starting : bool
        Whether the averages have not settled yet and mistake a voice in the first frames for noise; the gain is then
        at least the decision-directed gain.
    clearness : float32 in [0, 1]
        How far the gain is raised towards that of power subtraction: fitted mostly on mixtures at -5 to 15 dB, the
        constants treat a sudden consonant as noise.
    """
    trust = _ONE if starting else _ZERO
    for k in range(gain.size):
        noise = max(noise_psd[k], _TINY)
        gamma = min(power[k] / noise, np.float32(1e8))
        xi = alpha * clean_psd[k] / noise + (_ONE - alpha) * max(gamma - _ONE, _ZERO)
        decided = max(xi / (_ONE + xi), _DECISION_MIN)
        clean_psd[k] = decided * decided * power[k]
        subtracted = np.sqrt(xi / (_ONE + xi))
        xi = np.sqrt(xi + _XI_MIN) * exponential(gain[k])
        fitted = max(gain_min + (_ONE - gain_min) * (xi / (_ONE + xi)), trust * decided)
        gain[k] = fitted + clearness * max(subtracted - fitted, _ZERO)


@kernel_apart
def subtract_by_context(
    power: F32,
    smoothed: F32,
    noise_psd: F32,
    gain: F32,
    smoothing_power: np.float32,
    floor: np.float32,
    gain_min: np.float32,
) -> None:
    """Power spectral subtraction with over-subtraction from the contextual SNR, per bin.

    ``a = clip(3 - .35 SNR_dB, 1, 12.5)``, then as in `rtdenoise.kernels.gain.subtract_power`:
    ``S = max(Y - a N, floor N)``, ``gain = sqrt(S / Y)``.

    Parameters
    ----------
    power : (n_bins,) float32, read
    smoothed : (n_bins,) float32, read and written
        ``Y``: `power` smoothed over time.
    noise_psd : (n_bins,) float32, read
    gain : (n_bins,) float32, read and written
        In: the SNR in dB.  Out: amplitude gain in ``[gain_min, 1]``.
    smoothing_power : float32 in [0, 1)
        Per hop.
    floor : float32
        Spectral floor, power ratio to the noise (Berouti's beta).
    gain_min : float32 in [0, 1]
        Attenuation limit.

    Notes
    -----
    Berouti, Schwartz & Makhoul (1979), eqs. 4-6, with a steeper and wider rule because the SNR estimate is better.
    """
    for k in range(gain.size):
        smoothed[k] = smoothing_power * smoothed[k] + (_ONE - smoothing_power) * power[k]
        factor = min(max(np.float32(3) - np.float32(0.35) * gain[k], _ONE), np.float32(12.5))
        gain[k] = remaining_gain(smoothed[k], noise_psd[k], factor, floor, gain_min)
