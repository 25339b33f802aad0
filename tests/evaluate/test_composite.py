"""Composite scores against their published formulas, and the distances in them against programs written from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve_toeplitz, toeplitz

from rtdenoise.evaluate.measures import composite
from rtdenoise.evaluate.measures.effect import effect
from tests.evaluate.conftest import speech_like

AGREE = 1e-9  # two float64 programs of the same sums


@pytest.fixture(params=[16000, 8000])
def case(request):
    rng = np.random.default_rng(4)
    clean = speech_like(rng, 1.5) + 1e-3 * rng.standard_normal(24000)
    return clean, clean + 0.02 * rng.standard_normal(clean.size), request.param


def frames_of(signal, rate):
    length = round(0.03 * rate)
    hop = length // 4
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, length + 1) / (length + 1)))
    count = int(len(signal) / hop - length / hop)
    return [signal[k * hop : k * hop + length] * window for k in range(count)]


def best(values):
    return np.mean(np.sort(values)[: round(0.95 * len(values))])


def wss_by_the_book(clean, enhanced, rate):
    """Loops as in the appendix of Loizou's book."""
    length = round(0.03 * rate)
    n_fft = 2 ** int(np.ceil(np.log2(2 * length)))
    half = n_fft // 2
    bins = np.arange(half)
    filters = []
    for centre, width in zip(composite._CENTRES_HZ, composite._WIDTHS_HZ, strict=True):
        middle, spread = int(centre / (rate / 2) * half), width / (rate / 2) * half
        shape = np.exp(-11 * ((bins - middle) / spread) ** 2 + np.log(70.0) - np.log(width))
        filters.append(np.where(shape > np.exp(-30 / (2 * 2.303)), shape, 0))
    distances = []
    for pair in zip(frames_of(clean, rate), frames_of(enhanced, rate), strict=True):
        slopes, weights = [], []
        for frame in pair:
            power = np.abs(np.fft.fft(frame, n_fft))[:half] ** 2
            energy = 10 * np.log10(np.maximum([power @ shape for shape in filters], 1e-10))
            slope = energy[1:] - energy[:-1]
            peaks = []
            for i in range(24):
                n = i
                if slope[i] > 0:
                    while n < 24 and slope[n] > 0:
                        n += 1
                    peaks.append(energy[n - 1])
                else:
                    while n >= 0 and slope[n] <= 0:
                        n -= 1
                    peaks.append(energy[n + 1])
            lower = energy[:24]
            weights.append(20 / (20 + energy.max() - lower) / (1 + np.array(peaks) - lower))
            slopes.append(slope)
        weight = (weights[0] + weights[1]) / 2
        distances.append(np.sum(weight * (slopes[0] - slopes[1]) ** 2) / np.sum(weight))
    return best(distances)


def llr_by_the_book(clean, enhanced, rate):
    order, eps = (10 if rate < 10000 else 16), np.finfo(float).eps
    distances = []
    for pair in zip(frames_of(clean + eps, rate), frames_of(enhanced + eps, rate), strict=True):
        lags = [np.array([f[: f.size - k] @ f[k:] for k in range(order + 1)]) for f in pair]
        filters = [np.concatenate([[1.0], -solve_toeplitz(r[:order], r[1:])]) for r in lags]
        matrix = toeplitz(lags[0])
        distances.append(np.log((filters[1] @ matrix @ filters[1]) / (filters[0] @ matrix @ filters[0])))
    return best(distances)


def test_weighted_spectral_slope_is_that_of_the_book(case):
    assert composite.weighted_spectral_slope(*case) == pytest.approx(wss_by_the_book(*case), rel=AGREE)


def test_log_likelihood_ratio_is_that_of_the_book(case):
    assert composite.log_likelihood_ratio(*case) == pytest.approx(llr_by_the_book(*case), rel=1e-6)  # normal equations


def test_scores_are_the_published_sums(case):
    clean, enhanced, rate = case
    llr, wss = llr_by_the_book(*case), wss_by_the_book(*case)
    snr = [
        10 * np.log10(np.sum(a**2) / (np.sum((a - b) ** 2) + np.finfo(float).eps))
        for a, b in zip(frames_of(clean, rate), frames_of(enhanced, rate), strict=True)
    ]
    segmental = np.mean(np.clip(snr, -10, 35))
    found = composite.composite(clean, enhanced, rate, 2.5)
    assert found["csig"] == pytest.approx(np.clip(3.093 - 1.029 * llr + 0.603 * 2.5 - 0.009 * wss, 1, 5), abs=1e-6)
    assert found["cbak"] == pytest.approx(1.634 + 0.478 * 2.5 - 0.007 * wss + 0.063 * segmental, abs=1e-6)
    assert found["covl"] == pytest.approx(1.594 + 0.805 * 2.5 - 0.512 * llr - 0.007 * wss, abs=1e-6)


def test_identical_signals_score_best_and_digital_silence_is_no_trouble(case):
    clean, _, rate = case
    with_gap = np.concatenate([clean, np.zeros(rate), clean])
    found = composite.composite(with_gap, with_gap, rate, 4.64)
    assert found["csig"] == found["covl"] == 5.0
    noisy = with_gap + 0.02 * np.random.default_rng(0).standard_normal(with_gap.size)
    for one, other in ((with_gap, noisy), (noisy, with_gap)):
        assert all(np.isfinite(v) for v in composite.composite(one, other, rate, 2.0).values())


def test_no_pesq_no_scores(case):
    assert all(np.isnan(v) for v in composite.composite(*case, float("nan")).values())


def test_noise_reduction_and_distortion_are_what_was_done(speech):
    rng = np.random.default_rng(1)
    clean = speech.astype(np.float32)
    noise = (1e-3 * rng.standard_normal(clean.size)).astype(np.float32)
    half = effect(clean, clean + noise, clean + 0.5 * noise, 16000)
    assert half["noise_reduction_db"] == pytest.approx(6.02, abs=0.3)  # pauses hold the ends of syllables
    assert half["speech_distortion_db"] < 0.5
    quieter = effect(clean, clean + noise, 0.5 * (clean + noise), 16000)
    assert quieter["speech_distortion_db"] == pytest.approx(6.02, abs=0.4)
    assert quieter["noise_reduction_db"] == pytest.approx(6.02, abs=0.01)
    silent = effect(np.zeros(16000), noise[:16000], noise[:16000], 16000)
    assert all(np.isnan(v) for v in silent.values())
