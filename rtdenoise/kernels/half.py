"""Vector-matrix products with 16-bit float weights, which halve the memory traffic that dominates their cost.

On a processor without a conversion instruction each 16-bit float takes a function call, fifty times the cost of the
product; there the table holds the same numbers as 32-bit floats, with identical sums.

Columns are stored in panels of 64, one panel after another, so that the sums of a panel stay in registers while its
rows are read in memory order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.cache import processors
from rtdenoise.kernels.jit import COMPILES, deferred, kernel
from rtdenoise.typing import F32

Table = npt.NDArray[np.uint16] | npt.NDArray[np.float32]
"""Bits of 16-bit floats, or the same numbers as 32-bit floats."""

PANEL, VECTOR = 64, 16
"""Columns per panel, whose sums fit the registers of every processor with 256-bit vectors, and per vector."""
TOGETHER = 4
"""Rows whose products are computed together, by `dense_half_each`."""
_ROUTINES = ("gnu_h2f_ieee", "extendhfsf2", "aeabi_h2f")  # conversion functions by runtime library

if COMPILES:
    _add_panel: Any = deferred("rtdenoise.kernels.compiling.half", "add_panel")
    _add_panel_together: Any = deferred("rtdenoise.kernels.compiling.half", "add_panel_together")

else:

    def _add_panel(inputs: F32, panel: Table, outputs: F32, first: int) -> None:
        rows = panel.view(np.float16).astype(np.float32) if panel.dtype == np.uint16 else panel
        outputs[first : first + PANEL] += inputs[: len(rows)] @ rows

    def _add_panel_together(inputs: F32, panel: Table, outputs: F32, first: int, vectors: int) -> None:
        rows = panel.view(np.float16).astype(np.float32) if panel.dtype == np.uint16 else panel
        n = vectors * VECTOR
        for source, target in zip(inputs[:TOGETHER], outputs[:TOGETHER], strict=True):
            target[first : first + n] += source[: len(rows)] @ rows[:, :n]


@lru_cache(maxsize=1)
def converts_halves() -> bool:
    """Whether the processor that is compiled for converts 16-bit floats by an instruction; True if none is."""
    return not COMPILES or instructions_convert(*processors.native())


def instructions_convert(triple: str, name: str, features: str) -> bool:
    """Whether a processor converts 16-bit floats by an instruction.

    Detected by compiling a function that does nothing else; the alternative is a list of processors and features
    for every architecture.
    """
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    floats, halves = f"<{VECTOR} x float>", f"<{VECTOR} x half>"
    module = f"define {floats} @widen({halves} %x) {{\n  %y = fpext {halves} %x to {floats}\n  ret {floats} %y\n}}"
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    code = machine.emit_assembly(llvm.parse_assembly(module))
    return not any(routine in code for routine in _ROUTINES)


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


@kernel
def dense_half_each(inputs: F32, table: Table, offset: F32, outputs: F32, columns: int) -> None:
    """`dense_half` for many rows, bit for bit, with the table read once for every four of them.

    Parameters
    ----------
    inputs : (n, >= n_in) float32, read
        ``n`` is a multiple of `TOGETHER`.
    table : (n_panels, n_in, 64) uint16 or float32, read
    offset : (n_panels * 64,) float32, read
    outputs : (n, n_panels * 64) float32, written; not `inputs`
    columns : int
        So many columns are computed, rounded up to a multiple of 16; the others are those of `offset`.
    """
    for row in range(outputs.shape[0]):
        for c in range(offset.size):
            outputs[row, c] = offset[c]
    for panel in range(table.shape[0]):
        vectors = min(PANEL // VECTOR, (columns - panel * PANEL + VECTOR - 1) // VECTOR)
        for row in range(0, outputs.shape[0], TOGETHER):
            together = inputs[row : row + TOGETHER], outputs[row : row + TOGETHER]
            _add_panel_together(together[0], table[panel], together[1], panel * PANEL, vectors)


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
    matrix : (n_in, n_out) float32 or float16, read
    dtype : uint16 or float32, optional
        `table_dtype` if not given.

    Returns
    -------
    (n_panels, n_in, 64) `dtype`
    """
    n_in, n_out = matrix.shape
    table = np.zeros((padded(n_out) // PANEL, n_in, PANEL), np.float16)
    for n, panel in enumerate(table):
        columns = matrix[:, n * PANEL : (n + 1) * PANEL]
        panel[:, : columns.shape[1]] = columns
    return table.view(np.uint16) if (dtype or table_dtype()) == np.uint16 else table.astype(np.float32)
