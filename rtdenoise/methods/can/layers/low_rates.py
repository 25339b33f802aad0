"""What a network changes of its weights at low rates, where half of the band that it was trained on is missing.

The file holds, by the names of the arrays in the file of weights, either an array that takes the place of the other, or
two, NAME`.left` ``(n_in, rank)`` and NAME`.right` ``(rank, n_out)``, whose product is added (Hu et al. 2021, "LoRA:
Low-Rank Adaptation of Large Language Models"); the last axis of an array is ``n_out``, all others together are
``n_in``.  It may hold `mask_power` as well, the exponent of the gain at these rates.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.methods.can.spec import CanSpec

BELOW_HZ = 10_000
"""The changes are those of 8 kHz; they apply at rates below this one."""
_LEFT, _RIGHT, _POWER = ".left", ".right", "mask_power"


def apply_at(sample_rate: int | None) -> bool:
    """Whether changes apply at a rate in Hz; None is the rate of the network."""
    return sample_rate is not None and sample_rate < BELOW_HZ


def changes_as_bytes(
    replaced: Mapping[str, np.ndarray],
    added: Mapping[str, tuple[np.ndarray, np.ndarray]],
    mask_power: float | None = None,
) -> bytes:
    """Return an ``.npz`` file with 16-bit arrays: those replaced, pairs whose product is added, the gain's exponent."""
    named = dict(replaced)
    if mask_power is not None:
        named[_POWER] = np.array(mask_power)
    for name, (left, right) in added.items():
        named |= {name + _LEFT: left, name + _RIGHT: right}
    file = io.BytesIO()
    np.savez_compressed(file, **{name: a.astype(np.float16) for name, a in named.items()})  # type: ignore[arg-type]
    return file.getvalue()


def load_changes(content: bytes, path: Path) -> Changes:
    """Read changes written by `changes_as_bytes`; `path` is for messages.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with np.load(io.BytesIO(content)) as file:
            return Changes({name: file[name] for name in file.files}, path)
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error


@dataclass(frozen=True, slots=True)
class Changes:
    """Arrays of such a file by name, the exponent among them, and where it is."""

    arrays: dict[str, np.ndarray]
    path: Path

    def product(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the two matrices whose product is added to an array, if there are any."""
        if name + _LEFT not in self.arrays:
            return None
        return self.arrays[name + _LEFT], self.arrays[name + _RIGHT]

    def specified(self, spec: CanSpec) -> CanSpec:
        """Return the specification of the network with the changes.

        Raises
        ------
        ModelError
            If the exponent is not a number from 0.01 to 2.
        """
        if _POWER not in self.arrays:
            return spec
        try:
            return replace(spec, mask_power=self.arrays[_POWER].tolist())
        except ConfigError as error:
            raise ModelError(f"{self.path}: {error}") from error

    def applied_to(self, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all arrays of a file of weights, by name, with the changes, exact in 16 bits.

        Raises
        ------
        ModelError
            If they do not fit.
        """
        arrays = dict(weights)
        try:
            for name, array in self.arrays.items():
                plain = name.removesuffix(_LEFT).removesuffix(_RIGHT)
                if name == _POWER:
                    continue
                if name == plain + _LEFT:
                    arrays[plain] = _added(weights[plain], array, self.arrays[plain + _RIGHT])
                elif name == plain:
                    arrays[plain] = array.reshape(weights[plain].shape).astype(weights[plain].dtype)
        except (KeyError, ValueError) as error:
            raise ModelError(f"{self.path}: does not fit the weights beside it ({error})") from error
        return arrays


def _added(array: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In 64 bits, so that the sums, rounded to 16, are the same on every machine."""
    product = left.astype(np.float64) @ right.astype(np.float64)
    return np.asarray((array + product.reshape(array.shape)).astype(np.float16).astype(array.dtype))
