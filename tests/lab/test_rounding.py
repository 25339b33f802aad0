"""Weights rounded to eight bits for the inputs that they meet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ConfigError
from rtdenoise.kernels import eight_bits
from rtdenoise.lab.export.rounding import rounded_for, rounded_matrix
from rtdenoise.methods.can.compiled.state import packed_weights
from rtdenoise.methods.can.weights import load_weights, rounded, weights_as_bytes
from tests.methods.can import reference
from tests.methods.can.networks import ALL, random_network


def correlated(rng, n, n_in):
    """Inputs of which a few directions hold most, around a mean, as those of layers are."""
    mixing = rng.standard_normal((6, n_in))
    return (rng.standard_normal((n, 6)) @ mixing + 0.1 * rng.standard_normal((n, n_in)) + 1.0).astype(np.float32)


def test_errors_of_a_column_cancel_for_its_inputs():
    rng = np.random.default_rng(1)
    inputs, matrix = correlated(rng, 2000, 150), rng.standard_normal((150, 40)).astype(np.float32)
    found = rounded_matrix(matrix, inputs.T.astype(np.float64) @ inputs / len(inputs))
    assert_array_equal(eight_bits.rounded(found), found)  # on the grid of the table
    other = correlated(np.random.default_rng(1), 500, 150)
    alone, together = (np.mean((other @ (each - matrix)) ** 2) for each in (eight_bits.rounded(matrix), found))
    assert together < 0.1 * alone
    assert np.abs(found - matrix).max() > np.abs(eight_bits.rounded(matrix) - matrix).max()  # what it costs


@pytest.mark.parametrize("name", ["complex", "fine"])
def test_a_network_is_nearer_to_what_it_was(name, tmp_path):
    rng = np.random.default_rng(2)
    network = random_network(name)
    spread = tuple(k * rng.uniform(0.9, 1.1, k.shape).astype(np.float32) for k in network.kernels)
    network = replace(network, kernels=spread)
    signals = np.split(correlated(rng, 900, network.spec.n_inputs), 3)
    found = rounded_for(network, signals[:2])
    wanted = reference.stack(network, signals[2].astype(np.float64))
    alone, together = (
        np.mean((reference.stack(each, signals[2].astype(np.float64)) - wanted) ** 2)
        for each in (rounded(network), found)
    )
    assert together < 0.7 * alone
    back = load_weights(weights_as_bytes(found), found.spec, tmp_path)
    for one, other in zip(back.arrays(), found.arrays(), strict=True):
        assert_array_equal(one, other)
    assert packed_weights(back).tobytes() == packed_weights(found).tobytes()


def test_other_networks_are_refused():
    for name in ("banded", "wave"):
        network = random_network(next(key for key in ALL if key.startswith(name)))
        with pytest.raises(ConfigError, match="only dense networks over spectra"):
            rounded_for(network, [np.zeros((4, 10), np.float32)])
