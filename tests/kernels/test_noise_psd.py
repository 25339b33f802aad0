"""Noise trackers against their float64 twins, and what they promise in time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels import minimum_statistics as minimum_kernels
from rtdenoise.kernels import noise_psd as kernels
from rtdenoise.methods.spectral.params import NoiseParams, SpectralParams
from rtdenoise.methods.spectral.state import initial_state
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import KERNEL_RTOL, SLIDING_RTOL, TRACKER_RTOL

N_BINS = 33
psd = arrays(np.float32, N_BINS, elements=st.floats(2.0**-30, 2.0**10, width=32))
near_psd = arrays(np.float32, N_BINS, elements=st.floats(2.0**-20, 2.0**10, width=32))  # as `SLIDING_RTOL` has it


@given(power=psd, noise=psd, ratio=psd, leak_max=st.sampled_from([5.0, 80.0, 1e20]))
def test_presence_tracker_matches_its_twin(power, noise, ratio, leak_max):
    ratio = np.minimum(ratio, np.float32(60))
    expected_noise, expected_ratio = reference.track_presence(
        power.astype(float), noise.astype(float), ratio.astype(float), 0.8, 0.5, leak_max
    )
    kernels.track_presence(
        power, noise, ratio, np.empty_like(power), np.float32(0.8), np.float32(0.5), np.float32(leak_max)
    )
    assert_allclose(noise, expected_noise, rtol=TRACKER_RTOL)
    assert_allclose(ratio, expected_ratio, rtol=KERNEL_RTOL)


@given(recent=psd)
def test_start_matches_its_twin(recent):
    recent = np.maximum(recent, np.float32(1e-6))  # the sliding sum loses what is 90 dB below its neighbours
    noise = np.empty_like(recent)
    kernels.start_noise(recent, noise, np.empty_like(recent))
    assert_allclose(noise, reference.start_noise(recent.astype(float)), rtol=SLIDING_RTOL)


def test_start_does_not_take_peaks_for_noise():
    recent = np.ones(257, np.float32)
    recent[10::6] = 1000.0
    noise = np.empty_like(recent)
    kernels.start_noise(recent, noise, np.empty_like(recent))
    assert noise[10::6].max() <= 350.0
    assert noise[11::6].max() <= 1.0


def test_limit_lets_the_estimate_fall_at_once():
    noise, recent = np.array([1.0, 1.0, 1.0], np.float32), np.array([0.01, 0.5, 7.0], np.float32)
    kernels.limit_noise(recent, noise, np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert_allclose(noise, [0.04, 1.0, 1.0], rtol=KERNEL_RTOL)


def windows(recent, n_windows, sparing, n_groups=4):
    """The estimate after each of several windows of ten frames with the same power."""
    noise, lowest, floor, scratch = (np.ones_like(recent) for _ in range(4))
    stored = np.zeros((n_groups, recent.size), np.float32)
    lowest[:] = 0.0
    found = []
    for n in range(10 * n_windows + 1):
        if n % 10 == 0:
            kernels.raise_floor(recent, lowest, stored, floor, scratch, n // 10, sparing)
        kernels.limit_noise(recent, noise, lowest, floor)
        if n and n % 10 == 0:
            found.append(noise.copy())
    return found


@pytest.mark.parametrize("sparing", [False, True])
def test_limit_lets_noise_rise_after_a_window(sparing):
    levels = windows(np.full(257, 50.0, np.float32), 1, sparing)
    assert_allclose(levels[0], 50.0, rtol=SLIDING_RTOL)


def test_limit_lets_a_hum_rise_after_a_window_where_no_voice_is_spared():
    recent = np.full(257, 10.0, np.float32)
    recent[8::8] = 1000.0
    assert_allclose(windows(recent, 1, sparing=False)[0], recent, rtol=KERNEL_RTOL)


def test_limit_takes_harmonics_for_a_voice_until_nobody_has_breath():
    recent = np.full(257, 10.0, np.float32)
    recent[8::8] = 1000.0
    levels = windows(recent, 13, sparing=True)
    for noise in levels[:9]:
        assert noise[8:200:8].max() < 20.0  # between the harmonics and little above
    assert levels[0][12:200:8].min() > 5.0  # what is between them rises at once
    assert_allclose(levels[12][8::8], 1000.0, rtol=KERNEL_RTOL)


@given(
    lowest=near_psd,
    stored=arrays(np.float32, (4, N_BINS), elements=st.floats(0.0, 2.0**10, width=32)),
    sparing=st.booleans(),
)
def test_floor_matches_its_twin(lowest, stored, sparing):
    groups = stored.astype(float)
    groups[2] = np.minimum(groups[2], lowest)
    expected = reference.raised_floor(lowest.astype(float), groups.min(axis=0)) if sparing else lowest.astype(float)
    floor, now = np.empty_like(lowest), np.ones_like(lowest)
    scratch = np.empty_like(lowest)
    kernels.raise_floor(now, lowest, stored, floor, scratch, 7, sparing)  # the second window of the third group
    assert_allclose(floor, expected, rtol=SLIDING_RTOL, atol=1e-12)
    assert_array_equal(lowest, now)


def test_beginning_is_the_mean_and_then_stays():
    rng = np.random.default_rng(0)
    frames = rng.exponential(1.0, (20, N_BINS)).astype(np.float32)
    noise = np.zeros(N_BINS, np.float32)
    for n, power in enumerate(frames):
        kernels.track_beginning(power, noise, n, 8)
    assert_allclose(noise, frames[:8].mean(axis=0, dtype=float), rtol=KERNEL_RTOL)


def minimum_statistics(hop_seconds=0.016):
    framing = scaled_framing(16000, frame_seconds=0.032, span_seconds=2 * hop_seconds, overlap=2)
    state = initial_state(framing, SpectralParams(noise=NoiseParams(tracker="minimum")), 2)[0]
    twin = reference.MinimumStatistics(
        framing.n_bins,
        state["minimum_stored"].shape[0],
        int(state["minimum_counters"][2]),
        state["minimum_times"].astype(float),
        state["minimum_windows"].astype(float),
    )

    def step(power):
        minimum_kernels.smooth_for_minimum(
            power,
            state["noise_psd"],
            state["minimum_smoothed"],
            state["minimum_correction"],
            state["minimum_times"],
            state["scratch"],
        )
        mean = minimum_kernels.minimum_bias(
            state["noise_psd"],
            state["minimum_smoothed"],
            state["minimum_mean"],
            state["minimum_square"],
            state["scratch"],
            state["minimum_times"],
            state["inverse_dof"],
        )
        minimum_kernels.track_minimum(
            state["noise_psd"],
            state["minimum_smoothed"],
            state["inverse_dof"],
            mean,
            state["minimum"],
            state["minimum_sub"],
            state["minimum_stored"],
            state["minimum_local"],
            state["minimum_counters"],
            state["minimum_windows"],
        )
        return state["noise_psd"]

    return framing, twin, step


def test_minimum_statistics_match_the_paper():
    framing, twin, step = minimum_statistics()
    rng = np.random.default_rng(4)
    wrong = 0
    for n in range(400):
        level = 1.0 if n < 150 else 30.0  # the noise rises: both branches of the search run
        power = (level * rng.exponential(1.0, framing.n_bins)).astype(np.float32)
        actual, expected = step(power), twin.step(power.astype(float))
        # a comparison that falls the other way by rounding changes that bin until its minimum is found again
        wrong += np.count_nonzero(np.abs(actual - expected) > TRACKER_RTOL * 50 * expected)
    assert wrong < 0.002 * 400 * framing.n_bins


def test_minimum_statistics_are_unbiased_in_noise():
    framing, _, step = minimum_statistics()
    rng = np.random.default_rng(5)
    levels = [step(rng.exponential(2.0, framing.n_bins).astype(np.float32)).mean() for _ in range(600)]
    assert 0.8 < np.mean(levels[200:]) / 2.0 < 1.25


def test_a_silent_frame_keeps_every_tracker_finite():
    power = np.zeros(N_BINS, np.float32)
    noise, ratio = np.full(N_BINS, 1e-3, np.float32), np.zeros(N_BINS, np.float32)
    for n in range(2000):
        kernels.track_presence(
            power, noise, ratio, np.empty_like(power), np.float32(0.8), np.float32(0.9), np.float32(1e20)
        )
        kernels.track_beginning(power, noise, n, 3000)
    assert np.all(noise > 0)
    assert np.all(np.isfinite(noise))
    assert_array_equal(power, 0)
