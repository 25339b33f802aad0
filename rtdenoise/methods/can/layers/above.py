"""Head that decides about the bins above a spectral network's band: its inputs, its weights and their file format.

A band is `WIDTH_HZ` wide; `N_BELOW` of them lie below the edge of the network's band and up to `N_ABOVE` above.  The
same layers compute the gain of each band above, from its own and its neighbours' levels and what all share: the last
rows of the network's stack, and the share of energy that the network kept in the bands between `KEPT_HZ`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import F32

WIDTH_HZ = 1000.0
N_BELOW, N_ABOVE = 3, 16
KEPT_HZ = (2000.0, 4000.0, 6000.0, 8000.0)
"""Edges of the bands whose kept energy is read; the last one belongs to the band below it."""
N_KEPT = len(KEPT_HZ) - 1
LEVELS, NEIGHBOURS = 4, 3
"""Levels of a band: log power, heights of it above its running mean and floor, and of its recent mean above the floor;
of the bands beside it the first three are read."""
RECENT_SECONDS = 0.02
"""Time constant of the recent mean."""
ROWS, FIRST, SECOND = 12, 24, 16
"""Values that the stack's rows are reduced to, and widths of the layers."""
SLOPE = 0.2
CLOSING = 0.1
"""Gain below which decibels count twice."""
CLOSED = 0.01
"""Gain of the network in its top band below which the head falls with it: in noise alone a network takes 55 dB away, a
head 39."""
KEPT_TINY, KEPT_MIN = 1e-12, 1e-6
"""Added to both energies of a share, and the smallest share."""


@dataclass(frozen=True, slots=True)
class Head:
    """Weights of a head, the scales of its inputs folded in; each (n_in, n_out) float32 and exact in 16 bits.

    ``reduced = rows . reduce + reduce_bias``;
    ``h = leaky([own, below, above] . local + [kept, reduced] . shared + place)``, per band;
    ``g = sigmoid(leaky(h . second + second_bias) . last + last_bias + own[1:3] . skip)``;
    ``gain = g min(g / CLOSING, 1) min(k / CLOSED, 1)``, where ``k`` is the gain in the uppermost band of `KEPT_HZ`.
    """

    reduce: F32
    reduce_bias: F32
    local: F32
    shared: F32
    place: F32
    second: F32
    second_bias: F32
    last: F32
    last_bias: F32
    skip: F32


def shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """Shape of every array of a `Head` behind a stack of `channels` channels."""
    return {
        "reduce": (channels, ROWS),
        "reduce_bias": (ROWS,),
        "local": (LEVELS + 2 * NEIGHBOURS, FIRST),
        "shared": (N_KEPT + ROWS, FIRST),
        "place": (N_ABOVE, FIRST),
        "second": (FIRST, SECOND),
        "second_bias": (SECOND,),
        "last": (SECOND,),
        "last_bias": (1,),
        "skip": (2,),
    }


def bands_from(spec: CanSpec) -> tuple[int, int]:
    """Return the first bin above the network's, and the bins of a band."""
    return spec.n_bins, round(WIDTH_HZ * spec.frame / spec.sample_rate)


def head_as_bytes(head: Head) -> bytes:
    """Return an ``.npz`` file with 16-bit weights."""
    file = io.BytesIO()
    named = {each.name: np.asarray(getattr(head, each.name), np.float16) for each in fields(head)}
    np.savez(file, **named)  # type: ignore[arg-type]  # numpy stubs
    return file.getvalue()


def load_head(content: bytes, spec: CanSpec, path: Path) -> Head:
    """Read a head written by `head_as_bytes`; `path` is for messages.

    Raises
    ------
    ModelError
        If the file cannot be read or does not fit `spec`.
    """
    expected = shapes(spec.width)
    try:
        with np.load(io.BytesIO(content)) as file:
            found = {name: file[name].astype(np.float32) for name in file.files}
    except Exception as error:  # zipfile and numpy raise many types for a damaged file
        raise ModelError(f"{path}: cannot be read as weights ({error})") from error
    if {name: array.shape for name, array in found.items()} != expected:
        raise ModelError(f"{path}: does not fit the specification {spec.name!r}: expected are {expected}")
    return Head(**found)
