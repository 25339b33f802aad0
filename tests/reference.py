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


def track_presence(power, noise_psd, presence, smoothing_noise, smoothing_presence, xi_speech):
    """Gerkmann & Hendriks (2012), eqs. 18, 22-25."""
    gamma = power / noise_psd
    p = 1 / (1 + (1 + xi_speech) * np.exp(-gamma * xi_speech / (1 + xi_speech)))
    presence = smoothing_presence * presence + (1 - smoothing_presence) * p
    p = np.where(presence > 0.99, np.minimum(p, 0.99), p)
    periodogram = p * noise_psd + (1 - p) * power
    return smoothing_noise * noise_psd + (1 - smoothing_noise) * periodogram, presence


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
