"""Verdicts from figures: whether a row holds in real time, with what margin, and which has the lowest latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LATE_SHARE_MAX = 1e-3
"""Late blocks that a device's own buffer hides; more are audible."""


def judge(row: Mapping[str, Any]) -> dict[str, Any]:
    """``holds`` and ``margin`` of a row; the margin is the share of a block's duration left at the 99th percentile.

    A row holds if the margin is positive and at most one block in a thousand (or one in total) was late.
    """
    if "error" in row:
        return {"holds": False, "margin": None}
    paced = row["paced"]
    margin = 1.0 - paced["us"]["p99"] / (1e3 * row["hop_ms"])
    late_max = max(1.0, LATE_SHARE_MAX * paced["hops"])
    return {"holds": margin > 0.0 and paced["late_blocks"] <= late_max, "margin": margin}


def smallest(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The row with the lowest latency among those that hold; None if none does.  The identity does not count."""
    holding = [row for row in rows if row["holds"] and not row["name"].lower().startswith("bypass")]
    if not holding:
        return None
    best = min(holding, key=lambda row: row["latency_ms"]["total"])
    return {
        "name": best["name"],
        "rate_hz": best["rate_hz"],
        "block_ms": best["hop_ms"],
        "latency_ms": best["latency_ms"]["total"],
    }
