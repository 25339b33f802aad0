"""Records with arrays of any size behind one type, so that code compiled once runs them all.

numba takes the shapes of a structured dtype as constants, and therefore compiles every function that reads such a
record again for every size.  Here a record begins with the fields that are the same for all sizes: the header.  Arrays
whose sizes are data follow, and for each of them a field of the header says where it is and how large.  Compiled code
gets an array of headers (`headers`) and reads everything through `opened`; Python and other processes see the record as
it is, an ordinary structured array.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.kernels.jit import COMPILES, deferred

PLACE = "place_"


class Size(int):
    """A length in the shape of a field that is data, not part of the type."""


def record_dtype(fields: list[tuple[Any, ...]]) -> np.dtype[Any]:
    """Record dtype of `fields`, whose values are attributes of a record also where nothing is compiled."""
    return np.dtype((np.record, np.dtype(fields, align=True)))


def sized_dtype(fields: list[tuple[Any, ...]]) -> np.dtype[Any]:
    """Record dtype of `fields`: those of a fixed size, the places of all others, and the others.

    Parameters
    ----------
    fields : list of tuple
        As for `numpy.dtype`; a shape with a `Size` in it, of one or two dimensions, is not part of the type.
    """
    sized = [field for field in fields if _is_sized(field)]
    places = [(f"{PLACE}{len(shape)}_{kind}_{name}", "u4", (3,)) for name, kind, shape in sized]
    fixed = [field for field in fields if not _is_sized(field)]
    return record_dtype([*fixed, *places, *sized])


def _is_sized(field: tuple[Any, ...]) -> bool:
    return any(isinstance(length, Size) for shape in field[2:] for length in shape)


def fill_places(records: np.ndarray) -> None:
    """Write into records of a `sized_dtype` where their arrays are, which nobody changes later."""
    fields: Any = records.dtype.fields
    for place in fields:
        if place.startswith(PLACE):
            kind, start = fields[place.split("_", 3)[3]][:2]
            records[place] = (start, *(1, *kind.shape)[-2:])


def headers(records: np.ndarray) -> np.ndarray:
    """Return records as compiled functions take them: the same memory, by a type that all sizes share."""
    if not COMPILES:
        return records
    return np.ndarray(records.shape, header_of(records.dtype), records.view(np.uint8), strides=records.strides)


def header_of(record: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the header of a `sized_dtype`: the same object for equal headers.

    Comparing two dtypes at the call of a compiled function takes longer than half a hop.
    """
    names = list(record.names or ())
    end = 1 + max(n for n, name in enumerate(names) if name.startswith(PLACE))
    return _header(tuple((name, record[name].base.str, record[name].shape) for name in names[:end]))


@lru_cache(maxsize=16)
def _header(fields: tuple[tuple[Any, ...], ...]) -> np.dtype[Any]:
    return record_dtype(list(fields))


def _as_it_is(record: Any) -> Any:
    """Return the record, whose arrays Python reads as its attributes."""
    return record


opened: Any = deferred("rtdenoise.kernels.compiling.sized", "opened") if COMPILES else _as_it_is
"""Returns a record whose arrays kernels can read as its attributes; one that is not a header is returned as it is."""
