"""Products of small matrices of 32-bit floats, their sums in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import COMPILES, deferred
from rtdenoise.typing import F32

LANES = 16
"""Columns per vector; the number of columns is a multiple of it."""
ROWS = 4
"""The number of rows is a multiple of it."""

if COMPILES:
    add_product: Any = deferred("rtdenoise.kernels.compiling.product", "add_product")
    set_product: Any = deferred("rtdenoise.kernels.compiling.product", "set_product")
    set_products: Any = deferred("rtdenoise.kernels.compiling.product", "set_products")

else:

    def add_product(left: F32, step: int, right: F32, sums: F32) -> None:
        """``sums += L . right``, where row `i` of `L` begins at ``left[i * step]``: rows may overlap.

        Parameters
        ----------
        left : (n,) float32, read
        step : int
        right : (n_in, n_out) float32, read
        sums : (n_rows, n_out) float32, read and written
            `n_rows` is a multiple of `ROWS`, `n_out` of `LANES`.
        """
        for row in range(len(sums)):
            at = row * step
            sums[row] += left[at : at + len(right)] @ right

    def set_product(left: F32, step: int, right: F32, sums: F32) -> None:
        """``sums = L . right``, with the arguments of `add_product`."""
        sums[:] = 0.0
        add_product(left, step, right, sums)

    def set_products(left: F32, step: int, apart: int, right: F32, sums: F32) -> None:
        """``sums = L[0] . right[0] + L[1] . right[1] + ...``, columns in blocks.

        Row `i` of ``L[p]`` begins at ``left[p * apart + i * step]``.

        Parameters
        ----------
        left : (n,) float32, read
        step, apart : int
        right : (n_pieces, n_in, n_blocks * width) float32, read
        sums : (n_blocks, n_rows, width) float32, written
            Of each block of columns all rows; sizes as in `add_product`.
        """
        total = np.zeros((sums.shape[1], right.shape[2]), np.float32)
        for piece, each in enumerate(right):
            add_product(left[piece * apart :], step, each, total)
        sums[:] = total.reshape(len(total), len(sums), -1).swapaxes(0, 1)


def padded_width(n: int) -> int:
    """Round `n` columns up to whole vectors."""
    return -(-n // LANES) * LANES
