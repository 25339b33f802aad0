"""A log-linear estimate of the a priori SNR: what recent averages in 20 bands say beyond one bin's own past.

``ln xi(k) = 1/2 ln(xi_dd(k) + .001) + c(k)``, where ``xi_dd`` is the decision-directed estimate and ``c`` is piecewise
linear in seven features of every band and interpolated between band centres.  All features are logarithms of recursive
averages of power ratios, so they do not depend on the level.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.noise_psd import exponential
from rtdenoise.typing import F32

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)
_RATIO_MAX = np.float32(1e4)
_RATIO_MIN = np.float32(0.05)  # added before a logarithm: below it a ratio says nothing more
_XI_MIN = np.float32(0.001)
_DECISION_MIN = np.float32(0.178)  # -15 dB: floor of the gain inside the decision-directed recursion

N_FEATURES = 7
N_AVERAGES = 3


@kernel
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
    n_frames: int,
) -> None:
    """Seven logarithms per band.

    0 power over noise; 1-3 its averages over three times; 4 mean ratio over squared mean root ratio (how peaky);
    5 power against the band's own recent peak; 6 noise against the mean of all bands.

    Parameters
    ----------
    power, noise_psd : (n_bins,) float32, read
    share_above : (n_bins,) float32, read
        A bin belongs with this share to the band above it and with the rest to the one below.
    first_bin : (n_bands + 1,) int32, read
        Bins ``first_bin[b]`` to ``first_bin[b + 1]`` lie between the centres of bands ``b`` and ``b + 1``.
    inverse_width : (n_bands,) float32, read
        One over the sum of shares; 0 for a band above half the sample rate, which copies the one below.
    averages : (3, n_bands) float32, read and written
    peak : (n_bands,) float32, read and written
    smoothing : (4,) float32, read
        Per hop: of the three averages and of the falling peak.
    features : (7, n_bands) float32, written
    sums : (4, n_bands) float32, written
        Scratch.
    n_frames : int
        Frames seen before this one; the averages start at the first one's values.
    """
    n_bands = peak.size
    sums[:] = _ZERO
    for band in range(n_bands):
        for k in range(first_bin[band], first_bin[band + 1]):
            above = share_above[k]
            below = _ONE - above
            ratio = min(power[k] / max(noise_psd[k], _TINY), _RATIO_MAX)
            root = np.sqrt(ratio)
            sums[0, band] += below * power[k]
            sums[1, band] += below * noise_psd[k]
            sums[2, band] += below * ratio
            sums[3, band] += below * root
            if band + 1 < n_bands:
                sums[0, band + 1] += above * power[k]
                sums[1, band + 1] += above * noise_psd[k]
                sums[2, band + 1] += above * ratio
                sums[3, band + 1] += above * root
    mean_noise = _ZERO
    for band in range(n_bands):
        if inverse_width[band] == _ZERO:
            for j in range(N_FEATURES):
                features[j, band] = features[j, band - 1]
            mean_noise += features[6, band]
            continue
        energy, noise = sums[0, band], max(sums[1, band], _TINY)
        ratio = np.log(min(energy / noise, _RATIO_MAX) + _RATIO_MIN)
        features[0, band] = ratio
        for j in range(N_AVERAGES):
            s = smoothing[j] if n_frames > 0 else _ZERO
            averages[j, band] = s * averages[j, band] + (_ONE - s) * ratio
            features[1 + j, band] = averages[j, band]
        mean_ratio = sums[2, band] * inverse_width[band]
        mean_root = sums[3, band] * inverse_width[band]
        features[4, band] = np.log((mean_ratio + _RATIO_MIN) / (mean_root * mean_root + _RATIO_MIN))
        level = np.log(max(energy * inverse_width[band], _TINY))
        falling = smoothing[3] * peak[band] + (_ONE - smoothing[3]) * level
        peak[band] = max(level, falling) if n_frames > 0 else level
        features[5, band] = level - peak[band]
        features[6, band] = np.log(noise * inverse_width[band])
        mean_noise += features[6, band]
    for band in range(n_bands):
        features[6, band] -= mean_noise / np.float32(n_bands)


@kernel
def band_correction(features: F32, table: F32, offset: F32, share: F32, mixed: F32, value: F32) -> None:
    """The correction at the band centres: a mixture of linear maps, weighted by how well each fits the situation.

    ``mixed = offset + features . table`` holds M maps of all bands, then M scores;
    ``value = sum_m softmax(scores)_m map_m``.

    Parameters
    ----------
    features : (7, n_bands) float32, read
    table : (7 * n_bands, M * (n_bands + 1)) float32, read
    offset : (M * (n_bands + 1),) float32, read
    share : (M,) float32, written
        Scratch.
    mixed : (M * (n_bands + 1),) float32, written
        Scratch.
    value : (n_bands,) float32, written
        Logarithm of a power ratio.

    Notes
    -----
    Piecewise linear regression with soft selection: Jordan & Jacobs (1994), "Hierarchical mixtures of experts and the
    EM algorithm", eq. 1 with one level.  Ten rows a pass, so that the sums are loaded and stored 14 times, not 140.
    """
    n_bands, n_maps = value.size, share.size
    f = features.reshape(features.size)
    for c in range(mixed.size):
        mixed[c] = offset[c]
    for i in range(0, f.size, 10):
        for c in range(mixed.size):
            first = (f[i] * table[i, c] + f[i + 1] * table[i + 1, c]) + (f[i + 2] * table[i + 2, c])
            second = (f[i + 3] * table[i + 3, c] + f[i + 4] * table[i + 4, c]) + (f[i + 5] * table[i + 5, c])
            third = (f[i + 6] * table[i + 6, c] + f[i + 7] * table[i + 7, c]) + (f[i + 8] * table[i + 8, c])
            mixed[c] += (first + second) + (third + f[i + 9] * table[i + 9, c])
    scores = mixed[n_maps * n_bands :]
    largest = scores[0]
    for m in range(n_maps):
        largest = max(largest, scores[m])
    total = _ZERO
    for m in range(n_maps):
        share[m] = exponential(scores[m] - largest)
        total += share[m]
    for b in range(n_bands):
        value[b] = _ZERO
    for m in range(n_maps):
        for b in range(n_bands):
            value[b] += share[m] / total * mixed[m * n_bands + b]


@kernel
def wiener_log_linear(
    power: F32,
    noise_psd: F32,
    clean_psd: F32,
    gain: F32,
    value: F32,
    share_above: F32,
    first_bin: np.ndarray,
    alpha: np.float32,
    gain_min: np.float32,
    starting: bool,
) -> None:
    """Wiener gain from the log-linear a priori SNR, with a soft floor.

    ``xi = sqrt(xi_dd + .001) exp(c)``, ``gain = gain_min + (1 - gain_min) xi / (1 + xi)``

    Parameters
    ----------
    power, noise_psd : (n_bins,) float32, read
    clean_psd : (n_bins,) float32, read and written
        The decision-directed recursion's own estimate, as in `rtdenoise.kernels.gain.wiener_decision_directed`.
    gain : (n_bins,) float32, written
        Amplitude gain in ``[gain_min, 1]``.
    value : (n_bands,) float32, read
        ``c`` at the band centres; the last one holds up to half the sample rate.
    share_above, first_bin
        As in `band_features`.
    alpha : float32 in [0, 1)
        Decision-directed smoothing, per frame.
    gain_min : float32 in [0, 1]
        Attenuation limit.
    starting : bool
        The averages have no past yet and call a voice that is already there noise: give no less than the
        decision-directed gain.
    """
    n_bands = value.size
    trust = _ONE if starting else _ZERO
    for band in range(n_bands):
        below, step = value[band], value[min(band + 1, n_bands - 1)] - value[band]
        end = first_bin[band + 1] if band + 1 < n_bands else gain.size
        for k in range(first_bin[band], end):
            gain[k] = below + share_above[k] * step
    for k in range(gain.size):
        noise = max(noise_psd[k], _TINY)
        gamma = min(power[k] / noise, np.float32(1e8))
        xi = alpha * clean_psd[k] / noise + (_ONE - alpha) * max(gamma - _ONE, _ZERO)
        decided = max(xi / (_ONE + xi), _DECISION_MIN)
        clean_psd[k] = decided * decided * power[k]
        xi = np.sqrt(xi + _XI_MIN) * exponential(gain[k])
        gain[k] = max(gain_min + (_ONE - gain_min) * (xi / (_ONE + xi)), trust * decided)


@kernel
def subtract_by_context(
    power: F32,
    smoothed: F32,
    noise_psd: F32,
    gain: F32,
    features: F32,
    value: F32,
    share_above: F32,
    first_bin: np.ndarray,
    smoothing_power: np.float32,
    floor: np.float32,
    gain_min: np.float32,
) -> None:
    """Power spectral subtraction whose over-subtraction follows the log-linear SNR, interpolated to every bin.

    ``SNR = 4.343 (ln(max(r - .95, 0) + .05) / 2 + c)`` dB per band, ``a = clip(3 - .35 SNR, 1, 12.5)`` per bin;
    then as `rtdenoise.kernels.gain.subtract_power`: ``S = max(Y - a N, floor N)``, ``gain = sqrt(S / Y)``.

    Parameters
    ----------
    power : (n_bins,) float32, read
    smoothed : (n_bins,) float32, read and written
        ``Y``: `power` smoothed over time.
    noise_psd : (n_bins,) float32, read
    gain : (n_bins,) float32, written
        Amplitude gain in ``[gain_min, 1]``.
    features : (7, n_bands) float32, read
        Row 0 is ``ln(r + .05)`` of each band's power over noise ``r``.
    value : (n_bands,) float32, read and written
        In: the correction ``c``.  Out: the SNR in dB.
    share_above, first_bin
        As in `band_features`.
    smoothing_power : float32 in [0, 1)
        Per hop.
    floor : float32
        Spectral floor, power ratio to the noise (Berouti's beta).
    gain_min : float32 in [0, 1]
        Attenuation limit.

    Notes
    -----
    Berouti, Schwartz & Makhoul (1979), eqs. 4-6, with a steeper and wider rule because the SNR is known better.
    """
    n_bands = value.size
    for band in range(n_bands):
        above_noise = max(np.exp(features[0, band]) - _ONE, _ZERO) + _RATIO_MIN
        value[band] = np.float32(4.343) * (np.float32(0.5) * np.log(above_noise) + value[band])
    for band in range(n_bands):
        below, step = value[band], value[min(band + 1, n_bands - 1)] - value[band]
        end = first_bin[band + 1] if band + 1 < n_bands else gain.size
        for k in range(first_bin[band], end):
            gain[k] = below + share_above[k] * step
    for k in range(gain.size):
        smoothed[k] = smoothing_power * smoothed[k] + (_ONE - smoothing_power) * power[k]
        factor = min(max(np.float32(3) - np.float32(0.35) * gain[k], _ONE), np.float32(12.5))
        remaining = max(smoothed[k] - factor * noise_psd[k], floor * noise_psd[k])
        gain[k] = min(max(np.sqrt(remaining / max(smoothed[k], _TINY)), gain_min), _ONE)
