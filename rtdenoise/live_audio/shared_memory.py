"""Memory shared by the processes of one live session; freed when the last of them ends, in whatever way."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np

from rtdenoise.child.unnamed import UnnamedFile, open_handle
from rtdenoise.live_audio.record import CHANNELS_MAX, LIVE, RINGS, ring_capacity
from rtdenoise.typing import F32

_RATE_MAX = 192_000
RING_SECONDS = 4.0
_HEAD = 1 << 16  # bytes kept for the record


class Region:
    """One `LIVE` record and five rings, mapped from a file without a name.

    Parameters
    ----------
    handle : str, optional
        The `handle` of the process that created it; by default a new region.
    file : UnnamedFile, optional
        An empty one for a new region, which closes it.

    Attributes
    ----------
    live : (1,) record array of `LIVE`
    """

    def __init__(self, handle: str | None = None, file: UnnamedFile | None = None) -> None:
        self._file: UnnamedFile | None = None
        if handle is None:
            self._file = file or UnnamedFile()
            self.fd = self._file.fd
        else:
            self.fd = open_handle(handle)
        self._ring_bytes = int(_RATE_MAX * RING_SECONDS + 2 * _RATE_MAX) * CHANNELS_MAX * 4
        size = _HEAD + len(RINGS) * self._ring_bytes
        if handle is None:
            os.ftruncate(self.fd, size)  # sparse: only what is touched takes memory
        self._map = mmap.mmap(self.fd, size)
        self.live: Any = np.frombuffer(self._map, LIVE, 1)

    @property
    def handle(self) -> str:
        """What another process needs to open this region; on Linux it must inherit `fd`."""
        return f"fd:{self.fd}" if self._file is None else self._file.handle

    def rings(self, rate: float, hop: int, channels: int) -> dict[str, F32]:
        """The five rings by name; (capacity, channels) float32 each, the same memory in every process.

        Parameters
        ----------
        rate : float
            Hz.
        hop, channels : int
        """
        capacity = ring_capacity(rate, hop, RING_SECONDS)
        rings = {}
        for number, name in enumerate(RINGS):
            flat = np.frombuffer(self._map, np.float32, capacity * channels, _HEAD + number * self._ring_bytes)
            rings[name] = flat.reshape(capacity, channels)
        return rings

    def attached_rings(self) -> dict[str, F32]:
        """`rings` as the record describes them."""
        live = self.live[0]
        return self.rings(float(live["rate"]), int(live["hop"]), int(live["channels"]))

    def close(self) -> None:
        """Forget the file; the memory stays until the last array over it is gone."""
        if self._file is not None:
            self._file.close()
        elif self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def span_of(ring: F32, start: int, stop: int) -> F32:
    """Samples `start` to `stop` of a stream out of its ring, copied; at most one capacity."""
    capacity = ring.shape[0]
    if stop <= start:
        return np.zeros((0, ring.shape[1]), np.float32)
    first, last = start % capacity, (stop - 1) % capacity + 1
    if first < last:
        return ring[first:last].copy()
    return np.concatenate([ring[first:], ring[:last]])
