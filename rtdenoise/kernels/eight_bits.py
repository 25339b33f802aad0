"""Vector-matrix products with 8-bit weights and integer sums, which are exact.

A large network spends most of its time reading weights; 8-bit weights are half the size of 16-bit floats.  Each row of
inputs is scaled and rounded to integers.  How many bits these have depends on the number of inputs (14 for 1285, 15 for
768, 16 for 256), so that no sum exceeds 32 bits: sums are the same on every processor and in any order.

Each column of weights has a scale of four significant bits, so that every weight times its scale is exact as a 16-bit
float, the format of the files.  Columns are stored in panels of 64.  Within a panel the weights of two successive rows
are next to each other, because one instruction multiplies two pairs of 16-bit integers and adds the products.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.cache import processors
from rtdenoise.kernels.jit import COMPILES, deferred, kernel
from rtdenoise.typing import F32

I8 = npt.NDArray[np.int8]
I16 = npt.NDArray[np.int16]

WEIGHT_MAX, NUMBER_MAX = 127, 32767
PANEL = 64
"""Columns per panel."""
TOGETHER = 4
"""Rows whose products are computed together."""
_SUM_MAX = 2**31 - 1
_SCALE_BITS = 3  # after the first one
_SCALE_MIN = 2.0**-21  # below this, weight times scale may not be exact as a 16-bit float
_TINY, _MAGNITUDE = np.float32(1e-30), np.int32(0x7FFFFFFF)
_ABOVE = np.float32(NUMBER_MAX + 1.5)  # makes numbers positive, so that truncation after adding a half rounds them
_WIDTHS = {"zmm": 512, "ymm": 256, "xmm": 128}

if COMPILES:
    _set_one: Any = deferred("rtdenoise.kernels.compiling.eight_bits", "set_one")
    _set_four: Any = deferred("rtdenoise.kernels.compiling.eight_bits", "set_four")

else:

    def _set_one(numbers: I16, row: int, panel: I8, step: F32, scale: F32, offset: F32, outputs: F32, at: int) -> None:
        weights = panel.transpose(0, 2, 1).reshape(-1, PANEL).astype(np.int64)
        total = numbers[row, : len(weights)].astype(np.int64) @ weights
        part = slice(at, at + PANEL)
        outputs[row, part] = total.astype(np.float32) * (scale[part] * step[row]) + offset[part]

    def _set_four(numbers: I16, row: int, panel: I8, step: F32, scale: F32, offset: F32, outputs: F32, at: int) -> None:
        for each in range(row, row + TOGETHER):
            _set_one(numbers, each, panel, step, scale, offset, outputs, at)


@lru_cache(maxsize=1)
def vector_bits() -> int:
    """Width of the vectors of 16-bit integers that the processor multiplies and adds in pairs; 0: it cannot."""
    return integer_vector_bits(*processors.native()) if COMPILES else 0


def integer_vector_bits(triple: str, name: str, features: str) -> int:
    """As `vector_bits`, for a processor.

    Found by compiling an addition; the alternative is a list of processors and features for every architecture.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    kind = "<32 x i16>"
    module = f"define {kind} @sum({kind} %x, {kind} %y) {{\n  %z = add {kind} %x, %y\n  ret {kind} %z\n}}"
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    lines = machine.emit_assembly(llvm.parse_assembly(module)).splitlines()
    additions = [line for line in lines if "paddw" in line]
    return max((bits for register, bits in _WIDTHS.items() if any(register in line for line in additions)), default=0)


@kernel
def to_numbers(values: F32, n_in: int, numbers: I16) -> np.float32:
    """Scale a row and round it to integers; returns the value of one unit.

    Parameters
    ----------
    values : (n,) float32, read
    n_in : int
        Number of rows of the table: the more, the smaller the integers must be.
    numbers : (>= n,) int16, written
    """
    bits, largest_bits = values.view(np.int32), np.int32(0)
    for k in range(bits.size):  # positive floats have the order of their bits, and the compiler compares those faster
        magnitude = np.int32(bits[k] & _MAGNITUDE)
        largest_bits = magnitude if magnitude > largest_bits else largest_bits
    largest = np.int32(largest_bits).view(np.float32)
    most = np.float32(min(NUMBER_MAX, _SUM_MAX // (WEIGHT_MAX * n_in)))
    per_step = np.float32(0) if largest < _TINY else most / largest
    for k in range(values.size):
        numbers[k] = np.int16(np.int32(values[k] * per_step + _ABOVE) - (NUMBER_MAX + 1))
    return largest / most


@kernel
def products(numbers: I16, steps: F32, table: I8, scale: F32, offset: F32, outputs: F32, n: int) -> None:
    """``outputs = offset + (steps * numbers) . (scale * table)`` for the first `n` rows, bit for bit the same for each.

    Parameters
    ----------
    numbers, steps : (m, >= n_in) int16 and (m,) float32, read
        Of `to_numbers`.
    table : (n_panels, n_in / 2, 64, 2) int8, read
        See `panels`.
    scale, offset : (n_panels * 64,) float32, read
    outputs : (m, n_panels * 64) float32, written
    n : int
        Of more than one row, products are computed for `n` rounded up to a multiple of `TOGETHER`, no more than ``m``.
    """
    for panel in range(table.shape[0]):
        if n == 1:
            _set_one(numbers, 0, table[panel], steps, scale, offset, outputs, panel * PANEL)
        else:
            for row in range(0, n, TOGETHER):
                _set_four(numbers, row, table[panel], steps, scale, offset, outputs, panel * PANEL)


def padded(n: int) -> int:
    """Round `n` columns up to whole panels."""
    return -(-n // PANEL) * PANEL


def paired(n: int) -> int:
    """Round `n` rows of weights up to whole pairs."""
    return n + n % 2


def whole_weights(matrix: F32) -> tuple[I8, F32]:
    """Return a matrix, (n_in, n_out), as int8, and the scale of each column, (n_out,).

    A column that has been rounded before keeps its scale: the one with which it consists of integers whose largest is
    from 64 to 127.  Any other gets the smallest scale of four significant bits that keeps integers within 127.
    """
    columns = np.asarray(matrix, np.float32)
    scale = _four_bits(np.abs(columns).max(axis=0) / np.float32(WEIGHT_MAX + 0.5))
    numbers = columns / scale
    weights = np.rint(numbers)
    left = np.flatnonzero((weights != numbers).any(axis=0))
    tried = scale.copy()
    for _ in range(2**_SCALE_BITS):
        if not left.size:
            break
        tried = _four_bits(tried)
        numbers = columns[:, left] / tried[left]
        whole = (np.rint(numbers) == numbers).all(axis=0)
        found = left[whole]
        scale[found], weights[:, found] = tried[found], numbers[:, whole]
        left = left[~whole]
    return np.clip(weights, -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8), scale


def _four_bits(least: F32) -> F32:
    """The next larger numbers of four significant bits."""
    fraction, exponent = np.frexp(np.maximum(least, np.float32(_SCALE_MIN * (1.0 - 1e-6))))
    found: F32 = np.ldexp(np.floor(fraction * 2 ** (_SCALE_BITS + 1)) + np.float32(1), exponent - _SCALE_BITS - 1)
    return found


def rounded(matrix: F32) -> F32:
    """Round a matrix to what the table of `panels` holds; changes nothing the second time."""
    weights, scale = whole_weights(matrix)
    found: F32 = weights * scale
    return found


def panels(matrix: F32) -> tuple[I8, F32]:
    """Round a matrix, (n_in, n_out), and arrange it in panels: the table and the scale that `products` reads."""
    n_in, n_out = matrix.shape
    table = np.zeros((padded(n_out) // PANEL, paired(n_in) // 2, PANEL, 2), np.int8)
    scale = np.zeros(padded(n_out), np.float32)
    for n, panel in enumerate(table):  # a panel fits the caches, a matrix does not
        columns = slice(n * PANEL, min((n + 1) * PANEL, n_out))
        weights, scale[columns] = whole_weights(matrix[:, columns])
        for row in (0, 1):
            each = weights[row::2]
            panel[: len(each), : each.shape[1], row] = each
    return table, scale
