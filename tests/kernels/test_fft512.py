"""The transform of 512 samples against numpy in float64."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from rtdenoise.kernels.fourier import fft512
from tests.tolerances import TRANSFORM_ATOL


def record():
    found = np.zeros(1, np.dtype((np.record, [*fft512.fields(), ("spectrum", "c8", (257,))])))[0]
    fft512.fill(found, 512)
    return found


def test_forward():
    for seed in range(5):
        x = np.random.default_rng(seed).normal(0, 1 / np.sqrt(512), 512).astype(np.float32)
        state = record()
        fft512.forward(x, state)
        assert_allclose(state["spectrum"], np.fft.rfft(x.astype(float)), atol=TRANSFORM_ATOL)


def test_inverse():
    for seed in range(5):
        rng, state, found = np.random.default_rng(seed), record(), np.empty(512, np.float32)
        state["spectrum"] = rng.normal(0, 1, 257) + 1j * rng.normal(0, 1, 257)
        expected = np.fft.irfft(state["spectrum"].astype(complex), 512)
        fft512.inverse(state, found)
        assert_allclose(found, expected, atol=TRANSFORM_ATOL)


def test_every_single_sample_and_bin():
    state, found = record(), np.empty(512, np.float32)
    for n in range(512):
        x = np.zeros(512, np.float32)
        x[n] = 1.0
        fft512.forward(x, state)
        assert_allclose(state["spectrum"], np.fft.rfft(x.astype(float)), atol=TRANSFORM_ATOL)
        fft512.inverse(state, found)
        assert_allclose(found, x, atol=TRANSFORM_ATOL)
