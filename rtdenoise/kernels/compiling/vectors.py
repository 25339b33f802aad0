"""Pieces of vector code that products consist of."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

_I32 = ir.IntType(32)


def everywhere(builder: Any, number: Any, lanes: int) -> Any:
    """A vector that has a number in every place."""
    nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
    return builder.shuffle_vector(builder.insert_element(nothing, number, _I32(0)), nothing, first)


def add_scaled(builder: Any, total: Any, number: Any, weights: Any) -> None:
    """Add ``number * weights`` to the value at `total`; allows a fused multiply-add: one rounding instead of two."""
    product = builder.fmul(number, weights, flags=("contract",))
    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
