"""Vector-matrix products with 16-bit float weights, which halve the memory traffic that dominates their cost.

On a processor without a conversion instruction each 16-bit float takes a function call, fifty times the cost of the
product; there the table holds the same numbers as 32-bit floats, with identical sums.

Columns are stored in panels of 64, one panel after another, so that the sums of a panel stay in registers while its
rows are read in memory order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from rtdenoise.kernels.jit import kernel
from rtdenoise.typing import F32

Table = npt.NDArray[np.uint16] | npt.NDArray[np.float32]
"""Bits of 16-bit floats, or the same numbers as 32-bit floats."""

PANEL = 64
"""Columns per panel: the sums fit the registers of every processor with 256-bit vectors."""
_VECTOR = 16

if numba.config.DISABLE_JIT:

    def converts_halves() -> bool:
        """Whether compiled code converts 16-bit floats by an instruction; nothing is compiled here."""
        return True

    def _add_panel(inputs: F32, panel: Table, outputs: F32, first: int) -> None:
        rows = panel.view(np.float16).astype(np.float32) if panel.dtype == np.uint16 else panel
        outputs[first : first + PANEL] += inputs[: len(rows)] @ rows

else:
    from llvmlite import binding, ir
    from numba import types
    from numba.core import cgutils
    from numba.core.registry import cpu_target
    from numba.extending import intrinsic

    _I32, _I64 = ir.IntType(32), ir.IntType(64)
    _FLOATS = ir.VectorType(ir.FloatType(), _VECTOR)
    _HALVES = ir.VectorType(ir.HalfType(), _VECTOR)
    _ROUTINES = ("gnu_h2f_ieee", "extendhfsf2", "aeabi_h2f")  # conversion functions by runtime library
    _N_SUMS = PANEL // _VECTOR
    _FIRST = ir.Constant(ir.VectorType(_I32, _VECTOR), [0] * _VECTOR)

    @lru_cache(maxsize=1)
    def converts_halves() -> bool:
        """Whether the processor that numba compiles for converts 16-bit floats by an instruction."""
        return instructions_convert(*cpu_target.target_context.codegen().magic_tuple())

    def instructions_convert(triple: str, name: str, features: str) -> bool:
        """Whether a processor converts 16-bit floats by an instruction.

        Detected by compiling a function that does nothing else; the alternative is a list of processors and features
        for every architecture.
        """
        module = ir.Module()
        function = ir.Function(module, ir.FunctionType(_FLOATS, [_HALVES]), "widen")
        builder = ir.IRBuilder(function.append_basic_block())
        builder.ret(builder.fpext(function.args[0], _FLOATS))
        machine = binding.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
        code = machine.emit_assembly(binding.parse_assembly(str(module)))
        return not any(routine in code for routine in _ROUTINES)

    @intrinsic  # type: ignore[untyped-decorator]
    def _add_panel(typingctx: Any, inputs: Any, panel: Any, outputs: Any, first: Any) -> Any:
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
                number = builder.load(builder.gep(source.data, [loop.index]))
                nothing = ir.Constant(_FLOATS, ir.Undefined)
                number = builder.shuffle_vector(builder.insert_element(nothing, number, _I32(0)), nothing, _FIRST)
                row = builder.mul(loop.index, _I64(_N_SUMS))
                for k, total in enumerate(sums):
                    at = builder.gep(numbers_at, [builder.add(row, _I64(k))])
                    weights = builder.load(at, align=4 if wide else 2)
                    weights = weights if wide else builder.fpext(weights, _FLOATS)
                    product = builder.fmul(number, weights, flags=("contract",))
                    # allows a fused multiply-add: one rounding instead of two
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
            for place, total in zip(places, sums, strict=True):
                builder.store(builder.load(total), place, align=4)
            return context.get_dummy_value()

        return types.void(inputs, panel, outputs, types.int64), codegen


@kernel
def dense_half(inputs: F32, table: Table, offset: F32, outputs: F32) -> None:
    """``outputs = offset + inputs . table``.

    Parameters
    ----------
    inputs : (n_in,) float32, read
    table : (n_panels, n_in, 64) uint16 or float32, read
        See `panels`.
    offset : (n_panels * 64,) float32, read
    outputs : (n_panels * 64,) float32, written; not `inputs`
    """
    for c in range(outputs.size):
        outputs[c] = offset[c]
    for panel in range(table.shape[0]):
        _add_panel(inputs, table[panel], outputs, panel * PANEL)


def padded(n: int) -> int:
    """Round `n` columns up to whole panels."""
    return -(-n // PANEL) * PANEL


def table_dtype() -> np.dtype[Any]:
    """Table dtype on this processor: uint16 (bits of 16-bit floats), or float32 if those cannot be converted."""
    return np.dtype(np.uint16 if converts_halves() else np.float32)


def panels(matrix: F32, dtype: np.dtype[Any] | None = None) -> Table:
    """Round a matrix to 16-bit floats and arrange it in panels for `dense_half`.

    Parameters
    ----------
    matrix : (n_in, n_out) float32, read
    dtype : uint16 or float32, optional
        `table_dtype` if not given.

    Returns
    -------
    (n_panels, n_in, 64) `dtype`
    """
    n_in, n_out = matrix.shape
    wide = np.zeros((n_in, padded(n_out)), np.float16)
    wide[:, :n_out] = matrix
    table = np.ascontiguousarray(wide.reshape(n_in, -1, PANEL).transpose(1, 0, 2))
    return table.view(np.uint16) if (dtype or table_dtype()) == np.uint16 else table.astype(np.float32)
