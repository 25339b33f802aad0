"""Linked gains against their float64 twin, and what must hold whatever the channels hear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels.linking import link_weight, pair_coherence
from rtdenoise.methods.spectral.linking import link, link_reach
from rtdenoise.methods.spectral.params import SpectralParams
from rtdenoise.methods.spectral.state import CONTEXT, initial_state
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import COHERENCE_ATOL, LINKED_ATOL

FRAMING = scaled_framing(16000, frame_seconds=0.032, span_seconds=0.016, overlap=2)
N = FRAMING.n_bins


def channels_of(rng: np.random.Generator, channels: int) -> np.ndarray:
    """Records of channels that have something in common, as they are after some frames."""
    states = np.repeat(initial_state(FRAMING, SpectralParams(), CONTEXT, channels), channels)
    common = complex_noise(rng)
    for state in states:
        state["spectrum"] = rng.uniform(0, 2) * common + complex_noise(rng)
        state["power"] = np.abs(state["spectrum"]) ** 2
        state["noise_psd"] = rng.uniform(0.1, 2.0, N)
        state["gain"] = rng.uniform(0.1, 1.0, N)
        state["link_auto"] = rng.uniform(1.0, 5.0, N)
        state["link_cross"] = [complex_noise(rng) for _ in range(len(state["link_cross"]))]
        state["n_frames"] = 1000
    return states


def complex_noise(rng: np.random.Generator) -> np.ndarray:
    return (rng.normal(size=N) + 1j * rng.normal(size=N)).astype(np.complex64)


def crosses_of(states: np.ndarray) -> list[list[np.ndarray]]:
    """Every pair's cross-spectrum, from whichever of the two keeps it."""
    n = len(states)
    kept = [[np.zeros(N, complex)] * n for _ in range(n)]
    for c in range(n):
        for step in range(1, n // 2 + 1):
            d = (c + step) % n
            if 2 * step < n or c < step:
                kept[c][d] = states[c]["link_cross"][step - 1].astype(complex)
                kept[d][c] = kept[c][d].conj()
    return kept


@pytest.mark.parametrize("channels", [2, 3, 4, 6])
def test_linked_gains_match_the_twin(channels):
    states = channels_of(np.random.default_rng(channels), channels)
    expected = reference.linked_gains(
        *(states[name].astype(complex if name == "spectrum" else float) for name in ("spectrum", "noise_psd", "gain")),
        states["link_auto"].astype(float),
        crosses_of(states),
        float(states["link_smoothing"][0]),
    )
    link(states)
    assert_allclose(states["link_shared"], expected, atol=LINKED_ATOL)
    assert np.abs(states["link_shared"] - states["gain"]).max() > 0.05, "nothing was linked"


@given(seed=st.integers(0, 1000), level=st.sampled_from([1e-9, 1.0, 1e12]))
def test_coherence_matches_the_twin_at_every_level(seed, level):
    rng = np.random.default_rng(seed)
    x, y, cross = (np.float32(level) * complex_noise(rng) for _ in range(3))
    auto, other = ((level**2 * rng.uniform(1, 9, N)).astype(np.float32) for _ in range(2))
    cross = (cross * np.float32(level)).astype(np.complex64)
    _, expected = reference.pair_coherence(
        *(a.astype(complex) for a in (x, y)), auto.astype(float), other.astype(float), cross.astype(complex), 0.9
    )
    coherence = np.empty(N, np.float32)
    pair_coherence(x, y, auto, other, cross, np.float32(0.9), coherence)
    assert_allclose(coherence, expected, atol=COHERENCE_ATOL)


def test_young_averages_link_nothing():
    weight = np.empty(N, np.float32)
    link_weight(np.ones(N, np.float32), np.float32(0.1), weight)
    assert_array_equal(weight, 0.0)
    link_weight(np.ones(N, np.float32), np.float32(1.0), weight)
    assert_array_equal(weight, 1.0)


def test_a_silent_channel_says_nothing_to_the_others():
    states = channels_of(np.random.default_rng(0), 2)
    states["n_silent"][1] = FRAMING.frame
    before = states["link_cross"].copy(), states["link_auto"][1].copy()
    link(states)
    assert_allclose(states["link_shared"], states["gain"], atol=LINKED_ATOL)
    assert_array_equal(states["link_cross"], before[0])
    assert_array_equal(states["link_auto"][1], before[1])


def test_every_pair_has_a_place():
    for channels in range(2, 65):
        assert link_reach(channels) >= channels // 2
        pairs = {
            frozenset((c, (c + step) % channels))
            for c in range(channels)
            for step in range(1, channels // 2 + 1)
            if 2 * step < channels or c < step
        }
        assert len(pairs) == channels * (channels - 1) // 2
