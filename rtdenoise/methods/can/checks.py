"""Checks of what a configuration gives: numbers of the right kind in their range, or one line that says which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rtdenoise.errors import ConfigError


def require_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is not a whole number of at least `least`.

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}={value!r} must be a whole number of at least {least}")
    if value < least:
        raise ConfigError(f"{name}={value} must be at least {least}")


def require_number(name: str, value: Any) -> None:
    """Refuse what is not a finite number.

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name}={value!r} must be a number (YAML reads 1.0e-3, not 1e-3)")
    if not math.isfinite(value):
        raise ConfigError(f"{name}={value} must be finite")


def require_between(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is not a number from `low` to `high`.

    Raises
    ------
    ConfigError
    """
    require_number(name, value)
    if not low <= value <= high:
        raise ConfigError(f"{name}={value} must be between {low:g} and {high:g}")


def require_keys(values: Any, known: list[str], where: str) -> dict[str, Any]:
    """A copy of a mapping whose keys are all known.

    Raises
    ------
    ConfigError
        If it is no mapping, or holds another key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping of keys to values, not {values!r}")
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in {where}; known are {', '.join(known)}")
    return dict(values)
