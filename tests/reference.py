"""Every kernel once more, in float64, straight from its paper: slow, short and obvious."""

from __future__ import annotations

import math

import numpy as np
import scipy.special
from scipy.signal import butter, lfilter


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


def track_presence(power, noise_psd, ratio, smoothing_noise, smoothing_ratio, leak_max):
    """Gerkmann & Hendriks (2012), eqs. 18 and 22, with evidence from 3 and 17 bins."""
    gamma = np.minimum(power / noise_psd, 60)
    ratio = smoothing_ratio * ratio + (1 - smoothing_ratio) * gamma

    def mean(reach):
        return np.array([ratio[max(0, k - reach) : k + reach + 1].mean() for k in range(len(ratio))])

    q = -4.07 + 0.5 * gamma + 0.354 * mean(1) + 0.4 * mean(8)
    p = 0.99 / (1 + np.exp(-np.clip(q, -30, 30)))
    taught = np.minimum(power, leak_max * noise_psd)
    return smoothing_noise * noise_psd + (1 - smoothing_noise) * (p * noise_psd + (1 - p) * taught), ratio


def raised_floor(lowest, held):
    """The lowest power, limited by its own local floor or by what groups of windows have held."""
    local = np.array([np.mean(lowest[max(0, k - 16) : k + 17] ** -0.5) ** -2 for k in range(len(lowest))])
    return np.minimum(lowest, np.maximum(local, held))


def voicing(history, rate):
    """Talkin (1995): the last 15 ms of the last 32 up to 1.5 kHz, against what was 1 to 12.5 ms before them."""
    step = max(1, round(rate / 8000))
    n = min(len(history), round(0.032 * rate)) // step - 1
    triangle = np.concatenate([np.arange(1, step + 1), np.arange(step - 1, -1, -1)])
    ends = len(history) - step * np.arange(n)[::-1]
    low = np.array([history[end - 2 * step : end] @ triangle for end in ends])
    low -= low[0]
    for edge_hz, kind in ((120.0, "high"), (1500.0, "low")):
        low = lfilter(*butter(2, edge_hz, kind, fs=rate / step), low)
    window = min(round(0.015 * rate / step), int(0.47 * n))
    now, best = low[n - window :], 0.0
    for lag in range(round(0.001 * rate / step), min(round(0.0125 * rate / step), n - window) + 1):
        before = low[n - window - lag : n - lag]
        best = max(best, now @ before / np.sqrt((now @ now) * (before @ before) + 1e-60))
    return best


class Recording:
    """Loudest voice over quiet frames, 0 below 27 dB and 1 above 30; over bursts, 0 below 16 dB and 1 above 24."""

    def __init__(self, level, near, edges_db=(27, 30, 16, 24)):
        self.edges_db = edges_db
        self.noise = self.lowest = level
        self.peak, self.burst = 0.0, 0.0
        self.before = [level] * 11
        self.near, self.since = near, near
        self.unvoiced, self.pending = [], 0.0

    def step(self, level, voicing, fall, smoothing, rise, new_window):
        if new_window:
            self.before = [*self.before[1:], self.lowest]
            self.lowest = level
        self.lowest = min(self.lowest, level)
        lowest = min(self.lowest, *self.before)
        if level < 4 * lowest:
            self.noise = smoothing * self.noise + (1 - smoothing) * level
        self.noise = min(max(self.noise, lowest), 8 * lowest)
        self.peak, self.burst = fall * self.peak, fall * self.burst
        if voicing > 0.9 and level > 0.01 * self.peak:
            self.peak = max(self.peak, rise * self.peak + (1 - rise) * level)
            self.since, self.unvoiced, self.pending = 0, [], 0.0
        else:
            self.since += 1
            self.unvoiced.append(level if self.since > self.near else 0.0)
            if len(self.unvoiced) == self.near:
                self.burst = max(self.burst, self.pending)
                self.pending, self.unvoiced = max(self.unvoiced), []
        over_noise = 10 * np.log10(max(self.peak / self.noise, 1))
        over_bursts = 10 * np.log10(max(self.peak / max(self.burst, self.noise), 1))
        noise_from, noise_to, burst_from, burst_to = self.edges_db
        clear = (
            (over_noise - noise_from) / (noise_to - noise_from),
            (over_bursts - burst_from) / (burst_to - burst_from),
        )
        return float(np.clip(min(clear), 0, 1))


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


def leaky(x):
    """Maas, Hannun & Ng (2013)."""
    return np.where(x > 0, x, 0.1 * x)


def band_regression(features, table, offset, value_table, value_offset):
    """One hidden layer."""
    return value_offset + leaky(offset + features.reshape(-1) @ table) @ value_table


def wiener_by_context(power, noise, clean_psd, correction, alpha, gain_min, starting, clearness):
    """A Wiener gain behind ``xi = sqrt(xi_dd + .001) exp(c)``, with a soft floor."""
    xi = alpha * clean_psd / noise + (1 - alpha) * np.maximum(np.minimum(power / noise, 1e8) - 1, 0)
    decided = np.maximum(xi / (1 + xi), 0.178)
    subtracted = np.sqrt(xi / (1 + xi))
    xi = np.sqrt(xi + 0.001) * np.exp(correction)
    gain = gain_min + (1 - gain_min) * xi / (1 + xi)
    gain = np.maximum(gain, decided) if starting else gain
    return gain + clearness * np.maximum(subtracted - gain, 0), decided**2 * power


def spread(value, low, share):
    """Linear between band centres; bands above the last hold its value."""
    return value[low] + share * (value[np.minimum(low + 1, len(value) - 1)] - value[low])


def subtract_by_context(power, smoothed, noise, snr_db, smoothing, floor, gain_min):
    """Berouti's subtraction with the over-subtraction of the SNR in its context."""
    smoothed = smoothing * smoothed + (1 - smoothing) * power
    factor = np.clip(3 - 0.35 * snr_db, 1, 12.5)
    remaining = np.maximum(smoothed - factor * noise, floor * noise)
    return np.clip(np.sqrt(remaining / smoothed), gain_min, 1), smoothed


def neighbour_mean(x, reach):
    """Mean of each value and its neighbours, fewer at the ends."""
    reach = min(reach, (len(x) - 1) // 2)
    return np.array([x[max(0, k - reach) : k + reach + 1].mean() for k in range(len(x))])


class FineRegression:
    """The per-bin regression, from its description: averages, logarithms of ratios, a cepstral comb, three layers."""

    def __init__(self, n_bins, hop_seconds, constants):
        self.hop, self.constants, self.first = hop_seconds, constants, True
        self.averages = np.zeros((3, n_bins))
        self.lowest = self.level_mean = self.variance = self.clean = np.zeros(n_bins)
        self.now = self.last = np.zeros(n_bins)
        self.speech = 0.0

    def _smooth(self, seconds, old, new):
        s = 0.0 if self.first else np.exp(-self.hop / seconds)
        return s * old + (1 - s) * new

    def log_xi(self, power, noise, context, alpha):
        n = len(power)
        self.averages = np.stack(
            [self._smooth(t, a, power) for t, a in zip((0.02, 0.06, 0.25), self.averages, strict=True)]
        )
        middle = self.averages[1]
        self.lowest = np.minimum(middle, middle if self.first else self.lowest * np.exp(0.7 * self.hop))
        xi = alpha * self.clean / noise + (1 - alpha) * np.maximum(np.minimum(power / noise, 1e8) - 1, 0)
        self.clean = np.maximum(xi / (1 + xi), 0.178) ** 2 * power
        level = np.log(self.averages[0])
        self.level_mean = self._smooth(0.3, self.level_mean, level)
        away = (level - self.level_mean) ** 2
        self.variance = np.ones(n) if self.first else self._smooth(0.3, self.variance, away)
        before_last, self.last = self.last, self.now
        self.now = np.log(power / noise + 0.03)
        short, mid, long = np.log(self.averages / noise + 0.03)
        peaks = np.log(power) - neighbour_mean(np.log(power), 6)
        comb, strength = self._comb(peaks)
        mean_ratio = short[6 : min(130, n)].mean()
        self.speech = self._smooth(0.1, self.speech, mean_ratio)
        base = 0.5 * np.log(xi + 0.001) + context
        maps = (
            (self.now, range(-3, 4)),
            (self.last, (-1, 0, 1)),
            (before_last, (0,)),
            (short, (-8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8)),
            (mid, (-4, -2, 0, 2, 4)),
            (long, (-4, 0, 4)),
            (np.log(noise / self.lowest + 0.03), (0,)),
            (np.log(xi + 0.01), (-1, 0, 1)),
            *((m, (0,)) for m in (comb, peaks, neighbour_mean(short, 8), neighbour_mean(short, 32))),
            *((m, (0,)) for m in (np.sqrt(self.variance), np.log(noise) - np.log(noise).mean(), context, base)),
        )
        rows = [np.pad(m, 8, mode="edge")[8 + d : 8 + d + n] for m, shifts in maps for d in shifts]
        rows += [np.full(n, value) for value in (strength, mean_ratio, self.speech)]
        place = np.log10(1 + np.minimum(np.arange(n) * 31.25, 8000) / 700) / np.log10(1 + 8000 / 700)
        rows += [np.cos(np.pi * j * place) for j in (1, 2, 3)]
        c = self.constants
        hidden = leaky(c["table"] @ np.stack(rows) + c["offset"][:, None])
        second = leaky(c["second_table"] @ hidden + c["second_offset"][:, None])
        self.first = False
        return base + (c["value_table"] @ second)[0] + c["value_offset"][0]

    @staticmethod
    def _comb(peaks):
        """Noll (1967): the largest value of the cepstrum between 400 and 70 Hz."""
        spectrum = np.zeros(257)
        end = min(129, len(peaks))
        spectrum[3:end] = peaks[3:end]
        spectrum[100:129] *= np.linspace(1, 0, 29)
        cepstrum = np.fft.irfft(spectrum, 512)
        lag = 40 + np.argmax(cepstrum[40:231])
        strength = 10 * cepstrum[lag]
        return strength * np.cos(2 * np.pi * np.arange(len(peaks)) * lag / 512), strength


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


def pair_coherence(spectrum, other, auto, other_auto, cross, smoothing):
    """Carter (1987), eq. 2: the new cross-spectrum and the coherence."""
    cross = smoothing * cross + (1 - smoothing) * spectrum * np.conj(other)
    return cross, np.abs(cross) ** 2 / (auto * other_auto)


def linked_gains(spectra, noise_psds, gains, autos, crosses, smoothing):
    """Every channel's gain as a mean of all, weighted by coherence with it and by SNR; channels first."""
    channels = len(spectra)
    autos = [smoothing * a + (1 - smoothing) * np.abs(x) ** 2 for a, x in zip(autos, spectra, strict=True)]
    certainty = [np.minimum(a / n, 1e8) + 1e-3 for a, n in zip(autos, noise_psds, strict=True)]
    linked = []
    for c in range(channels):
        weights = []
        for d in range(channels):
            if d == c:
                weights.append(certainty[c])
                continue
            _, coherence = pair_coherence(spectra[c], spectra[d], autos[c], autos[d], crosses[c][d], smoothing)
            around = np.pad(coherence, 2, mode="edge")
            near = np.mean([around[k : k + len(coherence)] for k in range(5)], axis=0)
            weights.append(np.clip((near - 0.15) / (0.35 - 0.15), 0, 1) * certainty[d])
        linked.append(sum(w * g for w, g in zip(weights, gains, strict=True)) / sum(weights))
    return np.array(linked)
