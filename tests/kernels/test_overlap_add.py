"""Analysis and synthesis against their float64 twins, and what happens to samples that are not sound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels import overlap_add as kernels
from rtdenoise.streaming.overlap_add import fill_windows, overlap_add_fields, scaled_framing
from tests import reference
from tests.tolerances import KERNEL_RTOL, SPECTRUM_ATOL

FRAMING = scaled_framing(16000, frame_seconds=0.032, span_seconds=0.008, overlap=2)


@pytest.fixture
def record():
    state = np.zeros(1, np.dtype((np.record, np.dtype(overlap_add_fields(FRAMING), align=True))))
    fill_windows(state[0], FRAMING)
    return state[0]


def test_analysis_matches_its_twin(record):
    rng = np.random.default_rng(0)
    history = np.zeros(FRAMING.frame)
    for _ in range(12):
        block = rng.normal(0, 0.3, FRAMING.hop).astype(np.float32)
        kernels.analyse(block, record)
        history, spectrum = reference.analysed(history, block.astype(float), record["analysis"].astype(float))
        assert_allclose(record["spectrum"], spectrum, atol=SPECTRUM_ATOL)


def test_synthesis_matches_its_twin(record):
    rng = np.random.default_rng(1)
    overlap = np.zeros(FRAMING.span)
    out = np.empty(FRAMING.hop, np.float32)
    for _ in range(5):
        spectrum = np.fft.rfft(rng.normal(0, 0.3, FRAMING.frame))
        record["spectrum"] = spectrum
        expected, overlap = reference.synthesised(
            spectrum, overlap, record["synthesis"].astype(float), FRAMING.frame, FRAMING.hop
        )
        kernels.synthesise(out, record)
        assert_allclose(out, expected, atol=SPECTRUM_ATOL)


@pytest.mark.parametrize("sample", [np.nan, np.inf, -np.inf, 1e13, -1e30, 1e-11, -1e-42])
def test_what_is_not_sound_counts_as_zero(sample):
    assert kernels.usable(np.float32(sample)) == 0


@pytest.mark.parametrize("sample", [0.0, 1.0, -1.0, 1e-9, -3e4])
def test_sound_stays_what_it_is(sample):
    assert kernels.usable(np.float32(sample)) == np.float32(sample)


def test_power_and_gain():
    spectrum = np.array([1 + 2j, -3j, 0], np.complex64)
    power = np.empty(3, np.float32)
    kernels.spectrum_power(spectrum, power)
    assert_array_equal(power, np.array([5, 9, 0], np.float32))
    kernels.apply_gain(np.array([2, 0.5, 1], np.float32), spectrum)
    assert_allclose(spectrum, [2 + 4j, -1.5j, 0], rtol=KERNEL_RTOL)
