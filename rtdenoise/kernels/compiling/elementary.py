"""Exponent and mantissa of a float, which `rtdenoise.kernels.elementary` computes logarithms from."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_ROOT_HALF = 0x3F3504F3  # bits of sqrt(1/2): mantissas range from there to sqrt(2)


def _exponent_bits(builder: Any, x: Any) -> Any:
    bits = builder.bitcast(x, ir.IntType(32))
    return builder.ashr(builder.sub(bits, ir.IntType(32)(_ROOT_HALF)), ir.IntType(32)(23))


@intrinsic  # type: ignore[untyped-decorator]
def exponent(typingctx: Any, x: Any) -> Any:
    """``e`` of ``x = m 2**e`` with m from sqrt(1/2) to sqrt(2)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(_exponent_bits(builder, args[0]), ir.FloatType())

    return types.float32(types.float32), codegen


@intrinsic  # type: ignore[untyped-decorator]
def mantissa(typingctx: Any, x: Any) -> Any:
    """``m`` of ``x = m 2**e`` with m from sqrt(1/2) to sqrt(2)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        shift = builder.shl(_exponent_bits(builder, args[0]), ir.IntType(32)(23))
        return builder.bitcast(builder.sub(builder.bitcast(args[0], ir.IntType(32)), shift), ir.FloatType())

    return types.float32(types.float32), codegen
