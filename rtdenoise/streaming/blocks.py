"""Check blocks for compiled code: wrong ones raise a one-line error, non-contiguous ones are copied."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.typing import F32

_FLOAT = np.dtype(np.float32)


def check_block(block: F32, out: F32, shape: tuple[int, ...]) -> None:
    """Raise unless both are float32 arrays of `shape` and `out` is writable.

    Raises
    ------
    SignalError
    """
    for name, array in (("block", block), ("out", out)):
        if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != _FLOAT:
            raise SignalError(f"{name} is {_kind(array)}; this denoiser takes float32 of shape {shape}")
    if not out.flags.writeable:
        raise SignalError("out is read-only; give an array that can be written")


def check_hops(blocks: F32, hop: int) -> int:
    """Return the length of (streams, n) blocks, a multiple of `hop`.

    Raises
    ------
    SignalError
        If they are no such blocks.
    """
    if not isinstance(blocks, np.ndarray) or blocks.ndim != 2 or blocks.shape[1] == 0 or blocks.shape[1] % hop:
        raise SignalError(f"blocks is {_kind(blocks)}; give (streams, n) samples, where n is a multiple of {hop}")
    return int(blocks.shape[1])


def fit_blocks(block: F32, out: F32, shape: tuple[int, ...]) -> tuple[F32, F32]:
    """Return both as contiguous, aligned, writable arrays, which compiled code takes without recompiling.

    Parameters
    ----------
    block, out : arrays
    shape : tuple of int

    Returns
    -------
    block, out : float32 arrays of `shape`
        The same objects, or a copy of `block` and a new array that the caller must copy to its `out`.

    Raises
    ------
    SignalError
        If one is not a float32 array of `shape`, or `out` is read-only.
    """
    check_block(block, out, shape)
    return (
        block if block.flags.carray else block.copy(order="C"),
        out if out.flags.carray else np.empty(shape, np.float32),
    )


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"of type {type(value).__name__}"
