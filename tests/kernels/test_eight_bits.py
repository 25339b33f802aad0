"""Products with 8-bit matrices, against numpy in whole numbers and in double precision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels import eight_bits
from rtdenoise.kernels.eight_bits import NUMBER_MAX, PANEL, TOGETHER, padded, paired, panels, rounded, to_numbers

SHAPES = [(1, 1), (3, 64), (192, 128), (771, 65), (64, 257), (1285, 256), (4096, 64)]


def numbers_of(inputs):
    """Whole numbers and steps of rows, with room behind each that nothing may read as a number."""
    n, n_in = inputs.shape
    numbers, steps = np.full((n, n_in + 7), 1234, np.int16), np.empty(n, np.float32)
    for row in range(n):
        steps[row] = to_numbers(inputs[row], n_in, numbers[row])
    return numbers, steps


def products(inputs, matrix, offset, n=None):
    numbers, steps = numbers_of(inputs)
    table, scale = panels(matrix)
    outputs = np.full((len(inputs), padded(matrix.shape[1])), np.nan, np.float32)
    wide = np.pad(offset, (0, outputs.shape[1] - offset.size))
    eight_bits.products(numbers, steps, table, scale, wide, outputs, len(inputs) if n is None else n)
    return outputs


@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_products_are_those_of_the_rounded_matrix(n_in, n_out):
    rng = np.random.default_rng(n_in)
    inputs = rng.standard_normal((1, n_in)).astype(np.float32)
    matrix = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
    offset = rng.standard_normal(n_out).astype(np.float32)
    found = products(inputs, matrix, offset)[0]
    expected = offset + inputs[0].astype(np.float64) @ rounded(matrix).astype(np.float64)
    assert_allclose(found[:n_out], expected, atol=1e-3)  # numbers of 13 bits and more
    assert_array_equal(found[n_out:], 0.0)


@pytest.mark.parametrize(("n_in", "n_out"), SHAPES)
def test_sums_of_whole_numbers_are_exact(n_in, n_out):
    """The largest weights and numbers of one sign: no sum of any length leaves 32 bits."""
    rng = np.random.default_rng(n_out)
    weights = rng.integers(-127, 128, (n_in, n_out)).astype(np.int64)
    weights[:, 0] = 127
    inputs = np.stack([np.ones(n_in), rng.uniform(-1, 1, n_in)]).astype(np.float32)
    numbers, steps = numbers_of(inputs)
    table, scale = panels((weights / 128).astype(np.float32))
    assert_array_equal(np.abs(scale[0]), np.float32(1 / 128))
    for row in (0, 1):
        outputs = np.empty((1, padded(n_out)), np.float32)
        nothing = np.zeros(padded(n_out), np.float32)
        eight_bits.products(numbers[row:], np.ones(1, np.float32), table, scale, nothing, outputs, 1)
        expected = numbers[row, :n_in].astype(np.int64) @ weights
        assert_array_equal(outputs[0, :n_out], expected.astype(np.float32) / np.float32(128))
    assert np.all(steps > 0) and int(np.abs(numbers[:, :n_in]).max()) * 127 * n_in < 2**31


@pytest.mark.parametrize("n", [2, 4, 5, 8])
@pytest.mark.parametrize(("n_in", "n_out"), SHAPES[:5])
def test_products_of_many_rows_are_those_of_each(n_in, n_out, n):
    rng = np.random.default_rng(n_in)
    inputs = rng.standard_normal((2 * TOGETHER, n_in)).astype(np.float32)
    matrix, offset = (
        rng.standard_normal((n_in, n_out)).astype(np.float32),
        rng.standard_normal(n_out).astype(np.float32),
    )
    found = products(inputs, matrix, offset, n)
    for row in range(n):
        assert_array_equal(found[row], products(inputs[row : row + 1], matrix, offset)[0])
    assert np.isnan(found[-(-n // TOGETHER) * TOGETHER :]).all()


def test_numbers_are_rounded_and_the_largest_is_the_largest_there_is():
    values = np.array([0.5, -1.0, 0.25, 1e-9, 0.0], np.float32)
    numbers = np.zeros(8, np.int16)
    step = to_numbers(values, values.size, numbers)
    assert step == np.float32(1.0) / np.float32(NUMBER_MAX)
    assert_array_equal(numbers[:5], [16384, -NUMBER_MAX, 8192, 0, 0])
    for silence in (np.zeros(5, np.float32), np.full(5, 1e-38, np.float32)):
        assert np.isfinite(to_numbers(silence, 5, numbers))
        assert_array_equal(numbers[:5], 0)


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 0.1, 30.0])
def test_rounded_weights_are_near_exact_in_16_bits_and_stay_as_they_are(scale):
    rng = np.random.default_rng(3)
    matrix = (scale * rng.standard_normal((100, 70)) ** 3).astype(np.float32)
    matrix[:, 5] = 0.0
    found = rounded(matrix)
    largest = np.abs(matrix).max(0)
    assert np.all(np.abs(found - matrix) <= np.maximum(largest / 127 * 0.57, 2.0**-22))
    assert_array_equal(found.astype(np.float16).astype(np.float32), found)
    assert_array_equal(rounded(found), found)
    assert_array_equal(rounded(found.astype(np.float16)), found)


def test_weights_that_were_rounded_otherwise_keep_their_scale():
    """As by `rtdenoise.lab.export.rounding`, where the largest of a column is not always 127."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-100, 101, (300, 64))
    weights[0] = rng.integers(70, 128, 64)
    scale = np.float32(1.25 / 512)
    found, scales = eight_bits.whole_weights(weights * scale)
    assert_array_equal(found * scales, weights * scale)
    assert_array_equal(rounded(weights * scale), weights * scale)


def test_panels_hold_columns_in_their_order():
    matrix = np.zeros((3, 100), np.float32)
    matrix[0], matrix[1], matrix[2] = np.arange(100) + 27, 127, -np.arange(100)
    table, scale = panels(matrix)
    assert table.shape == (2, paired(3) // 2, PANEL, 2)
    rows = table.transpose(1, 3, 0, 2).reshape(4, 2 * PANEL)
    assert_array_equal(rows[:3, :100] * scale[:100], matrix)
    assert not rows[3].any() and not rows[:, 100:].any()


OF_A_PROCESSOR = """
import sys
import numpy as np
from rtdenoise.kernels import eight_bits
from rtdenoise.kernels.eight_bits import panels, products, to_numbers, vector_bits
if sys.argv[3:]:
    eight_bits.integer_vector_bits = lambda *processor: 0
inputs, matrix = np.load(sys.argv[1]).values()
numbers, steps = np.zeros((4, 772), np.int16), np.empty(4, np.float32)
for row in range(4):
    steps[row] = to_numbers(inputs[row], 771, numbers[row])
out = np.empty((4, 128), np.float32)
products(numbers, steps, *panels(matrix), np.zeros(128, np.float32), out, 4)
np.save(sys.argv[2], out)
code = "".join(products.inspect_asm().values())
print(vector_bits(), "pmaddwd" in code)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processor's name is of x86-64")
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled code")
@pytest.mark.parametrize(
    ("name", "more", "printed"),
    [
        ("x86-64-v2", (), "128 True"),
        ("x86-64-v3", (), "256 True"),
        ("x86-64-v2", ("without the instruction",), "0 False"),
    ],
)
def test_other_processors_find_the_same_to_the_bit(tmp_path, name, more, printed):
    rng = np.random.default_rng(1)
    inputs, matrix = rng.standard_normal((4, 771)).astype(np.float32), rng.standard_normal((771, 65)).astype(np.float32)
    np.savez(tmp_path / "layer.npz", inputs, matrix)
    environment = os.environ | {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
    environment |= {"RTDENOISE_CACHE_DIR": str(tmp_path / "compiled"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", OF_A_PROCESSOR, str(tmp_path / "layer.npz"), str(tmp_path / "out.npy"), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == printed + "\n", done.stderr
    assert_array_equal(np.load(tmp_path / "out.npy"), products(inputs, matrix, np.zeros(65, np.float32)))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="asks the compiler")
@pytest.mark.parametrize(
    ("triple", "name", "bits"),
    [
        ("x86_64-linux-gnu", "x86-64-v4", 512),
        ("x86_64-linux-gnu", "haswell", 256),
        ("x86_64-linux-gnu", "nehalem", 128),
        ("aarch64-linux-gnu", "", 0),
        ("arm64-apple-darwin", "", 0),
    ],
)
def test_the_compiler_is_asked_what_the_processor_can(triple, name, bits):
    binding = pytest.importorskip("llvmlite.binding")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    assert eight_bits.integer_vector_bits(triple, name, "") == bits
