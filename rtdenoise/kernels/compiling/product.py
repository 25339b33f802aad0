"""The products of `rtdenoise.kernels.product`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rtdenoise.kernels.compiling.vectors import add_scaled, everywhere
from rtdenoise.kernels.product import LANES, ROWS

_I64 = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), LANES)


@intrinsic  # type: ignore[untyped-decorator]
def add_product(typingctx: Any, left: Any, step: Any, right: Any, sums: Any) -> Any:
    """``sums += L . right``: four rows and two vectors of columns at a time, of a single vector eight rows if possible.

    Sums then depend on eight registers, as many as two units of four cycles' latency keep busy.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds, values = [signature.args[k] for k in (0, 2, 3)], [args[k] for k in (0, 2, 3)]
        source, matrix, target = (
            context.make_array(kind)(context, builder, value) for kind, value in zip(kinds, values, strict=True)
        )
        n_in, n_out = (builder.extract_value(matrix.shape, k) for k in range(2))
        n_rows, n_vectors = builder.extract_value(target.shape, 0), builder.sdiv(n_out, _I64(LANES))
        pairs = builder.sdiv(n_vectors, _I64(2))

        def computed(column: Any, n: int, together: int = ROWS) -> None:
            """All rows, so many together, of `n` vectors of columns from one on."""
            with cgutils.for_range(builder, builder.sdiv(n_rows, _I64(together))) as group:
                first = builder.mul(group.index, _I64(together))
                rows = [builder.add(first, _I64(k)) for k in range(together)]
                starts = [builder.gep(source.data, [builder.mul(row, args[1])]) for row in rows]
                places = []
                for row in rows:
                    at = builder.gep(target.data, [builder.add(builder.mul(row, n_out), column)])
                    vector = builder.bitcast(at, _FLOATS.as_pointer())
                    places.append([builder.gep(vector, [_I64(k)]) for k in range(n)])
                totals = [[cgutils.alloca_once(builder, _FLOATS) for _ in range(n)] for _ in rows]
                for some, each in zip(places, totals, strict=True):
                    for place, total in zip(some, each, strict=True):
                        builder.store(builder.load(place, align=4), total)
                with cgutils.for_range(builder, n_in) as loop:
                    at = builder.gep(matrix.data, [builder.add(builder.mul(loop.index, n_out), column)])
                    vector = builder.bitcast(at, _FLOATS.as_pointer())
                    weights = [builder.load(builder.gep(vector, [_I64(k)]), align=4) for k in range(n)]
                    for start, each in zip(starts, totals, strict=True):
                        number = everywhere(builder, builder.load(builder.gep(start, [loop.index])), LANES)
                        for total, weight in zip(each, weights, strict=True):
                            add_scaled(builder, total, number, weight)
                for some, each in zip(places, totals, strict=True):
                    for place, total in zip(some, each, strict=True):
                        builder.store(builder.load(total), place, align=4)

        with cgutils.for_range(builder, pairs) as pair:
            computed(builder.mul(pair.index, _I64(2 * LANES)), 2)
        with builder.if_then(builder.icmp_signed("!=", builder.mul(pairs, _I64(2)), n_vectors)):
            last, left_over = builder.mul(pairs, _I64(2 * LANES)), builder.srem(n_rows, _I64(2 * ROWS))
            with builder.if_else(builder.icmp_signed("==", left_over, _I64(0))) as (all_rows, some_rows):
                with all_rows:
                    computed(last, 1, 2 * ROWS)
                with some_rows:
                    computed(last, 1)
        return context.get_dummy_value()

    return types.void(left, types.int64, right, sums), codegen
