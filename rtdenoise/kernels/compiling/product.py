"""The products of `rtdenoise.kernels.product`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rtdenoise.cache import processors
from rtdenoise.kernels.compiling.vectors import add_scaled, everywhere
from rtdenoise.kernels.product import LANES, ROWS

_TILES = {True: ((2, (8, ROWS)), (1, (16, 8, ROWS))), False: ((1, (ROWS,)),)}
"""Vectors of columns and rows whose sums are in registers together, larger tiles first; with AVX-512 and without it.

Two units that take four cycles each need at least eight independent sums; AVX-512 has registers for sixteen, which is
faster.  Without it there are sixteen registers of half the width: four sums take eight of them.
"""
_I64 = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_ZEROS = ir.Constant(_FLOATS, [0.0] * LANES)


@intrinsic  # type: ignore[untyped-decorator]
def add_product(typingctx: Any, left: Any, step: Any, right: Any, sums: Any) -> Any:
    """``sums += L . right``."""
    return types.void(left, types.int64, right, sums), _codegen(adds=True)


@intrinsic  # type: ignore[untyped-decorator]
def set_product(typingctx: Any, left: Any, step: Any, right: Any, sums: Any) -> Any:
    """``sums = L . right``."""
    return types.void(left, types.int64, right, sums), _codegen(adds=False)


@intrinsic  # type: ignore[untyped-decorator]
def set_products(typingctx: Any, left: Any, step: Any, apart: Any, right: Any, sums: Any) -> Any:
    """``sums = L[0] . right[0] + L[1] . right[1] + ...``, columns in blocks; `apart`: from one ``L`` to the next."""
    return types.void(left, types.int64, types.int64, right, sums), _codegen(adds=False)


def _codegen(adds: bool) -> Any:
    """Code of a product, tile by tile."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        steps, kinds = args[1:-2], (signature.args[0], *signature.args[-2:])
        source, matrix, target = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(kinds, (args[0], *args[-2:]), strict=True)
        )
        *pieces, n_in, n_out = cgutils.unpack_tuple(builder, matrix.shape)
        *blocks, n_rows, width = cgutils.unpack_tuple(builder, target.shape)

        @contextmanager
        def steps_over(total: Any, done: Any, size: int) -> Iterator[list[Any]]:
            """A loop over as many whole steps as fit between `done` and `total`: where each begins, and all end."""
            count = builder.sdiv(builder.sub(total, done), _I64(size))
            end = builder.add(done, builder.mul(count, _I64(size)))
            with cgutils.for_range(builder, count) as loop:
                yield [builder.add(done, builder.mul(loop.index, _I64(size))), end]

        def tile(first: Any, together: int, columns: list[Any]) -> None:
            """`together` rows from `first` on, of the vectors that begin at `columns`."""
            rows = [builder.add(first, _I64(k)) for k in range(together)]
            places = [[vector_at(target.data, place_of(row, column)) for column in columns] for row in rows]
            totals = [[cgutils.alloca_once(builder, _FLOATS) for _ in columns] for _ in rows]
            for some, each in zip(places, totals, strict=True):
                for place, total in zip(some, each, strict=True):
                    builder.store(builder.load(place, align=4) if adds else _ZEROS, total)
            if pieces:
                with cgutils.for_range(builder, pieces[0]) as piece:
                    before = builder.mul(piece.index, builder.mul(n_in, n_out))
                    add_piece(rows, columns, totals, builder.mul(piece.index, steps[1]), before)
            else:
                add_piece(rows, columns, totals, _I64(0), _I64(0))
            for some, each in zip(places, totals, strict=True):
                for place, total in zip(some, each, strict=True):
                    builder.store(builder.load(total), place, align=4)

        def add_piece(rows: list[Any], columns: list[Any], totals: list[list[Any]], begin: Any, before: Any) -> None:
            """Add the product with the matrix that begins at `before`; rows of the other begin `begin` further on."""
            starts = [builder.gep(source.data, [builder.add(begin, builder.mul(row, steps[0]))]) for row in rows]
            with cgutils.for_range(builder, n_in) as loop:
                at = builder.add(before, builder.mul(loop.index, n_out))
                weights = [builder.load(vector_at(matrix.data, builder.add(at, column)), align=4) for column in columns]
                for start, each in zip(starts, totals, strict=True):
                    number = everywhere(builder, builder.load(builder.gep(start, [loop.index])), LANES)
                    for total, weight in zip(each, weights, strict=True):
                        add_scaled(builder, total, number, weight)

        def place_of(row: Any, column: Any) -> Any:
            """Where the sums of a row from a column on are: blocks of columns are stored one after the other."""
            if not blocks:
                return builder.add(builder.mul(row, width), column)
            block, within = builder.sdiv(column, width), builder.srem(column, width)
            return builder.add(builder.mul(builder.add(builder.mul(block, n_rows), row), width), within)

        def vector_at(data: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(data, [place]), _FLOATS.as_pointer())

        done_columns = _I64(0)
        for n, heights in _TILES["+avx512f" in processors.native()[2]]:
            with steps_over(n_out, done_columns, n * LANES) as (column, end_columns):
                columns, done_rows = [builder.add(column, _I64(k * LANES)) for k in range(n)], _I64(0)
                for together in heights:
                    with steps_over(n_rows, done_rows, together) as (row, end_rows):
                        tile(row, together, columns)
                    done_rows = end_rows
            done_columns = end_columns
        return context.get_dummy_value()

    return codegen
