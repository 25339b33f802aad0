"""Conversions from user units (dB, seconds) to kernel units (ratios, per-hop smoothing factors) and back."""

from __future__ import annotations

import math


def amplitude_from_db(level_db: float) -> float:
    """Amplitude ratio of a level in dB: ``10**(level_db / 20)``."""
    return float(10.0 ** (level_db / 20.0))


def power_from_db(level_db: float) -> float:
    """Power ratio of a level in dB: ``10**(level_db / 10)``."""
    return float(10.0 ** (level_db / 10.0))


def db_from_power(power: float, floor_db: float = -200.0) -> float:
    """Level in dB of a power ratio; `floor_db` for anything at or below zero."""
    return max(10.0 * math.log10(power), floor_db) if power > 0.0 else floor_db


def smoothing_per_hop(time_constant_seconds: float, hop_seconds: float) -> float:
    """First-order smoothing factor per hop whose step response reaches ``1 - 1/e`` after the time constant.

    ``exp(-hop_seconds / time_constant_seconds)``; 0 (no smoothing) for a time constant of 0.
    """
    if time_constant_seconds <= 0.0:
        return 0.0
    return math.exp(-hop_seconds / time_constant_seconds)
