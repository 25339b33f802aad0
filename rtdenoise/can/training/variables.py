"""Variables of networks and optimisers, set from arrays in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError


def assign(variables: list[Any], arrays: list[Any], path: Path) -> None:
    """Set variables in order.

    Raises
    ------
    ModelError
        If the number or a shape differs.
    """
    if [tuple(v.shape) for v in variables] != [np.shape(a) for a in arrays]:
        raise ModelError(f"{path}: belongs to another network or optimiser (shapes differ)")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def all_finite(arrays: list[Any]) -> bool:
    """Whether every number is one."""
    return all(bool(np.all(np.isfinite(array))) for array in arrays)
