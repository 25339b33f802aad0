"""What compiled loops over images consist of: products of small matrices, summed in registers, and passes over rows.

Matrices of some tens of rows are too small for a BLAS: its calls take longer than their sums.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from rtdenoise.kernels.compiling.vectors import add_scaled, everywhere
from rtdenoise.lab.losses.frames import Tensor

SLOPE = 0.2  # of all rectifiers, below zero
AS_IT_IS, TRANSPOSED = 0, 1
ANEW, ADDED = 0, 1
_I64, _FLOAT = ir.IntType(64), ir.FloatType()


def loop(function: Any) -> Any:
    """Compile `function`; sums of products may be fused."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(function)


def _tile(n_rows: int, n_vectors: int, lanes: int) -> Any:
    """``(a, a_row, a_column, b, b_step, c, c_step, k, former)``: rows and columns of a product that fit into registers.

    `a_row`, `a_column`: from one row, and from one column, of op(A) to the next.  Else as `product` has them.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(_: Any, a: Any, a_row: Any, a_column: Any, b: Any, b_step: Any, c: Any, c_step: Any, k: Any, former: Any):  # type: ignore[no-untyped-def]  # noqa: ANN202
        def build(_: Any, builder: Any, __: Any, values: Any) -> Any:
            a, a_row, a_column, b, b_step, c, c_step, k, former = values
            vector = ir.VectorType(_FLOAT, lanes)
            left, right, target = (builder.inttoptr(v, _FLOAT.as_pointer()) for v in (a, b, c))

            def vectors_at(base: Any, row: Any, step: Any) -> list[Any]:
                first = builder.gep(base, [builder.mul(row, step)])
                return [
                    builder.bitcast(builder.gep(first, [_I64(lanes * v)]), vector.as_pointer())
                    for v in range(n_vectors)
                ]

            places = [vectors_at(target, _I64(row), c_step) for row in range(n_rows)]
            totals = [[cgutils.alloca_once(builder, vector) for _ in range(n_vectors)] for _ in range(n_rows)]
            with builder.if_else(builder.icmp_signed("==", former, _I64(ANEW))) as (anew, added):
                with anew:
                    for each in totals:
                        for total in each:
                            builder.store(ir.Constant(vector, None), total)
                with added:
                    for some, each in zip(places, totals, strict=True):
                        for place, total in zip(some, each, strict=True):
                            builder.store(builder.load(place, align=4), total)
            starts = [builder.gep(left, [builder.mul(a_row, _I64(row))]) for row in range(n_rows)]
            with cgutils.for_range(builder, k) as inner:
                weights = [builder.load(place, align=4) for place in vectors_at(right, inner.index, b_step)]
                offset = builder.mul(inner.index, a_column)
                for start, each in zip(starts, totals, strict=True):
                    number = everywhere(builder, builder.load(builder.gep(start, [offset])), lanes)
                    for total, weight in zip(each, weights, strict=True):
                        add_scaled(builder, total, number, weight)
            for some, each in zip(places, totals, strict=True):
                for place, total in zip(some, each, strict=True):
                    builder.store(builder.load(total), place, align=4)
            return ir.Constant(ir.IntType(32), 0)

        return types.int32(*[types.int64] * 9), build

    return tile


def _columns(n_vectors: int, lanes: int) -> Any:
    """All rows of so many columns of a product, by tiles of eight, four and one row; arguments as `_tile` has them."""
    eight, four, one = (_tile(n_rows, n_vectors, lanes) for n_rows in (8, 4, 1))

    def columns(
        m: int, a: int, a_row: int, a_column: int, b: int, b_step: int, c: int, c_step: int, k: int, former: int
    ) -> None:
        row, a_row_bytes, c_row_bytes = 0, _FLOAT_BYTES * a_row, _FLOAT_BYTES * c_step
        while m - row >= 8:
            eight(a + row * a_row_bytes, a_row, a_column, b, b_step, c + row * c_row_bytes, c_step, k, former)
            row += 8
        while m - row >= 4:
            four(a + row * a_row_bytes, a_row, a_column, b, b_step, c + row * c_row_bytes, c_step, k, former)
            row += 4
        while row < m:
            one(a + row * a_row_bytes, a_row, a_column, b, b_step, c + row * c_row_bytes, c_step, k, former)
            row += 1

    return numba.njit(nogil=True, error_model="numpy", fastmath={"contract"})(columns)  # cached as part of `product`


_FLOAT_BYTES = 4
_pair, _vector, _half, _quarter = (_columns(*size) for size in ((2, 16), (1, 16), (1, 8), (1, 4)))


@loop
def product(
    left: int, m: int, n: int, k: int, a: int, a_step: int, b: int, b_step: int, former: int, c: int, c_step: int
) -> None:
    """``C = op(A) B`` or, where `former` is `ADDED`, ``C += op(A) B``, in float32.

    Parameters
    ----------
    left : int
        `AS_IT_IS` or `TRANSPOSED`: how A lies in memory.
    m, n, k : int
        C is m x n, op(A) m x k; `n` is a multiple of 4.
    a, b, c : int
        Addresses.
    a_step, b_step, c_step : int
        Numbers from one row in memory to the next.
    former : int
        `ANEW` or `ADDED`.
    """
    a_row, a_column = (a_step, 1) if left == AS_IT_IS else (1, a_step)
    column = 0
    while column < n:
        width = 4
        while width < 32 and n - column >= 2 * width:
            width *= 2
        at = _FLOAT_BYTES * column
        if width == 32:
            _pair(m, a, a_row, a_column, b + at, b_step, c + at, c_step, k, former)
        elif width == 16:
            _vector(m, a, a_row, a_column, b + at, b_step, c + at, c_step, k, former)
        elif width == 8:
            _half(m, a, a_row, a_column, b + at, b_step, c + at, c_step, k, former)
        else:
            _quarter(m, a, a_row, a_column, b + at, b_step, c + at, c_step, k, former)
        column += width


def as_array(tensor: Tensor) -> np.ndarray:
    """The memory of a tensor."""
    array: np.ndarray = tensor.detach().numpy()
    return array


@loop
def summed(values: np.ndarray, total: np.ndarray) -> None:
    """``total += values``."""
    for k in range(values.size):
        total[k] += values[k]


@loop
def copied(values: np.ndarray, to: np.ndarray) -> None:
    """``to[:] = values``, without a call."""
    for k in range(values.size):
        to[k] = values[k]


@loop
def turned(values: np.ndarray, to: np.ndarray) -> None:
    """``to[:] = values.T``."""
    for i in range(values.shape[0]):
        for k in range(values.shape[1]):
            to[k, i] = values[i, k]
