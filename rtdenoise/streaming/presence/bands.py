"""Twenty bands, equidistant on the mel scale, that powers per bin are summed in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rtdenoise.typing import F32

N_BANDS = 20
_LOWEST_HZ, _HIGHEST_HZ = 62.5, 8000.0  # centres of the first and the last band


def band_centres_hz() -> np.ndarray:
    """Centres of the bands, equidistant on the mel scale; (20,) float64, Hz."""
    mel = np.linspace(mel_of(np.array(_LOWEST_HZ)), mel_of(np.array(_HIGHEST_HZ)), N_BANDS)
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def mel_of(hz: np.ndarray) -> np.ndarray:
    """Frequencies on the mel scale."""
    return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))


def n_present(sample_rate: int) -> int:
    """Number of bands whose centres are not above half the rate."""
    return int(np.count_nonzero(band_centres_hz() <= sample_rate / 2 + 1.0))  # the last is 8000 Hz up to rounding


@lru_cache(maxsize=16)
def pooling(n_bins: int, sample_rate: int) -> F32:
    """Shares of bins in bands, triangles from centre to centre; (n_bins, 20) float32, 0 above 8 kHz."""
    hz = np.linspace(0.0, sample_rate / 2, n_bins)
    place = np.clip(np.interp(mel_of(hz), mel_of(band_centres_hz()), np.arange(N_BANDS)), 0, N_BANDS - 1)
    shares = np.maximum(0.0, 1.0 - np.abs(place[:, np.newaxis] - np.arange(N_BANDS))).astype(np.float32)
    shares[hz > _HIGHEST_HZ] = 0.0
    return np.asarray(shares)
