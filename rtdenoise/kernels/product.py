"""Products of small matrices of 32-bit floats, their sums in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import COMPILES, deferred
from rtdenoise.typing import F32

LANES = 16
"""Columns are computed in vectors of so many, two at a time where there are as many; their number is a multiple."""
ROWS = 4
"""Rows are computed so many at a time; their number is a multiple."""

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


def padded_columns(matrix: F32) -> F32:
    """The matrix with columns of zeros up to a multiple of `LANES`."""
    n = matrix.shape[-1]
    wide: F32 = np.pad(matrix, [(0, 0)] * (matrix.ndim - 1) + [(0, -n % LANES)])
    return wide
