"""Products with matrices of 16-bit floats: half the memory to read, which is what a large matrix times one row costs.

Columns lie in panels of 64, one panel after another, so that the sums of a panel stay in the processor's registers
while its rows go by in the order in which they lie in memory.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32

U16 = npt.NDArray[np.uint16]

PANEL = 64
"""Columns of a panel: sums that fit the registers of every processor with 256-bit vectors."""
_VECTOR = 16

if numba.config.DISABLE_JIT:

    def _add_panel(inputs: F32, panel: U16, outputs: F32, first: int) -> None:
        rows = panel.view(np.float16).astype(np.float32)
        outputs[first : first + PANEL] += inputs[: len(rows)] @ rows

else:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    _I32, _I64 = ir.IntType(32), ir.IntType(64)
    _FLOATS = ir.VectorType(ir.FloatType(), _VECTOR)
    _HALVES = ir.VectorType(ir.HalfType(), _VECTOR)
    _N_SUMS = PANEL // _VECTOR
    _FIRST = ir.Constant(ir.VectorType(_I32, _VECTOR), [0] * _VECTOR)

    @intrinsic  # type: ignore[untyped-decorator]
    def _add_panel(typingctx: Any, inputs: Any, panel: Any, outputs: Any, first: Any) -> Any:
        """``outputs[first : first + 64] += inputs[: rows] . panel``, the 64 sums in registers."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kinds = zip(signature.args[:3], args[:3], strict=True)
            source, matrix, target = (context.make_array(kind)(context, builder, value) for kind, value in kinds)
            rows = builder.extract_value(matrix.shape, 0)
            target_at = builder.bitcast(builder.gep(target.data, [args[3]]), _FLOATS.as_pointer())
            halves_at = builder.bitcast(matrix.data, _HALVES.as_pointer())
            places = [builder.gep(target_at, [_I64(k)]) for k in range(_N_SUMS)]
            sums = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
            with cgutils.for_range(builder, rows) as loop:
                number = builder.load(builder.gep(source.data, [loop.index]))
                nothing = ir.Constant(_FLOATS, ir.Undefined)
                number = builder.shuffle_vector(builder.insert_element(nothing, number, _I32(0)), nothing, _FIRST)
                row = builder.mul(loop.index, _I64(_N_SUMS))
                for k, total in enumerate(sums):
                    halves = builder.load(builder.gep(halves_at, [builder.add(row, _I64(k))]), align=2)
                    product = builder.fmul(number, builder.fpext(halves, _FLOATS), flags=("contract",))
                    # one rounding instead of two where the processor can
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for place, total in zip(places, sums, strict=True):
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(inputs, panel, outputs, types.int64), codegen


@kernel
def dense_half(inputs: F32, table: U16, offset: F32, outputs: F32) -> None:
    """``outputs = offset + inputs . table``.

    Parameters
    ----------
    inputs : (n_in,) float32, read
    table : (n_panels, n_in, 64) uint16, read
        Bits of 16-bit floats, see `panels`.
    offset : (n_panels * 64,) float32, read
    outputs : (n_panels * 64,) float32, written; not `inputs`
    """
    for c in range(outputs.size):
        outputs[c] = offset[c]
    for panel in range(table.shape[0]):
        _add_panel(inputs, table[panel], outputs, panel * PANEL)


def padded(n: int) -> int:
    """`n` columns in whole panels."""
    return -(-n // PANEL) * PANEL


def panels(matrix: F32) -> U16:
    """A ``(n_in, n_out)`` matrix as `dense_half` reads it, ``(n_panels, n_in, 64)``: rounded to 16-bit floats."""
    n_in, n_out = matrix.shape
    wide = np.zeros((n_in, padded(n_out)), np.float16)
    wide[:, :n_out] = matrix
    return np.ascontiguousarray(wide.reshape(n_in, -1, PANEL).transpose(1, 0, 2)).view(np.uint16)
