"""Detect a hung or too slow engine from the record alone."""

from __future__ import annotations

from typing import Any

_PATIENCE_SECONDS = 1.0  # of input received without a sign of life from the engine
_LOOK_SECONDS = 0.25  # most that one check counts, so that a stall of the whole machine does not suffice
_WINDOW_SECONDS = 3.0
_MANY = 0.5  # of all blocks


class Progress:
    """Follows one engine from `begin` on; call both checks regularly while it is expected to work.

    Time is measured in received input: while audio is stalled, the engine has nothing to do.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Reset, for an engine that starts or restarts."""
        self._signs: tuple[int, int] | None = None
        self._heard_until = 0
        self._silent_seconds = 0.0
        self._window: tuple[int, int, int] | None = None

    def hung(self, live: Any) -> bool:
        """Whether the engine has shown no sign of life for too long; `live` is the (1,) record."""
        record = live[0]
        n_in, signs = int(record["n_in"]), (int(record["engine_steps"]), int(record["engine_heartbeat_ns"]))
        if signs != self._signs:
            self._signs, self._silent_seconds = signs, 0.0
        else:
            self._silent_seconds += min((n_in - self._heard_until) / max(1.0, float(record["rate"])), _LOOK_SECONDS)
        self._heard_until = n_in
        return self._silent_seconds > _PATIENCE_SECONDS

    def unprocessed(self, live: Any) -> float:
        """Share of blocks with late output, at the end of a window in which most were late; otherwise 0.

        Parameters
        ----------
        live : (1,) `LIVE`, read
        """
        record = live[0]
        now = int(record["n_in"]), int(record["callbacks"]), int(record["dry_blocks"])
        if self._window is None:
            self._window = now
        samples, blocks, dry = (b - a for a, b in zip(self._window, now, strict=True))
        if samples < _WINDOW_SECONDS * float(record["rate"]) or blocks == 0:
            return 0.0
        self._window = now
        return min(1.0, dry / blocks) if dry > _MANY * blocks else 0.0
