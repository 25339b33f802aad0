"""Set variables of networks and optimisers from arrays, in order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.lab.network import banded_form
from rtdenoise.methods.can.spec import CanSpec


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


def widened(arrays: list[Any], network: Any) -> list[Any]:
    """Adapt arrays to a Keras network with more inputs or outputs, with fine layers, or with bands and more of them.

    One with bands may have more channels and layers, too, and a dense one layers over bands beside its stack.  New
    parts are zero, or keep the network's initial values, so that it computes the same.  The first array may have
    fewer rows, others fewer columns; `assign` rejects anything else.
    """
    variables = network.weights
    for layer in network.layers:
        if layer.name == banded_form.LAYER:
            return banded_form.grown(layer.spec, arrays, np.random.default_rng(random.getrandbits(64)))
        if layer.name == banded_form.BESIDE:
            return _with_beside(arrays, [v.numpy() for v in variables], layer.spec)
    new = [v.numpy() for v in variables[len(arrays) :] if v.path.startswith("fine")]
    shapes = [tuple(v.shape) for v in variables]
    if len(arrays) + len(new) != len(shapes):
        return arrays
    found = []
    for number, (array, shape) in enumerate(zip([*arrays, *new], shapes, strict=True)):
        axis = 0 if number == 0 else -1
        more = shape[axis] - array.shape[axis] if array.ndim == len(shape) and array.ndim else 0
        widths = [(0, 0)] * array.ndim
        if more > 0:
            widths[axis] = (0, more)
        found.append(np.pad(array, widths) if more > 0 else array)
    return found


def _with_beside(arrays: list[Any], now: list[Any], spec: CanSpec) -> list[Any]:
    """Arrays for a network with layers beside its stack; `now`: its own; `spec`: of these layers."""
    n_dense = len(now) - len(banded_form.shapes(spec)) - 2  # the skip connection, and what is kept of the stack
    if len(arrays) == n_dense:
        return [*arrays, now[n_dense], *banded_form.silent(spec, now[n_dense + 1 :])]
    beside = banded_form.grown(spec, arrays[n_dense + 1 :], np.random.default_rng(random.getrandbits(64)))
    return [*arrays[: n_dense + 1], *beside]


def all_finite(arrays: list[Any]) -> bool:
    """Whether all values are finite."""
    return all(bool(np.all(np.isfinite(array))) for array in arrays)
