"""What a session's status looks like in the tray: a state, and a line of words."""

from __future__ import annotations

from typing import Any

LIVE, ORIGINAL, NONE = "live", "original", "none"
Status = dict[str, Any]


def state_of(status: Status | None) -> str:
    """Whether the method is heard, the unprocessed input, or nothing."""
    if status is None:
        return NONE
    return ORIGINAL if status["bypass"] else LIVE


def title_of(status: Status | None) -> str:
    """Such as ``rtdenoise: WF, 12 ms``."""
    if status is None:
        return "rtdenoise: no session"
    if status["state"] != "running":
        return f"rtdenoise: {status['state']}"
    if status["bypass"]:
        return "rtdenoise: original"
    total = status["latency_ms"].get("total")
    return f"rtdenoise: {status['method']}" + (f", {total:.0f} ms" if total is not None else "")
