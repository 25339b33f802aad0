"""Gain rules against their float64 twins."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from rtdenoise.kernels import gain
from tests import reference
from tests.tolerances import INTEGRAL_RTOL, KERNEL_RTOL, SUBTRACTION_RTOL

N_BINS = 33
psd = arrays(np.float32, N_BINS, elements=st.floats(2.0**-20, 2.0**10, width=32))
alphas = st.sampled_from([0.0, 0.5, 0.98])


@given(power=psd, noise_psd=psd, clean_psd=psd, alpha=alphas)
def test_wiener_decision_directed_matches_the_paper(power, noise_psd, clean_psd, alpha):
    alpha, gain_min = np.float32(alpha), np.float32(0.1)
    inputs = (a.astype(np.float64) for a in (power, noise_psd, clean_psd))
    expected_gain, expected_clean = reference.wiener_decision_directed(*inputs, float(alpha), float(gain_min))
    actual_gain = np.empty_like(power)

    gain.wiener_decision_directed(power, noise_psd, clean_psd, actual_gain, alpha, gain_min)

    assert_allclose(actual_gain, expected_gain, rtol=KERNEL_RTOL)
    assert_allclose(clean_psd, expected_clean, rtol=KERNEL_RTOL)


@pytest.mark.parametrize("x", [1e-8, 1e-3, 0.5, 0.999999, 1.0, 2.0, 10.0, 19.0])
def test_exponential_integral(x):
    assert_allclose(
        gain.exponential_integral(np.float32(x)), scipy.special.exp1(float(np.float32(x))), rtol=INTEGRAL_RTOL
    )


@given(power=psd, noise_psd=psd, clean_psd=psd, alpha=alphas)
def test_log_mmse_matches_the_paper(power, noise_psd, clean_psd, alpha):
    alpha, gain_min = np.float32(alpha), np.float32(0.1)
    inputs = (a.astype(np.float64) for a in (power, noise_psd, clean_psd))
    expected_gain, expected_clean = reference.log_mmse_decision_directed(*inputs, float(alpha), float(gain_min))
    actual_gain = np.empty_like(power)

    gain.log_mmse_decision_directed(power, noise_psd, clean_psd, actual_gain, alpha, gain_min)

    assert_allclose(actual_gain, expected_gain, rtol=INTEGRAL_RTOL)
    assert_allclose(clean_psd, expected_clean, rtol=INTEGRAL_RTOL)


@pytest.mark.parametrize("n_bands", [1, 4])
def test_subtraction_matches_the_papers(n_bands):
    rng = np.random.default_rng(n_bands)
    power, noise, smoothed = (rng.exponential(1.0, N_BINS).astype(np.float32) for _ in range(3))
    edges = np.linspace(0, N_BINS, n_bands + 1).astype(np.int32)
    weight = rng.uniform(1.0, 2.5, n_bands).astype(np.float32)
    expected_gain, expected_smoothed = reference.subtract_power(
        power.astype(float), smoothed.astype(float), noise.astype(float), edges, weight.astype(float), 0.5, 0.02, 0.1
    )
    actual = np.empty_like(power)
    gain.subtract_power(
        power, smoothed, noise, actual, edges, weight, np.float32(0.5), np.float32(0.02), np.float32(0.1)
    )
    assert_allclose(actual, expected_gain, rtol=SUBTRACTION_RTOL)
    assert_allclose(smoothed, expected_smoothed, rtol=KERNEL_RTOL)
