"""The products that `rtdenoise.kernels.eight_bits` consists of, with their sums in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rtdenoise.kernels.compiling.vectors import everywhere
from rtdenoise.kernels.eight_bits import PANEL, TOGETHER, vector_bits

_INSTRUCTIONS = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}
"""By the width of vectors: multiplies pairs of 16-bit integers and adds the two products."""
_REGISTERS = {512: 16, 256: 8, 128: 8, 0: 8}
"""Vectors of sums that are in registers together, at most."""
_I8, _I16, _I32, _I64, _F32 = (*(ir.IntType(n) for n in (8, 16, 32, 64)), ir.FloatType())


@intrinsic  # type: ignore[untyped-decorator]
def set_one(
    typingctx: Any, numbers: Any, row: Any, panel: Any, steps: Any, scale: Any, offset: Any, outputs: Any, at: Any
) -> Any:
    """The product of a row and a panel, whose first column is number `at` of the outputs."""
    arrays = (numbers, types.int64, panel, steps, scale, offset, outputs, types.int64)
    return types.void(*arrays), _codegen(1)


@intrinsic  # type: ignore[untyped-decorator]
def set_four(
    typingctx: Any, numbers: Any, row: Any, panel: Any, steps: Any, scale: Any, offset: Any, outputs: Any, at: Any
) -> Any:
    """`set_one` for four rows from `row` on, for which weights are read once."""
    arrays = (numbers, types.int64, panel, steps, scale, offset, outputs, types.int64)
    return types.void(*arrays), _codegen(TOGETHER)


def _codegen(together: int) -> Any:
    bits = vector_bits()
    lanes = bits // 32 or 8
    vectors = min(PANEL // lanes, _REGISTERS[bits] // together)  # of columns, computed together

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, at = args[1], args[7]
        kinds = [(kind, value) for kind, value in zip(signature.args, args, strict=True) if kind != types.int64]
        numbers, panel, steps, scale, offset, outputs = (context.make_array(k)(context, builder, v) for k, v in kinds)
        pairs = builder.extract_value(panel.shape, 0)
        rows = [builder.add(first, _I64(k)) for k in range(together)]
        starts = [_place(builder, numbers, row, _I64(0), _I32) for row in rows]
        sums = ir.VectorType(_I32, lanes)
        for column in range(0, PANEL, vectors * lanes):
            columns = [column + k * lanes for k in range(vectors)]
            totals = [[cgutils.alloca_once(builder, sums) for _ in columns] for _ in rows]
            for each in totals:
                for total in each:
                    builder.store(ir.Constant(sums, [0] * lanes), total)
            with cgutils.for_range(builder, pairs) as loop:
                pair = builder.mul(loop.index, _I64(2 * PANEL))
                weights = [_weights(builder, panel.data, builder.add(pair, _I64(2 * c)), lanes) for c in columns]
                for start, each in zip(starts, totals, strict=True):
                    two = builder.load(builder.gep(start, [loop.index]), align=2)
                    for total, weight in zip(each, weights, strict=True):
                        product = _multiplied(builder, weight, two, bits, lanes)
                        builder.store(builder.add(builder.load(total), product), total)
            for row, each in zip(rows, totals, strict=True):
                step = everywhere(builder, builder.load(builder.gep(steps.data, [row])), lanes)
                for c, total in zip(columns, each, strict=True):
                    here = builder.add(at, _I64(c))
                    floats = ir.VectorType(_F32, lanes)
                    factor = builder.fmul(_vector(builder, scale, here, floats), step)
                    scaled = builder.fmul(builder.sitofp(builder.load(total), floats), factor)
                    found = builder.fadd(scaled, _vector(builder, offset, here, floats))
                    place = _place(builder, outputs, row, here, floats)
                    builder.store(found, place, align=4)
        return context.get_dummy_value()

    return codegen


def _place(builder: Any, array: Any, row: Any, column: Any, kind: Any) -> Any:
    """Where a row of an array has a column, as the place of a value of another type."""
    width = builder.extract_value(array.shape, 1)
    return builder.bitcast(builder.gep(array.data, [builder.add(builder.mul(row, width), column)]), kind.as_pointer())


def _vector(builder: Any, array: Any, at: Any, kind: Any) -> Any:
    return builder.load(builder.bitcast(builder.gep(array.data, [at]), kind.as_pointer()), align=4)


def _weights(builder: Any, data: Any, at: Any, lanes: int) -> Any:
    """Pairs of weights of some columns, as 16-bit integers."""
    first = builder.bitcast(data, _I8.as_pointer())
    place = builder.bitcast(builder.gep(first, [at]), ir.VectorType(_I8, 2 * lanes).as_pointer())
    return builder.sext(builder.load(place, align=1), ir.VectorType(_I16, 2 * lanes))


def _multiplied(builder: Any, weights: Any, pair: Any, bits: int, lanes: int) -> Any:
    """Products of pairs of weights and a pair of numbers, the two of each added."""
    sums, halves = ir.VectorType(_I32, lanes), ir.VectorType(_I16, 2 * lanes)
    if bits:
        numbers = builder.bitcast(everywhere(builder, pair, lanes), halves)
        kind = ir.FunctionType(sums, [halves, halves])
        return builder.call(
            cgutils.get_or_insert_function(builder.module, kind, _INSTRUCTIONS[bits]), [weights, numbers]
        )
    both = builder.sext(builder.trunc(pair, _I16), _I32), builder.ashr(pair, _I32(16))
    products = []
    for first, number in enumerate(both):
        picked = ir.Constant(ir.VectorType(_I32, lanes), list(range(first, 2 * lanes, 2)))
        each = builder.shuffle_vector(weights, ir.Constant(halves, ir.Undefined), picked)
        products.append(builder.mul(builder.sext(each, sums), everywhere(builder, number, lanes)))
    return builder.add(*products)
