"""The products of `rtdenoise.kernels.product`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rtdenoise.kernels.compiling.vectors import add_scaled, everywhere
from rtdenoise.kernels.product import LANES, ROWS

_TOGETHER = {1: (16, 8, ROWS), 2: (8, ROWS)}
"""By vectors of columns: rows whose sums are in registers together, as many as there are, then fewer.

Eight sums are the least that can keep two units of four cycles busy; sixteen do.
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
    """``sums = L[0] . right[0] + L[1] . right[1] + ...``, columns in blocks."""
    return types.void(left, types.int64, types.int64, right, sums), _codegen(adds=False)


def _codegen(adds: bool) -> Any:
    """Code of a product: two vectors of columns at a time, then one, and of these some rows at a time."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        steps, kinds = args[1:-2], (signature.args[0], *signature.args[-2:])
        source, matrix, target = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(kinds, (args[0], *args[-2:]), strict=True)
        )
        *pieces, n_in, n_out = cgutils.unpack_tuple(builder, matrix.shape)
        *blocks, n_rows, width = cgutils.unpack_tuple(builder, target.shape)
        n_vectors = builder.sdiv(n_out, _I64(LANES))
        pairs = builder.sdiv(n_vectors, _I64(2))

        def computed(column: Any, n: int) -> None:
            """All rows of `n` vectors of columns from one on."""
            columns, done = [builder.add(column, _I64(k * LANES)) for k in range(n)], _I64(0)
            for together in _TOGETHER[n]:
                groups = builder.sdiv(builder.sub(n_rows, done), _I64(together))
                with cgutils.for_range(builder, groups) as group:
                    tile(builder.add(done, builder.mul(group.index, _I64(together))), together, columns)
                done = builder.add(done, builder.mul(groups, _I64(together)))

        def tile(first: Any, together: int, columns: list[Any]) -> None:
            """So many rows from one on of some vectors of columns."""
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
            """Products with one matrix, which begins at `before`; the rows of the other begin `begin` further."""
            starts = [builder.gep(source.data, [builder.add(begin, builder.mul(row, steps[0]))]) for row in rows]
            with cgutils.for_range(builder, n_in) as loop:
                at = builder.add(before, builder.mul(loop.index, n_out))
                weights = [builder.load(vector_at(matrix.data, builder.add(at, column)), align=4) for column in columns]
                for start, each in zip(starts, totals, strict=True):
                    number = everywhere(builder, builder.load(builder.gep(start, [loop.index])), LANES)
                    for total, weight in zip(each, weights, strict=True):
                        add_scaled(builder, total, number, weight)

        def place_of(row: Any, column: Any) -> Any:
            """Where the sums of a row from a column on are: blocks of columns are behind each other."""
            if not blocks:
                return builder.add(builder.mul(row, width), column)
            block, within = builder.sdiv(column, width), builder.srem(column, width)
            return builder.add(builder.mul(builder.add(builder.mul(block, n_rows), row), width), within)

        def vector_at(data: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(data, [place]), _FLOATS.as_pointer())

        with cgutils.for_range(builder, pairs) as pair:
            computed(builder.mul(pair.index, _I64(2 * LANES)), 2)
        with builder.if_then(builder.icmp_signed("!=", builder.mul(pairs, _I64(2)), n_vectors)):
            computed(builder.mul(pairs, _I64(2 * LANES)), 1)
        return context.get_dummy_value()

    return codegen
