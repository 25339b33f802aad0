"""Count lost input samples, which no callback delivered, from the device's clock."""

from __future__ import annotations

from collections import deque
from typing import Any

_SECONDS = 3.0  # a late server catches up within this; samples still missing then are lost
_DRIFT = 3e-4  # relative: clocks may differ by this without any loss
_BLOCKS = 2.0


class LostSamples:
    """Compares the device's input time with the number of samples received.

    PortAudio reports when the first sample of every block was captured.  If that time runs ahead of the sample count
    and stays ahead, samples were lost.  A late server that catches up loses nothing: the lead disappears again.
    The computer's clock must agree, because the times of some hosts jump, and some hosts report none.

    Attributes
    ----------
    count : int
        Lost samples since the start.
    """

    def __init__(self) -> None:
        self.count = 0
        self.restart()

    def restart(self) -> None:
        """Start following another stream; the count continues."""
        self._leads: deque[tuple[float, float]] = deque()
        self._level: float | None = None
        self._adc_start: float | None = None
        self._now = 0.0

    def look(self, record: Any) -> None:
        """Compare once; call a few times per second.

        Parameters
        ----------
        record : record `LIVE`, read
        """
        if record["callbacks"] < 2 or record["channels_in"] == 0:
            return
        rate, n = float(record["rate"]), int(record["n"])
        adc, last = float(record["adc_seconds"]), int(record["last_ns"])
        elapsed = (last - int(record["first_ns"])) * 1e-9
        if self._adc_start is None:
            self._adc_start = adc - elapsed
        told = adc > 0.0 and adc - self._adc_start > 0.5 * elapsed
        lead = (min(adc - self._adc_start, elapsed) if told else elapsed) * rate - n
        before, self._now = self._now, last * 1e-9
        self._leads.append((self._now, lead))
        if self._now - self._leads[0][0] < _SECONDS:
            return
        while self._now - self._leads[0][0] > _SECONDS:
            self._leads.popleft()
        floor = min(value for _, value in self._leads)
        if self._level is None:
            self._level = floor
        self._level -= _DRIFT * rate * min(1.0, self._now - before)
        if floor - self._level > _BLOCKS * float(record["block"]):
            self.count += round(floor - self._level)
        self._level = max(self._level, floor)
