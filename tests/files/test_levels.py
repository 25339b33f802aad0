"""The level meter against the same figures computed from the whole signal at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdenoise.sound.levels import LevelMeter

RATE = 8000
FRAME = 160


def measured(noisy: np.ndarray, clean: np.ndarray, cuts: list[int]) -> LevelMeter:
    meter = LevelMeter(RATE)
    edges = [0, *sorted(cuts), len(noisy)]
    shown = 0
    for start, end in pairwise(edges):
        late = (start + end) // 2  # the enhanced signal comes half a block after the noisy one
        meter.take(noisy[start:end], clean[shown:late])
        shown = late
    meter.take(noisy[:0], clean[shown:])
    return meter


@given(cuts=st.lists(st.integers(0, 8000), max_size=12), seed=st.integers(0, 9), channels=st.integers(1, 3))
def test_levels_do_not_depend_on_the_blocks(cuts, seed, channels):
    rng = np.random.default_rng(seed)
    noisy = (rng.standard_normal((8000, channels)) * np.repeat(10.0 ** rng.uniform(-3, -1, 50), FRAME)[:, None]).astype(
        "f4"
    )
    clean = noisy * np.float32(0.25)

    meter = measured(noisy, clean, cuts)

    assert meter.noisy.level_db() == pytest.approx(10 * np.log10(np.mean(noisy.astype("f8") ** 2)), abs=1e-3)
    assert meter.clean.peak_db() == pytest.approx(20 * np.log10(np.max(np.abs(clean))), abs=1e-3)
    assert meter.noise_reduction_db() == pytest.approx(20 * np.log10(4.0), abs=1e-3)


def test_noise_reduction_is_that_of_the_quietest_fifth():
    rng = np.random.default_rng(0)
    loud, quiet = rng.standard_normal(70 * FRAME) * 0.1, rng.standard_normal(30 * FRAME) * 0.001
    noisy = np.concatenate([loud, quiet]).astype("f4")[:, None]
    gain = np.concatenate([np.full(loud.size, 1.0), np.full(quiet.size, 0.1)]).astype("f4")[:, None]
    assert measured(noisy, noisy * gain, []).noise_reduction_db() == pytest.approx(20.0, abs=0.01)


def test_digital_silence_is_no_pause():
    noisy = np.zeros((100 * FRAME, 1), np.float32)
    noisy[90 * FRAME :] = 0.01 * np.random.default_rng(0).standard_normal((10 * FRAME, 1))
    assert measured(noisy, noisy * np.float32(0.5), []).noise_reduction_db() == pytest.approx(6.02, abs=0.01)
