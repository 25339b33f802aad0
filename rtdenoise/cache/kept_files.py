"""Objects kept in the cache between runs."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

from rtdenoise.cache import entries

T = TypeVar("T")


def keep(key: str, value: Any) -> bool:
    """Keep `value` under `key`, whole or not at all; False if no folder can take it."""
    return entries.keep(f"object {key}", pickle.dumps(value))


def find(kind: type[T], *keys: str) -> T | None:
    """What was kept under the first of `keys` that has anything, or None if it must be made again."""
    content = entries.find(*(f"object {key}" for key in keys))
    try:
        value = None if content is None else pickle.loads(content)
    except Exception:  # noqa: BLE001 - whole, but of other versions of what it is made of: anything may be raised
        return None
    return value if isinstance(value, kind) else None
