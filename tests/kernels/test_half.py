"""Products with 16-bit matrices, against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels.half import PANEL, dense_half, padded, panels


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (3, 64), (192, 64), (771, 65), (64, 257)])
def test_products_are_those_of_the_rounded_matrix(n_in, n_out):
    rng = np.random.default_rng(n_in)
    inputs = rng.standard_normal(n_in).astype(np.float32)
    matrix = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
    offset = np.zeros(padded(n_out), np.float32)
    offset[:n_out] = rng.standard_normal(n_out)
    outputs = np.full(padded(n_out), np.nan, np.float32)
    dense_half(inputs, panels(matrix), offset, outputs)
    expected = offset[:n_out] + inputs.astype(np.float64) @ matrix.astype(np.float16).astype(np.float64)
    assert_allclose(outputs[:n_out], expected, atol=3e-6)
    assert_array_equal(outputs[n_out:], 0.0)


def test_every_16_bit_number_is_read_as_it_is():
    """Denormal ones and both zeros too: the unit vector picks one row."""
    numbers = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)  # all that are finite
    matrix = numbers.reshape(-1, PANEL // 4, order="F")
    for row in (0, 1, matrix.shape[0] - 1):
        outputs = np.empty(PANEL, np.float32)
        dense_half(np.eye(matrix.shape[0], dtype=np.float32)[row], panels(matrix), np.zeros(PANEL, np.float32), outputs)
        assert_array_equal(outputs[: PANEL // 4], matrix[row])


def test_panels_hold_columns_in_their_order():
    matrix = np.arange(3 * 100, dtype=np.float32).reshape(3, 100)
    found = panels(matrix).view(np.float16)
    assert found.shape == (2, 3, PANEL)
    assert_array_equal(np.concatenate(list(found), axis=1)[:, :100], matrix)
