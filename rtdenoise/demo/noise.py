"""Seeded noise for the demonstration: a fan with mains hum, and a murmur of voices."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F64

_MAINS_HZ = 50.0
_HUM_DB = ((1, -14.0), (2, -8.0), (3, -18.0), (4, -16.0), (6, -22.0))  # harmonic, level relative to the air noise
_MURMUR_BANDS_HZ = (150.0, 350.0, 700.0, 1300.0, 2200.0, 3600.0)
_MURMUR_BANDS_DB = (0.0, -2.0, -6.0, -11.0, -17.0)
_SYLLABLES_HZ = 4.0
_MURMUR_SHARE_DB = -4.0


def fan(n_samples: int, rate: int, rng: np.random.Generator) -> F64:
    """Air noise falling by 5 dB per octave, plus motor hum, (n_samples,), RMS near 1."""
    hz = np.fft.rfftfreq(n_samples, 1.0 / rate)
    shape = np.maximum(hz, 60.0) ** (-5.0 / 6.0)
    air = _unit(np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * shape, n_samples))
    times = np.arange(n_samples) / rate
    for harmonic, level_db in _HUM_DB:
        phase = rng.uniform(0.0, 2.0 * np.pi)
        air += np.sqrt(2.0) * 10.0 ** (level_db / 20.0) * np.sin(2.0 * np.pi * _MAINS_HZ * harmonic * times + phase)
    return air


def murmur(n_samples: int, rate: int, rng: np.random.Generator) -> F64:
    """Noise bands that swell and fall independently at a syllable rate, (n_samples,), RMS 1."""
    hz = np.fft.rfftfreq(n_samples, 1.0 / rate)
    total = np.zeros(n_samples)
    for low_hz, high_hz, level_db in zip(_MURMUR_BANDS_HZ[:-1], _MURMUR_BANDS_HZ[1:], _MURMUR_BANDS_DB, strict=True):
        carrier = np.fft.rfft(rng.standard_normal(n_samples)) * ((hz >= low_hz) & (hz < high_hz))
        envelope = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) * (hz < _SYLLABLES_HZ), n_samples)
        swell = np.exp(0.8 * _unit(envelope))
        total += 10.0 ** (level_db / 20.0) * _unit(np.fft.irfft(carrier, n_samples)) * swell
    return _unit(total)


def room_noise(n_samples: int, rate: int, seed: int) -> F64:
    """Fan and murmur combined, (n_samples,), RMS near 1; the same seed gives the same noise."""
    rng = np.random.default_rng(seed)
    from scipy.fft import next_fast_len

    whole = next_fast_len(n_samples, real=True)  # lengths with large prime factors take a second
    noise = _unit(fan(whole, rate, rng) + 10.0 ** (_MURMUR_SHARE_DB / 20.0) * murmur(whole, rate, rng))
    return noise[:n_samples]


def _unit(signal: F64) -> F64:
    scaled: F64 = signal / max(float(np.sqrt(np.mean(np.square(signal)))), 1e-12)
    return scaled
