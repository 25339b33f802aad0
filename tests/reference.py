"""Every kernel once more, in float64, straight from its paper: slow, short and obvious."""

from __future__ import annotations

import math

import numpy as np
import scipy.special


def resampled(x, rate_in, rate_out, n_out, extra_ticks):
    """Windowed-sinc interpolation as one sum per output, normalised per phase."""
    common = math.lcm(rate_in, rate_out)
    nyquist_hz = min(rate_in, rate_out) / 2
    width = (80.0 - 8.0) / (2.285 * 2 * math.pi * 0.2 * nyquist_hz)
    half = math.ceil(width / 2 * common)
    beta = 0.1102 * (80.0 - 8.7)
    step_in, step_out = common // rate_in, common // rate_out
    y = np.zeros(n_out)
    for j in range(n_out):
        centre = j * step_out - half - extra_ticks
        newest = (j * step_out - extra_ticks) // step_in
        taps = np.arange(newest, newest - (2 * half // step_in + 1), -1)
        ticks = centre - taps * step_in
        window = np.where(abs(ticks) <= half, np.i0(beta * np.sqrt(np.clip(1 - (ticks / half) ** 2, 0, None))), 0.0)
        weights = np.sinc(2 * nyquist_hz * ticks / common) * window
        inside = (taps >= 0) & (taps < len(x))
        y[j] = np.sum(weights[inside] * x[taps[inside]]) / weights.sum()
    return y


def analysed(history, block, analysis):
    """Shift, window, transform: the new history and the spectrum."""
    history = np.concatenate([history, block])[-len(history) :]
    return history, np.fft.rfft(history * analysis)


def synthesised(spectrum, overlap, synthesis, frame, hop):
    """Transform back, window the end, add: the finished hop and what is left."""
    overlap = overlap + np.fft.irfft(spectrum, frame)[frame - len(synthesis) :] * synthesis
    return overlap[:hop], np.concatenate([overlap[hop:], np.zeros(hop)])


def track_presence(power, noise_psd, ratio, smoothing_noise, smoothing_ratio):
    """Gerkmann & Hendriks (2012), eqs. 18 and 22, with evidence from 3 and 17 bins."""
    gamma = np.minimum(power / noise_psd, 60)
    ratio = smoothing_ratio * ratio + (1 - smoothing_ratio) * gamma

    def mean(reach):
        return np.array([ratio[max(0, k - reach) : k + reach + 1].mean() for k in range(len(ratio))])

    q = -4.07 + 0.5 * gamma + 0.354 * mean(1) + 0.4 * mean(8)
    p = 0.99 / (1 + np.exp(-np.clip(q, -30, 30)))
    return smoothing_noise * noise_psd + (1 - smoothing_noise) * (p * noise_psd + (1 - p) * power), ratio


def start_noise(recent):
    """Recent power, limited by its local floor or by .35 of itself."""
    floor = np.array([np.mean(recent[max(0, k - 16) : k + 17] ** -0.5) ** -2 for k in range(len(recent))])
    return np.minimum(recent, np.maximum(floor, 0.35 * recent))


def wiener_decision_directed(power, noise_psd, clean_psd, alpha, gain_min):
    """Ephraim & Malah (1984), eq. 51; Wiener gain."""
    xi = alpha * clean_psd / noise_psd + (1 - alpha) * np.maximum(power / noise_psd - 1, 0)
    gain = np.maximum(xi / (1 + xi), gain_min)
    return gain, gain**2 * power


def log_mmse_decision_directed(power, noise_psd, clean_psd, alpha, gain_min):
    """Ephraim & Malah (1985), eq. 20, with the exponential integral of scipy."""
    gamma = power / noise_psd
    xi = alpha * clean_psd / noise_psd + (1 - alpha) * np.maximum(gamma - 1, 0)
    v = np.maximum(gamma * xi / (1 + xi), 1e-8)
    gain = np.clip(xi / (1 + xi) * np.exp(0.5 * scipy.special.exp1(v)), gain_min, 1)
    return gain, gain**2 * power


class MinimumStatistics:
    """Martin (2001), fig. 5, one frame at a time, with his names."""

    def __init__(self, n_bins, n_sub, per_sub, times, windows):
        self.U, self.V = n_sub, per_sub
        self.alpha_max, self.alpha_min, self.smoothing_c, self.beta_max = times
        self.D, self.M_D, self.D_sub, self.M_sub = windows
        self.P = np.zeros(n_bins)
        self.noise = np.zeros(n_bins)
        self.mean = np.zeros(n_bins)
        self.square = np.zeros(n_bins)
        self.alpha_c = 1.0
        self.actmin = np.full(n_bins, np.inf)
        self.actmin_sub = np.full(n_bins, np.inf)
        self.stored = np.full((n_sub, n_bins), np.inf)
        self.local = np.zeros(n_bins, bool)
        self.subwc, self.position = 0, 0

    @staticmethod
    def bias(inverse_q, length, table):
        q = (1 / np.maximum(inverse_q, 1e-6) - 2 * table) / (1 - table)
        return 1 + (length - 1) * 2 / np.maximum(q, 1e-3)

    def step(self, power):
        tiny = 1e-20
        error = (tiny + self.P.sum()) / (tiny + power.sum()) - 1
        self.alpha_c = self.smoothing_c * self.alpha_c + (1 - self.smoothing_c) * max(1 / (1 + error**2), 0.7)
        alpha = self.alpha_max * self.alpha_c / (1 + (self.P / np.maximum(self.noise, tiny) - 1) ** 2)
        alpha = np.maximum(alpha, self.alpha_min)
        self.P = alpha * self.P + (1 - alpha) * power
        beta = np.minimum(alpha**2, self.beta_max)
        self.mean = beta * self.mean + (1 - beta) * self.P
        self.square = beta * self.square + (1 - beta) * self.P**2
        variance = np.maximum(self.square - self.mean**2, 0)
        inverse_q = np.minimum(variance / (2 * np.maximum(self.noise, 1e-15) ** 2), 0.5)
        mean_inverse_q = inverse_q.mean()
        spread = 1 + 2.12 * np.sqrt(mean_inverse_q)
        whole = self.P * spread * self.bias(inverse_q, self.D, self.M_D)
        sub = self.P * spread * self.bias(inverse_q, self.D_sub, self.M_sub)
        found = whole < self.actmin
        self.actmin = np.where(found, whole, self.actmin)
        self.actmin_sub = np.where(found, sub, self.actmin_sub)
        if self.subwc >= self.V - 1:
            self.close(found, mean_inverse_q)
        else:
            if self.subwc > 0:
                self.local |= found
                self.noise = np.maximum(np.minimum(self.actmin_sub, self.noise), tiny)
            self.subwc += 1
        return self.noise

    def close(self, found, mean_inverse_q):
        self.local &= ~found
        self.stored[self.position] = self.actmin
        smallest = self.stored.min(axis=0)
        slope = 8 if mean_inverse_q < 0.03 else 4 if mean_inverse_q < 0.05 else 2 if mean_inverse_q < 0.06 else 1.2
        rise = self.local & (self.actmin_sub < slope * smallest) & (self.actmin_sub > smallest)
        self.noise = np.maximum(np.where(rise, self.actmin_sub, smallest), 1e-20)
        self.stored[:, rise] = self.actmin_sub[rise]
        self.local[:] = False
        self.actmin[:] = np.inf
        self.actmin_sub[:] = np.inf
        self.subwc, self.position = 0, (self.position + 1) % self.U


def band_features(power, noise, share_above, first_bin, averages, peak, smoothing, first):
    """Seven logarithms per band, as the module docstring of the kernel has them; also the new averages and peaks."""
    n_bands = len(peak)
    shares = np.zeros((n_bands + 1, len(power)))
    for band in range(n_bands):
        k = slice(first_bin[band], first_bin[band + 1])
        shares[band, k] += 1 - share_above[k]
        shares[band + 1, k] += share_above[k]
    shares = shares[:n_bands]
    width = shares.sum(axis=1)
    ratio = np.minimum(power / noise, 1e4)
    energy, floor = shares @ power, shares @ noise
    current = np.log(np.minimum(energy / floor, 1e4) + 0.05)
    averages = np.array(
        [current if first else s * a + (1 - s) * current for s, a in zip(smoothing[:3], averages, strict=True)]
    )
    peaky = np.log((shares @ ratio / width + 0.05) / ((shares @ np.sqrt(ratio) / width) ** 2 + 0.05))
    level = np.log(energy / width)
    peak = level if first else np.maximum(level, smoothing[3] * peak + (1 - smoothing[3]) * level)
    tilt = np.log(floor / width)
    return np.stack([current, *averages, peaky, level - peak, tilt - tilt.mean()]), averages, peak


def band_correction(features, table, offset, n_maps):
    """A softmax mixture of linear maps (Jordan & Jacobs 1994, eq. 1)."""
    mixed = offset + features.reshape(-1) @ table
    maps, scores = mixed[:-n_maps].reshape(n_maps, -1), mixed[-n_maps:]
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ maps


def wiener_log_linear(power, noise, clean_psd, correction, alpha, gain_min, starting):
    """A Wiener gain behind ``xi = sqrt(xi_dd + .001) exp(c)``, with a soft floor."""
    xi = alpha * clean_psd / noise + (1 - alpha) * np.maximum(np.minimum(power / noise, 1e8) - 1, 0)
    decided = np.maximum(xi / (1 + xi), 0.178)
    xi = np.sqrt(xi + 0.001) * np.exp(correction)
    gain = gain_min + (1 - gain_min) * xi / (1 + xi)
    return np.maximum(gain, decided) if starting else gain, decided**2 * power


def subtract_by_context(power, smoothed, noise, correction, ratio, low, share, smoothing, floor, gain_min):
    """Berouti's subtraction with the over-subtraction of the log-linear SNR; bands above the last hold its value."""
    snr_db = 4.343 * (0.5 * np.log(np.maximum(ratio - 0.95, 0) + 0.05) + correction)
    at_bin = snr_db[low] + share * (snr_db[np.minimum(low + 1, len(snr_db) - 1)] - snr_db[low])
    smoothed = smoothing * smoothed + (1 - smoothing) * power
    factor = np.clip(3 - 0.35 * at_bin, 1, 12.5)
    remaining = np.maximum(smoothed - factor * noise, floor * noise)
    return np.clip(np.sqrt(remaining / smoothed), gain_min, 1), smoothed


def subtract_power(power, smoothed, noise, edges, weight, smoothing, floor, gain_min):
    """Berouti et al. (1979), eqs. 4-6; Kamath & Loizou (2002), eqs. 4-7."""
    smoothed = smoothing * smoothed + (1 - smoothing) * power
    gain = np.empty_like(power)
    for band, w in enumerate(weight):
        k = slice(edges[band], edges[band + 1])
        snr_db = 10 * np.log10(smoothed[k].sum() / noise[k].sum())
        factor = w * np.clip(4 - 0.15 * snr_db, 1, 4.75)
        remaining = np.maximum(smoothed[k] - factor * noise[k], floor * noise[k])
        gain[k] = np.clip(np.sqrt(remaining / smoothed[k]), gain_min, 1)
    return gain, smoothed
