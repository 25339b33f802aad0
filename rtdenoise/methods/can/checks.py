"""Validation of configuration values: type and range, with one-line error messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rtdenoise.errors import ConfigError


def require_whole(name: str, value: Any, least: int) -> None:
    """Raise unless `value` is an integer of at least `least`.

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}={value!r} must be a whole number of at least {least}")
    if value < least:
        raise ConfigError(f"{name}={value} must be at least {least}")


def require_number(name: str, value: Any) -> None:
    """Raise unless `value` is a finite number.

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name}={value!r} must be a number (YAML reads 1.0e-3, not 1e-3)")
    if not math.isfinite(value):
        raise ConfigError(f"{name}={value} must be finite")


def require_between(name: str, value: Any, low: float, high: float) -> None:
    """Raise unless `value` is a number from `low` to `high`.

    Raises
    ------
    ConfigError
    """
    require_number(name, value)
    if not low <= value <= high:
        raise ConfigError(f"{name}={value} must be between {low:g} and {high:g}")


def require_keys(values: Any, known: list[str], where: str) -> dict[str, Any]:
    """Return a copy of a mapping, after checking that all its keys are known.

    Raises
    ------
    ConfigError
        If it is not a mapping, or has an unknown key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a mapping of keys to values, not {values!r}")
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in {where}; known are {', '.join(known)}")
    return dict(values)
