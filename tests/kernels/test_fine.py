"""The per-bin regression against its float64 twin, frame by frame, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.kernels import fine as kernels
from rtdenoise.methods.spectral import fine
from rtdenoise.methods.spectral.params import SpectralParams, WienerParams
from rtdenoise.methods.spectral.state import FINE, initial_state
from rtdenoise.streaming.overlap_add import scaled_framing
from tests import reference
from tests.tolerances import FINE_ATOL


def states_at(rate):
    framing = scaled_framing(rate, frame_seconds=0.032, span_seconds=0.032, overlap=4)
    return initial_state(framing, SpectralParams(wiener=WienerParams(rule="fine")), FINE), framing


def frames(n_bins, count):
    """Power of a voice with harmonics that comes and goes in tilted noise, its noise PSD, and a context."""
    rng = np.random.default_rng(0)
    k = np.arange(n_bins)
    noise = (3.0 * np.exp(-k / 80) + 0.1).astype(np.float32)
    for n in range(count):
        voice = 40 * np.exp(-k / 60) * np.cos(2 * np.pi * k * 90 / 512) ** 8 * (n % 10 < 6)
        power = ((noise + voice) * rng.exponential(1.0, n_bins) + 1e-3).astype(np.float32)
        yield power, noise, rng.normal(0, 1, n_bins).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_gain_matches_its_twin(rate):
    states, framing = states_at(rate)
    state = states[0]
    constants = {name: state[f"fine_{name}"].astype(float) for name in fine.fine_shapes()}
    twin = reference.FineRegression(framing.n_bins, framing.hop_seconds, constants)
    state["n_trust"] = 0
    for n, (power, noise, context) in enumerate(frames(framing.n_bins, 25)):
        state["power"], state["noise_psd"], state["band_spread"], state["n_frames"] = power, noise, context, n
        kernels.wiener_fine(state)
        log_xi = twin.log_xi(*(a.astype(float) for a in (power, noise, context)), float(state["alpha"]))
        xi = np.exp(np.clip(log_xi, -30, 30))
        gain_min = float(state["gain_min"])
        assert_allclose(state["gain"], gain_min + (1 - gain_min) * xi / (1 + xi), atol=FINE_ATOL)
    assert state["gain"].max() > state["gain"].min() + 0.2


def test_while_starting_the_gain_is_at_least_the_decision_directed_one():
    states, framing = states_at(16000)
    state = states[0]
    power = np.full(framing.n_bins, 100.0, np.float32)
    state["power"], state["noise_psd"], state["band_spread"], state["clean_psd"] = power, 1.0, -20.0, 100.0
    kernels.wiener_fine(state)
    assert state["gain"].min() > 0.95
    state["n_frames"] = state["n_trust"]
    state["clean_psd"] = 100.0
    kernels.wiener_fine(state)
    assert state["gain"].max() < 0.9


def test_gain_does_not_depend_on_the_level():
    (loud, framing), (quiet, _) = states_at(16000), states_at(16000)
    scale = np.float32(2.0**-20)
    for n, (power, noise, context) in enumerate(frames(framing.n_bins, 12)):
        for states, factor in ((loud, np.float32(1)), (quiet, scale)):
            state = states[0]
            state["power"], state["noise_psd"] = power * factor, noise * factor
            state["band_spread"], state["n_frames"] = context, n
            kernels.wiener_fine(state)
        assert_allclose(loud[0]["gain"], quiet[0]["gain"], atol=FINE_ATOL)


def test_rows_of_a_dense_layer():
    rng = np.random.default_rng(1)
    weights, offset, inputs = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((5, 16), 5, (16, 33)))
    found = np.empty((5, 33), np.float32)
    kernels.dense_rows(weights, offset, inputs, found)
    assert_allclose(found, weights.astype(float) @ inputs + offset[:, None], atol=FINE_ATOL)
