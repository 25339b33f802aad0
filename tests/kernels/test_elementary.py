"""Shared arithmetic against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rtdenoise.kernels import elementary as kernels
from tests import reference
from tests.tolerances import EXPONENTIAL_FAR_RTOL, EXPONENTIAL_RTOL, KERNEL_RTOL, LOGARITHM_ATOL, MEAN_ATOL


@given(st.floats(-8, 8, width=32))
def test_exponential(x):
    assert_allclose(kernels.exponential(np.float32(x)), np.exp(x), rtol=EXPONENTIAL_RTOL)


@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_exponential_far_out_is_limited_not_infinite(x):
    assert_allclose(kernels.exponential(np.float32(x)), np.exp(np.clip(x, -30, 30)), rtol=EXPONENTIAL_FAR_RTOL)


@given(st.floats(2.0**-100, 2.0**100, width=32))
def test_logarithm(x):
    assert_allclose(kernels.logarithm(np.float32(x)), np.log(x), rtol=KERNEL_RTOL, atol=LOGARITHM_ATOL)


def test_logarithm_around_one_and_at_powers_of_two():
    for x in np.concatenate([np.linspace(0.5, 2.0, 4001), 2.0 ** np.arange(-60, 60)]).astype(np.float32):
        assert_allclose(kernels.logarithm(x), np.log(float(x)), rtol=KERNEL_RTOL, atol=LOGARITHM_ATOL)


@pytest.mark.parametrize("n", [3, 17, 33, 34, 257, 3073])
@pytest.mark.parametrize("reach", [1, 6, 8, 16, 32])
def test_running_mean(n, reach):
    x = np.random.default_rng(n).normal(0, 1, n).astype(np.float32)
    found = np.empty_like(x)
    kernels.running_mean(x, reach, found)
    assert_allclose(found, reference.neighbour_mean(x.astype(float), reach), atol=MEAN_ATOL)


@pytest.mark.parametrize("n", [33, 65, 257, 769])
def test_mean_of_17(n):
    x = np.random.default_rng(n).normal(0, 1, n).astype(np.float32)
    found = np.empty_like(x)
    kernels.mean_of_17(x, found)
    assert_allclose(found, reference.neighbour_mean(x.astype(float), 8), atol=MEAN_ATOL)


def test_dense_and_leak():
    rng = np.random.default_rng(0)
    x, table, offset = (rng.normal(0, 1, shape).astype(np.float32) for shape in (12, (12, 7), 7))
    found = np.empty(7, np.float32)
    kernels.dense(x, table, offset, found)
    expected = offset.astype(float) + x.astype(float) @ table
    assert_allclose(found, expected, atol=MEAN_ATOL)
    kernels.leak(found)
    assert_allclose(found, reference.leaky(expected), atol=MEAN_ATOL)
    assert (found < 0).any()
