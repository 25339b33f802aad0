"""Weights of compiled networks, kept once in a process for all streams of the same network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.compiled.state import packed_weights
from rtdenoise.methods.can.layers import low_rates
from rtdenoise.methods.can.models import ABOVE, CHECKSUMS, LOW_RATES, WEIGHTS, Model
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import Network

_in_use: WeakValueDictionary[tuple[Any, ...], np.ndarray] = WeakValueDictionary()
"""By checksums and specification; an entry lasts as long as one of its streams or `_last` refers to it."""

_last: dict[Any, np.ndarray] = {}
"""The packed network of the last stream, by the state of its files: the next stream does not pack it again."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A network as the compiled hop reads it: `weights` is a (1,) record array that nobody writes."""

    spec: CanSpec
    weights: np.ndarray


def pack(network: Network) -> Packed:
    """Return a network packed for the compiled hop, for itself alone.

    Raises
    ------
    ConfigError
        For a network over samples or learnt frames.
    """
    _check_domain(network.spec)
    return Packed(network.spec, packed_weights(network))


def packed_model(model: Model, sample_rate: int | None = None) -> Packed:
    """Return the packed network of a model at a rate in Hz, or at its own.

    It is the same array as long as a stream of this process has it, or had it last.

    Raises
    ------
    ConfigError
        For a network over samples or learnt frames.
    ModelError
        If a file is missing, damaged or belongs to another specification; files are verified unless they are as they
        were when the last stream was made.
    """
    _check_domain(model.spec)
    names = [name for name in (ABOVE, LOW_RATES) if (model.folder / name).exists()]
    files = (
        model.spec,
        low_rates.apply_at(sample_rate),
        *(_state_of(model.folder / name) for name in (WEIGHTS, CHECKSUMS, *names)),
    )
    last = _last.get(files)
    if last is not None:
        return Packed(model.spec, last)
    parts = model.parts(sample_rate)
    key = (model.spec, *(digest for digest, _ in parts.values()))
    weights = _in_use.get(key)
    if weights is None:
        weights = packed_weights(model.assembled(parts, np.float16))
        _in_use[key] = weights
    _last.clear()
    _last[files] = weights
    return Packed(model.spec, weights)


def _state_of(file: Path) -> tuple[Any, ...]:
    """Identifies the present content of a file; a missing file equals nothing."""
    try:
        found = file.stat()
    except OSError:
        return (object(),)
    return file, found.st_ino, found.st_size, found.st_mtime_ns


def _check_domain(spec: CanSpec) -> None:
    if spec.domain != "spectral":
        raise ConfigError(f"{spec.name}: engine='numba' is for networks over spectra; use engine='litert'")
