"""The log-linear a priori SNR against its float64 twins, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.errors import ModelError
from rtdenoise.kernels import prior as kernels
from rtdenoise.spectral import prior
from rtdenoise.spectral.params import SpectralParams
from rtdenoise.spectral.state import LOG_LINEAR, initial_state
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import FEATURE_ATOL, SUBTRACTION_RTOL, TRACKER_RTOL


def state_at(rate):
    framing = scaled_framing(rate, frame_seconds=0.032, span_seconds=0.016, overlap=2)
    return initial_state(framing, SpectralParams(), LOG_LINEAR)[0]


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


def test_correction_matches_its_twin():
    state, rng = state_at(16000), np.random.default_rng(2)
    for _ in range(5):
        features = rng.normal(0, 1, (7, 20)).astype(np.float32)
        kernels.band_correction(
            features,
            state["band_table"],
            state["band_offset"],
            state["band_share"],
            state["band_mixed"],
            state["band_value"],
        )
        expected = reference.band_correction(
            features.astype(float), state["band_table"].astype(float), state["band_offset"].astype(float), prior.N_MAPS
        )
        assert_allclose(state["band_value"], expected, atol=FEATURE_ATOL)


@pytest.mark.parametrize("starting", [False, True])
def test_gain_matches_its_twin(starting):
    state, rng = state_at(16000), np.random.default_rng(3)
    power, noise, clean = (rng.exponential(1.0, 257).astype(np.float32) for _ in range(3))
    value = rng.normal(0, 2, 20).astype(np.float32)
    place = np.clip(np.interp(np.arange(257) * 31.25, prior.band_centres_hz(), np.arange(20)), 0, 19)
    share = state["share_above"].astype(float)
    low = np.searchsorted(state["first_bin"][:20], np.arange(257), side="right") - 1
    correction = value[low] + share * (value[np.minimum(low + 1, 19)] - value[low])
    assert np.abs(place - (low + share)).max() < 0.1  # mel and linear interpolation agree within a band
    expected_gain, expected_clean = reference.wiener_log_linear(
        power.astype(float), noise.astype(float), clean.astype(float), correction, 0.9, 0.1, starting
    )
    gain = np.empty_like(power)
    kernels.wiener_log_linear(
        power,
        noise,
        clean,
        gain,
        value,
        state["share_above"],
        state["first_bin"],
        np.float32(0.9),
        np.float32(0.1),
        starting,
    )
    assert_allclose(gain, expected_gain, rtol=TRACKER_RTOL)
    assert_allclose(clean, expected_clean, rtol=TRACKER_RTOL)


def test_a_missing_or_foreign_table_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prior, "data_folder", lambda name: tmp_path)
    (tmp_path / "wf-prior").mkdir()
    with pytest.raises(ModelError, match=r"cannot read the fitted prior .*none.npz"):
        prior.load_table("none")
    np.savez(tmp_path / "wf-prior" / "small.npz", table=np.zeros((3, 4)), offset=np.zeros(4))
    with pytest.raises(ModelError, match=r"small.npz holds shapes \(3, 4\) and \(4,\)"):
        prior.load_table("small")


def test_subtraction_by_context_matches_its_twin():
    state, rng = state_at(16000), np.random.default_rng(4)
    power, noise, smoothed = (rng.exponential(1.0, 257).astype(np.float32) for _ in range(3))
    value, ratio = rng.normal(0, 2, 20).astype(np.float32), rng.exponential(5.0, 20)
    features = np.zeros((7, 20), np.float32)
    features[0] = np.log(ratio + 0.05)
    low = np.searchsorted(state["first_bin"][:20], np.arange(257), side="right") - 1
    expected_gain, expected_smoothed = reference.subtract_by_context(
        power.astype(float),
        smoothed.astype(float),
        noise.astype(float),
        value.astype(float),
        ratio,
        low,
        state["share_above"].astype(float),
        0.5,
        0.02,
        0.1,
    )
    gain = np.empty_like(power)
    kernels.subtract_by_context(
        power,
        smoothed,
        noise,
        gain,
        features,
        value,
        state["share_above"],
        state["first_bin"],
        np.float32(0.5),
        np.float32(0.02),
        np.float32(0.1),
    )
    assert_allclose(gain, expected_gain, rtol=SUBTRACTION_RTOL)
    assert_allclose(smoothed, expected_smoothed, rtol=TRACKER_RTOL)
