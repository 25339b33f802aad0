"""Products of small matrices, against numpy in double precision."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.cache import processors
from rtdenoise.kernels.jit import COMPILES, kernel
from rtdenoise.kernels.product import LANES, ROWS, add_product, padded_width, set_product, set_products


@kernel
def added(left: np.ndarray, step: int, right: np.ndarray, sums: np.ndarray) -> None:
    add_product(left, step, right, sums)


@kernel
def product(left: np.ndarray, step: int, right: np.ndarray, sums: np.ndarray) -> None:
    set_product(left, step, right, sums)


@kernel
def products(left: np.ndarray, step: int, apart: int, right: np.ndarray, sums: np.ndarray) -> None:
    set_products(left, step, apart, right, sums)


@pytest.mark.parametrize("n_rows", [ROWS, 3 * ROWS, 7 * ROWS, 8 * ROWS])
@pytest.mark.parametrize("n_in", [1, 20, 96])
@pytest.mark.parametrize("n_out", [LANES, 2 * LANES, 5 * LANES])
@pytest.mark.parametrize("step", [1, 20])
def test_sums_are_those_of_rows_that_may_overlap(n_rows, n_in, n_out, step):
    rng = np.random.default_rng(n_in)
    left = rng.standard_normal((n_rows - 1) * step + n_in).astype(np.float32)
    right = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
    sums = rng.standard_normal((n_rows, n_out)).astype(np.float32)
    rows = np.stack([left[step * k : step * k + n_in] for k in range(n_rows)])
    expected = sums.astype(np.float64) + rows.astype(np.float64) @ right.astype(np.float64)
    added(left, step, right, sums)
    assert_allclose(sums, expected, atol=3e-6)
    before = expected - rows.astype(np.float64) @ right.astype(np.float64)
    product(left, step, right, sums)
    assert_allclose(sums, expected - before, atol=3e-6)


@pytest.mark.parametrize("n_rows", [ROWS, 6 * ROWS])
@pytest.mark.parametrize(("n_blocks", "width"), [(1, LANES), (2, LANES), (2, 2 * LANES), (3, LANES)])
def test_several_products_are_summed_and_their_columns_are_in_blocks(n_rows, n_blocks, width):
    rng = np.random.default_rng(n_rows)
    pieces, n_in, step, apart = 3, 8, 4, 4 * n_rows + 7
    left = rng.standard_normal(pieces * apart + n_in).astype(np.float32)
    right = rng.standard_normal((pieces, n_in, n_blocks * width)).astype(np.float32)
    sums = np.full((n_blocks, n_rows, width), np.nan, np.float32)
    products(left, step, apart, right, sums)
    rows = [[left[p * apart + step * k :][:n_in] for k in range(n_rows)] for p in range(pieces)]
    expected = np.einsum("pri,pibw->brw", np.array(rows, float), right.reshape(pieces, n_in, n_blocks, width))
    assert_allclose(sums, expected, atol=1e-5)


@pytest.mark.skipif(not COMPILES, reason="nothing is compiled")
@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v2"])
def test_tiles_for_narrower_vectors_give_the_same(name, tmp_path):
    if name not in processors.runnable():
        pytest.skip(f"this processor does not run code for {name}")
    own = {"NUMBA_CACHE_DIR": str(tmp_path), "RTDENOISE_CACHE_DIR": str(tmp_path), **processors.environment(name)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "sum", __file__]
    run = subprocess.run(command, env=os.environ | own, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and " passed" in run.stdout, run.stdout


def test_widths_are_whole_vectors():
    assert [padded_width(n) for n in (1, LANES, LANES + 1)] == [LANES, LANES, 2 * LANES]
