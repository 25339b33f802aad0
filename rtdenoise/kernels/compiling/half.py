"""The products that `rtdenoise.kernels.half` consists of, with their sums in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rtdenoise.kernels.compiling.vectors import add_scaled, everywhere
from rtdenoise.kernels.half import PANEL, TOGETHER, VECTOR

_I64 = ir.IntType(64)
_FLOATS = ir.VectorType(ir.FloatType(), VECTOR)
_HALVES = ir.VectorType(ir.HalfType(), VECTOR)
_N_SUMS = PANEL // VECTOR


@intrinsic  # type: ignore[untyped-decorator]
def add_panel(typingctx: Any, inputs: Any, panel: Any, outputs: Any, first: Any) -> Any:
    """``outputs[first : first + 64] += inputs[: rows] . panel``, the 64 sums in registers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = zip(signature.args[:3], args[:3], strict=True)
        source, matrix, target = (context.make_array(kind)(context, builder, value) for kind, value in kinds)
        rows = builder.extract_value(matrix.shape, 0)
        target_at = builder.bitcast(builder.gep(target.data, [args[3]]), _FLOATS.as_pointer())
        wide = signature.args[1].dtype == types.float32
        numbers = _FLOATS if wide else _HALVES
        numbers_at = builder.bitcast(matrix.data, numbers.as_pointer())
        places = [builder.gep(target_at, [_I64(k)]) for k in range(_N_SUMS)]
        sums = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
        with cgutils.for_range(builder, rows) as loop:
            number = everywhere(builder, builder.load(builder.gep(source.data, [loop.index])), VECTOR)
            row = builder.mul(loop.index, _I64(_N_SUMS))
            for k, total in enumerate(sums):
                weights = _weights(builder, builder.gep(numbers_at, [builder.add(row, _I64(k))]), wide)
                add_scaled(builder, total, number, weights)
        for place, total in zip(places, sums, strict=True):
            builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    return types.void(inputs, panel, outputs, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_panel_together(typingctx: Any, inputs: Any, panel: Any, outputs: Any, first: Any, vectors: Any) -> Any:
    """`add_panel` for four rows of inputs and outputs, whose weights are read and converted once.

    Of the panel's columns the first `vectors` times 16 are computed.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = zip(signature.args[:3], args[:3], strict=True)
        source, matrix, target = (context.make_array(kind)(context, builder, value) for kind, value in kinds)
        rows = builder.extract_value(matrix.shape, 0)
        widths = [builder.extract_value(array.shape, 1) for array in (source, target)]
        wide = signature.args[1].dtype == types.float32
        numbers_at = builder.bitcast(matrix.data, (_FLOATS if wide else _HALVES).as_pointer())
        with cgutils.for_range(builder, args[4]) as vector:
            column = builder.add(args[3], builder.mul(vector.index, _I64(VECTOR)))
            places = []
            for row in range(TOGETHER):
                at = builder.gep(target.data, [builder.add(builder.mul(widths[1], _I64(row)), column)])
                places.append(builder.bitcast(at, _FLOATS.as_pointer()))
            sums = [cgutils.alloca_once(builder, _FLOATS) for _ in places]
            for place, total in zip(places, sums, strict=True):
                builder.store(builder.load(place, align=4), total)
            with cgutils.for_range(builder, rows) as loop:
                at = builder.add(builder.mul(loop.index, _I64(_N_SUMS)), vector.index)
                weights = _weights(builder, builder.gep(numbers_at, [at]), wide)
                for row, total in enumerate(sums):
                    place = builder.add(builder.mul(widths[0], _I64(row)), loop.index)
                    number = everywhere(builder, builder.load(builder.gep(source.data, [place])), VECTOR)
                    add_scaled(builder, total, number, weights)
            for place, total in zip(places, sums, strict=True):
                builder.store(builder.load(total), place, align=4)
        return context.get_dummy_value()

    return types.void(inputs, panel, outputs, types.int64, types.int64), codegen


def _weights(builder: Any, at: Any, wide: bool) -> Any:
    loaded = builder.load(at, align=4 if wide else 2)
    return loaded if wide else builder.fpext(loaded, _FLOATS)
