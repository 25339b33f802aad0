"""Raw bytes of 16-bit samples, cut anywhere."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from rtdenoise.errors import SignalError, shortened
from rtdenoise.typing import Audio

Packed: TypeAlias = bytes | bytearray | memoryview
"""Interleaved 16-bit little-endian samples (s16le)."""

DTYPE = np.dtype("<i2")


def is_packed(value: Any) -> bool:
    """Whether this is raw bytes; a memoryview of numbers is an array."""
    if isinstance(value, memoryview):
        return value.format in ("B", "b", "c")
    return isinstance(value, (bytes, bytearray))


class Unpacker:
    """Turns raw bytes into samples and keeps what is not yet a whole sample of all channels.

    Attributes
    ----------
    held : bytes
        The beginning of the next sample.
    """

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self.held = b""

    def take(self, data: Packed) -> Audio:
        """Return ``(n,)`` or ``(n, channels)`` int16 samples.

        Raises
        ------
        SignalError
            If `data` is not bytes.
        """
        if not is_packed(data):
            raise SignalError(
                f"process_bytes takes bytes of 16-bit little-endian samples, not {shortened(data)}; "
                "process takes arrays, and their .tobytes() are bytes"
            )
        joined = self.held + bytes(data)
        width = DTYPE.itemsize * self._channels
        whole = len(joined) // width * width
        self.held = joined[whole:]
        samples = np.frombuffer(joined[:whole], DTYPE)
        return samples if self._channels == 1 else samples.reshape(-1, self._channels)

    def end(self) -> list[str]:
        """Forget an incomplete sample; return the remark about it, if there was one."""
        n, self.held = len(self.held), b""
        if not n:
            return []
        width = DTYPE.itemsize * self._channels
        return [f"the last {n} of the bytes are less than one sample of all channels ({width}); they were left out"]
