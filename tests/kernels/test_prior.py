"""The a priori SNR in its context against its float64 twins, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.errors import ModelError
from rtdenoise.kernels import prior as kernels
from rtdenoise.methods.spectral import prior
from rtdenoise.methods.spectral.params import SpectralParams
from rtdenoise.methods.spectral.state import CONTEXT, initial_state
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import FEATURE_ATOL, SUBTRACTION_RTOL, TRACKER_RTOL


def state_at(rate):
    framing = scaled_framing(rate, frame_seconds=0.032, span_seconds=0.016, overlap=2)
    return initial_state(framing, SpectralParams(), CONTEXT)[0]


def run_features(state, power, noise, n_frames):
    kernels.band_features(
        power,
        noise,
        state["share_above"],
        state["first_bin"],
        state["inverse_width"],
        state["band_averages"],
        state["band_peak"],
        state["band_smoothing"],
        state["band_features"],
        state["band_sums"],
        np.empty_like(power),
        np.empty_like(power),
        n_frames,
    )
    return state["band_features"].copy()


@pytest.mark.parametrize("rate", [16000, 48000])
def test_features_match_their_twin(rate):
    state, rng = state_at(rate), np.random.default_rng(0)
    averages, peak = np.zeros((3, 20)), np.zeros(20)
    for n in range(6):
        power = rng.exponential(3.0, state["power"].size).astype(np.float32)
        noise = rng.uniform(0.5, 2.0, power.size).astype(np.float32)
        expected, averages, peak = reference.band_features(
            power.astype(float),
            noise.astype(float),
            state["share_above"].astype(float),
            state["first_bin"],
            averages,
            peak,
            state["band_smoothing"].astype(float),
            n == 0,
        )
        assert_allclose(run_features(state, power, noise, n), expected, atol=FEATURE_ATOL)


def test_features_do_not_depend_on_the_level():
    rng = np.random.default_rng(1)
    power, noise = (rng.exponential(1.0, 257).astype(np.float32) for _ in range(2))
    one, other = state_at(16000), state_at(16000)
    quiet = np.float32(1e-6)
    assert_allclose(
        run_features(one, power, noise, 0), run_features(other, power * quiet, noise * quiet, 0), atol=FEATURE_ATOL
    )


def test_bands_above_half_the_rate_copy_the_one_below():
    state = state_at(8000)
    features = run_features(state, np.ones(129, np.float32), np.full(129, 0.5, np.float32), 0)
    absent = prior.band_centres_hz() > 4001
    assert absent.sum() > 2
    assert np.all(np.isfinite(features))
    assert_allclose(features[0, absent], features[0, ~absent][-1], atol=FEATURE_ATOL)


def bins_of(state):
    """For each bin, the band below it and the share of the band above."""
    low = np.searchsorted(state["first_bin"][:20], np.arange(state["power"].size), side="right") - 1
    return low, state["share_above"].astype(float)


def test_regression_matches_its_twin():
    state, rng = state_at(16000), np.random.default_rng(2)
    names = ("band_table", "band_offset", "band_value_table", "band_value_offset")
    for _ in range(5):
        features = rng.normal(0, 1, (7, 20)).astype(np.float32)
        kernels.band_regression(features, *(state[n] for n in names), state["band_hidden"], state["band_value"])
        expected = reference.band_regression(features.astype(float), *(state[n].astype(float) for n in names))
        assert_allclose(state["band_value"], expected, atol=FEATURE_ATOL)
        assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_values_are_spread_linearly_between_band_centres(rate):
    state, value = state_at(rate), np.random.default_rng(3).normal(0, 2, 20).astype(np.float32)
    low, share = bins_of(state)
    found = np.empty(state["power"].size, np.float32)
    kernels.spread(value, state["share_above"], state["first_bin"], found)
    assert_allclose(found, reference.spread(value.astype(float), low, share), atol=FEATURE_ATOL)
    hz = np.arange(found.size) * rate / (2 * (found.size - 1))
    place = np.interp(hz, prior.band_centres_hz(), np.arange(20))
    assert np.abs(place - (low + share)).max() < 0.1  # mel and linear interpolation agree within a band


@pytest.mark.parametrize("clearness", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("starting", [False, True])
def test_gain_matches_its_twin(starting, clearness):
    rng = np.random.default_rng(3)
    power, noise, clean = (rng.exponential(1.0, 257).astype(np.float32) for _ in range(3))
    gain = rng.normal(0, 2, 257).astype(np.float32)
    inputs = (a.astype(float) for a in (power, noise, clean, gain))
    expected_gain, expected_clean = reference.wiener_by_context(*inputs, 0.9, 0.1, starting, clearness)
    kernels.wiener_by_context(
        power, noise, clean, gain, np.float32(0.9), np.float32(0.1), starting, np.float32(clearness)
    )
    assert_allclose(gain, expected_gain, rtol=TRACKER_RTOL)
    assert_allclose(clean, expected_clean, rtol=TRACKER_RTOL)


def test_missing_or_foreign_constants_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prior, "data_folder", lambda name: tmp_path)
    (tmp_path / "wf-prior").mkdir()
    with pytest.raises(ModelError, match=r"cannot read the fitted constants .*none.npz"):
        prior.load_constants("none", {"table": (1,)})
    (tmp_path / "wf-prior" / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ModelError, match=r"cannot read the fitted constants .*torn.npz"):
        prior.load_constants("torn", {"table": (1,)})
    np.savez(tmp_path / "wf-prior" / "small.npz", table=np.zeros((3, 4)))
    with pytest.raises(ModelError, match=r"small.npz holds 'table' of shape \(3, 4\), not \(140, 40\)"):
        prior.load_constants("small", {"table": (140, 40)})
    with pytest.raises(ModelError, match=r"small.npz holds 'offset' of shape None"):
        prior.load_constants("small", {"offset": (40,)})


def test_subtraction_by_context_matches_its_twin():
    rng = np.random.default_rng(4)
    power, noise, smoothed = (rng.exponential(1.0, 257).astype(np.float32) for _ in range(3))
    gain = rng.normal(0, 10, 257).astype(np.float32)
    expected_gain, expected_smoothed = reference.subtract_by_context(
        *(a.astype(float) for a in (power, smoothed, noise, gain)), 0.5, 0.02, 0.1
    )
    kernels.subtract_by_context(power, smoothed, noise, gain, np.float32(0.5), np.float32(0.02), np.float32(0.1))
    assert_allclose(gain, expected_gain, rtol=SUBTRACTION_RTOL)
    assert_allclose(smoothed, expected_smoothed, rtol=TRACKER_RTOL)
