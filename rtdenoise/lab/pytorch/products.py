"""What compiled loops over images are made of: products of small matrices, by SciPy's BLAS, and passes over rows."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import get_cython_function_address, intrinsic

from rtdenoise.lab.losses.frames import Tensor

_SGEMM = get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
SLOPE = 0.2  # of all rectifiers, below zero
AS_IT_IS, TRANSPOSED = 0, 8  # places of the letters in `product_memory`, in bytes
ANEW, ADDED = 16, 24  # places of the numbers 0 and 1, which what is in the result is multiplied by


def product_memory() -> np.ndarray:
    """What `product` keeps the values in that BLAS wants the addresses of, and the address of BLAS itself.

    Letters, 0.0, 1.0 and six sizes, in eight bytes each, the lower of which BLAS reads.  BLAS's address is an argument,
    not a constant: so compiled loops can be kept on disk.
    """
    return np.array([ord("N"), ord("T"), 0, np.float32(1.0).view(np.int32), *[0] * 6, _SGEMM], np.int64)


def loop(function: Any) -> Any:
    """Compile `function`; sums of products may be fused, as BLAS does it."""
    return numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})(function)


@intrinsic  # type: ignore[untyped-decorator]
def _call(_: Any, function: Any, arguments: Any) -> tuple[Any, Any]:
    """Call the function at an address with a tuple of addresses."""

    def build(_: Any, builder: Any, __: Any, values: Any) -> Any:
        word = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [word] * len(arguments))
        address = builder.inttoptr(values[0], kind.as_pointer())
        builder.call(address, [builder.extract_value(values[1], k) for k in range(len(arguments))])
        return ir.Constant(ir.IntType(32), 0)

    return types.int32(function, arguments), build


@loop
def product(
    left: int,
    right: int,
    m: int,
    n: int,
    k: int,
    a: int,
    a_step: int,
    b: int,
    b_step: int,
    former: int,
    c: int,
    c_step: int,
    memory: np.ndarray,
) -> None:
    """``C = op(A) op(B)`` or, where `former` is `ADDED`, ``C += op(A) op(B)``, in float32.

    Parameters
    ----------
    left, right : int
        `AS_IT_IS` or `TRANSPOSED`: how A and B lie in memory.
    m, n, k : int
        C is m x n, op(A) m x k.
    a, b, c : int
        Addresses.
    a_step, b_step, c_step : int
        Numbers from one row in memory to the next.
    former : int
        `ANEW` or `ADDED`.
    memory : (11,) int64, read and written
        `product_memory`.
    """
    memory[4], memory[5], memory[6] = n, m, k  # column by column, all matrices are transposed
    memory[7], memory[8], memory[9] = b_step, a_step, c_step
    w = memory.ctypes.data
    _call(
        memory[10],
        (w + right, w + left, w + 32, w + 40, w + 48, w + 24, b, w + 56, a, w + 64, w + former, c, w + 72),
    )


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
