"""Products of small matrices of 32-bit floats, their sums in registers."""

from __future__ import annotations

from typing import Any

from rtdenoise.kernels.jit import COMPILES, deferred
from rtdenoise.typing import F32

LANES = 16
"""Columns per vector; the number of columns is a multiple of it."""
ROWS = 4
"""Rows that are computed together; the number of rows is a multiple of it."""

if COMPILES:
    add_product: Any = deferred("rtdenoise.kernels.compiling.product", "add_product")

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


def padded_width(n: int) -> int:
    """Round `n` columns up to whole vectors."""
    return -(-n // LANES) * LANES
