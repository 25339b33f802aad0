"""Bands that end below 8 kHz: where they end, and what networks make of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import signal as filters

from rtdenoise.methods.can.compiled.band_end import (
    FOLD,
    FOLD_LOW,
    SLOPE,
    SLOPE_LOW,
    band_fields,
    fill_above,
    fill_band,
    follow_band,
)
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.grid import framing_at
from rtdenoise.methods.can.models import open_model
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.streaming import SpectralCan, build_can
from rtdenoise.streaming.windows import window_pair
from tests.methods.can import reference
from tests.methods.can.networks import random_network, stream
from tests.methods.can.tolerances import EIGHT_BITS_ATOL, compiled_atol

RATE = 16000
SPEC = SPECS["can-live"]


def ending(samples: np.ndarray, edge_hz: float, rate: int = RATE) -> np.ndarray:
    """Without what lies above an edge."""
    taps = filters.firwin(1023, edge_hz, fs=rate, window=("kaiser", 12.0))
    return filters.fftconvolve(samples, taps, "same").astype(np.float32)


def syllables(n: int, rate: int = RATE) -> np.ndarray:
    """Bursts of harmonics with hisses between them, in faint noise."""
    rng, t = np.random.default_rng(5), np.arange(n) / rate
    voice = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, int(0.45 * rate / 150)))
    hiss = filters.lfilter([1, -0.9], [1], rng.normal(size=n))
    turn = np.sin(2 * np.pi * 3 * t)
    return (0.1 * voice * (turn > 0.2) + 0.03 * hiss * (turn < -0.7) + rng.normal(0, 3e-3, n)).astype(np.float32)


def spectra_of(samples: np.ndarray) -> np.ndarray:
    window, _ = window_pair(SPEC.frame, SPEC.span, SPEC.hop)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (SPEC.frame - SPEC.hop, 0)), SPEC.frame)
    return np.fft.rfft(frames[:: SPEC.hop] * window).astype(np.complex64)


def ends_of(spectra: np.ndarray) -> np.ndarray:
    state = np.zeros(1, np.dtype(band_fields(SPEC.n_bins), align=True))
    fill_band(state[0], SPEC, framing_at(SPEC, RATE, SPEC.span))
    ends = []
    for spectrum in spectra:
        follow_band(spectrum, spectrum.size, state[0])
        ends.append(int(state[0]["band_end"]))
    return np.array(ends)


@pytest.mark.parametrize("edge_hz", [3400.0, 4000.0, 6000.0, 7600.0])
def test_the_end_is_found_at_once_and_as_the_twin_finds_it(edge_hz):
    spectra = spectra_of(ending(syllables(2 * RATE), edge_hz))
    ends = ends_of(spectra)
    assert_array_equal(ends, reference.band_ends(spectra.astype(np.complex128), SPEC.hop / RATE))
    late = ends[round(0.4 * RATE / SPEC.hop) :] * RATE / SPEC.frame
    assert late.max() <= edge_hz and late.min() > edge_hz - 400.0


def test_neither_an_abrupt_start_nor_a_click_hides_the_end():
    samples = ending(syllables(2 * RATE), 4000.0)[RATE // 7 :]
    samples[RATE] += 0.3
    ends, second = ends_of(spectra_of(samples)), RATE // SPEC.hop
    frame = SPEC.frame // SPEC.hop
    assert set(ends[second - 2 : second + frame]) > {256}
    for first in (frame + 1, second + frame + 1):
        assert ends[first : first + 10].max() < 130


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3])
def test_full_bands_do_not_end(level):
    rng = np.random.default_rng(0)
    falling = filters.lfilter([1], [1, -0.97], rng.normal(0, 0.05, 2 * RATE))
    hum = 0.3 * np.sin(2 * np.pi * 100 * np.arange(2 * RATE) / RATE) + rng.normal(0, 1e-3, 2 * RATE)
    tone = 0.3 * np.sin(2 * np.pi * 5000 * np.arange(2 * RATE) / RATE) + rng.normal(0, 1e-3, 2 * RATE)
    for samples in (syllables(2 * RATE), falling, hum, tone, np.zeros(RATE)):
        assert set(ends_of(spectra_of(level * samples))) == {256}


def test_a_hiss_above_a_band_that_seemed_to_end_is_heard_in_its_own_frame():
    noise = ending(np.random.default_rng(1).normal(0, 0.02, RATE), 4000.0)
    noise[RATE // 2 :] += np.random.default_rng(2).normal(0, 0.02, RATE // 2).astype(np.float32)
    spectra = spectra_of(noise)
    ends, begins = ends_of(spectra), RATE // 2 // SPEC.hop
    assert ends[begins - 1] < 130 and ends[begins + 3] == 256


@pytest.mark.parametrize("low", [False, True])
def test_the_image_is_what_the_twin_makes(low):
    rng = np.random.default_rng(4)
    spectra = (rng.normal(size=(4, 257)) + 1j * rng.normal(size=(4, 257))).astype(np.complex64)
    ends = np.array([80, 128, 243, 256])
    found = spectra.copy()
    for spectrum, end in zip(found, ends, strict=True):
        fill_above(spectrum, end, *((FOLD_LOW, SLOPE_LOW) if low else (FOLD, SLOPE)))
    assert_allclose(found, reference.filled(spectra.astype(np.complex128), ends, low), rtol=1e-4)
    assert_array_equal(found[3], spectra[3])


@pytest.mark.parametrize(("rate", "image"), [(8000, (FOLD_LOW, SLOPE_LOW)), (12000, (FOLD_LOW, SLOPE_LOW)),
                                             (16000, (FOLD, SLOPE)), (48000, (FOLD, SLOPE))])  # fmt: skip
def test_the_image_is_wide_where_the_rate_ends_the_band(rate, image):
    state = np.zeros(1, np.dtype(band_fields(SPEC.n_bins), align=True))
    fill_band(state[0], SPEC, framing_at(SPEC, rate, SPEC.span))
    assert (state[0]["band_fold"], state[0]["band_slope"]) == image


@pytest.mark.parametrize("name", ["complex", "wide overlap", "fine", "8 ms"])
def test_a_network_reads_the_image_and_masks_what_is_there(name):
    network = random_network(name)
    denoiser = CompiledCan(network)
    samples = ending(syllables(RATE // denoiser.hop * denoiser.hop), 4000.0)
    expected = reference.whole_signal(network, samples)
    assert_allclose(stream(denoiser, samples), expected, atol=EIGHT_BITS_ATOL)


@pytest.mark.parametrize("name", ["can-live", "can-ultra", "can-small"])
def test_every_engine_reads_the_image(name):
    pytest.importorskip("ai_edge_litert", reason="networks run in LiteRT")
    samples = ending(syllables(RATE), 4000.0)
    found = []
    for engine in ("numba", "litert"):
        denoiser = build_can(name, engine=engine)
        assert isinstance(denoiser, CompiledCan if engine == "numba" else SpectralCan)
        n = samples.size // denoiser.hop * denoiser.hop
        found.append(stream(denoiser, samples[:n]))
        denoiser.reset()
        assert_array_equal(stream(denoiser, samples[:n]), found[-1])
    assert_allclose(found[1], found[0], rtol=0, atol=compiled_atol(open_model(name).spec))


@pytest.mark.parametrize("name", ["can-live", "can-ultra", "can-small", "can-wave"])
def test_what_is_below_the_end_comes_out_as_if_the_band_did_not_end(name):
    """Networks took the empty band for a pause; without the image these are 18 to 23 dB."""
    noisy = syllables(3 * RATE) + np.random.default_rng(9).normal(0, 0.03, 3 * RATE).astype(np.float32)
    denoiser = build_can(name)
    n, late = noisy.size // denoiser.hop * denoiser.hop, denoiser.latency_samples
    expected = ending(stream(denoiser, noisy[:n]), 7600.0)[late + RATE :]
    denoiser.reset()
    found = stream(denoiser, ending(noisy, 7600.0)[:n])[late + RATE :]
    assert 10 * np.log10(np.sum(expected**2) / np.sum((found - expected) ** 2)) > 26.0
