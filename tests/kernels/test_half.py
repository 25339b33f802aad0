"""Products with 16-bit matrices, against numpy in double precision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.kernels import half
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


@pytest.mark.parametrize("dtype", [np.dtype(np.uint16), np.dtype(np.float32)])
@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (3, 64), (192, 128), (771, 65)])
def test_products_of_many_rows_are_those_of_each(n_in, n_out, dtype):
    rng = np.random.default_rng(n_in)
    inputs = rng.standard_normal((2 * half.TOGETHER, n_in)).astype(np.float32)
    table = panels(rng.standard_normal((n_in, n_out)).astype(np.float32), dtype)
    offset = rng.standard_normal(padded(n_out)).astype(np.float32)
    found = np.full((len(inputs), padded(n_out)), np.nan, np.float32)
    half.dense_half_each(np.pad(inputs, ((0, 0), (0, 5))), table, offset, found, n_out)
    one = np.empty(padded(n_out), np.float32)
    for row, together in zip(inputs, found, strict=True):
        dense_half(row, table, offset, one)
        assert_array_equal(together, one)


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


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 64), (771, 65)])
def test_both_forms_of_a_table_give_the_same_sums(n_in, n_out):
    rng = np.random.default_rng(n_out)
    inputs = rng.standard_normal(n_in).astype(np.float32)
    matrix = rng.standard_normal((n_in, n_out)).astype(np.float32)
    offset = rng.standard_normal(padded(n_out)).astype(np.float32)
    found = []
    for dtype in (np.dtype(np.uint16), np.dtype(np.float32)):
        table = panels(matrix, dtype)
        assert table.dtype == dtype
        found.append(np.empty(padded(n_out), np.float32))
        dense_half(inputs, table, offset, found[-1])
    assert_array_equal(*found)


OF_A_PROCESSOR = """
import sys
import numpy as np
from rtdenoise.kernels.half import converts_halves, dense_half, panels, table_dtype
inputs, matrix, offset = np.load(sys.argv[1]).values()
out = np.empty(offset.size, np.float32)
dense_half(inputs, panels(matrix, table_dtype()), offset, out)
np.save(sys.argv[2], out)
codes = list(dense_half.inspect_asm().values())
calls = [line for code in codes for line in code.splitlines() if any(name in line for name in ROUTINES)]
instructions = [line for code in codes for line in code.splitlines() if "vcvtph2ps" in line]
print(converts_halves(), table_dtype(), len(codes), len(calls), len(instructions))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processor's name is of x86-64")
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="looks at compiled code")
def test_a_processor_without_f16c_calls_no_conversion_and_gives_the_same_samples(tmp_path):
    """The baseline of virtual machines; measured by what the compiler writes for it, as this machine runs it too."""
    rng = np.random.default_rng(1)
    inputs, matrix = rng.standard_normal(771).astype(np.float32), rng.standard_normal((771, 65)).astype(np.float32)
    offset = rng.standard_normal(padded(65)).astype(np.float32)
    np.savez(tmp_path / "layer.npz", inputs, matrix, offset)
    script = OF_A_PROCESSOR.replace("ROUTINES", repr(half._ROUTINES))
    environment = os.environ | {"NUMBA_CPU_NAME": "x86-64-v2", "NUMBA_CPU_FEATURES": ""}
    environment |= {"RTDENOISE_CACHE_DIR": str(tmp_path / "compiled"), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "layer.npz"), str(tmp_path / "out.npy")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "False float32 1 0 0\n", done.stderr
    here = np.empty_like(offset)
    dense_half(inputs, panels(matrix), offset, here)
    assert_allclose(np.load(tmp_path / "out.npy"), here, atol=1e-4)


@pytest.mark.parametrize(
    ("processor", "converts"), [("x86-64-v2", False), ("nehalem", False), ("ivybridge", True), ("x86-64-v3", True)]
)
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors' names are of x86-64")
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="asks the compiler")
def test_the_compiler_is_asked_what_the_processor_can(processor, converts):
    environment = os.environ | {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = "from rtdenoise.kernels.half import converts_halves; print(converts_halves())"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{converts}\n"


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu", "arm64-apple-darwin"])
def test_arm_converts_by_itself(triple):
    binding = pytest.importorskip("llvmlite.binding")
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    if numba.config.DISABLE_JIT:
        pytest.skip("asks the compiler")
    assert half.instructions_convert(triple, "", "")
