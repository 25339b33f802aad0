"""Feed a file or pipe to a running session without an input device, from a thread at the session's pace."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.shared_memory import Region
from rtdenoise.typing import F32

if TYPE_CHECKING:
    from rtdenoise.streaming.resampler import Resampler

_POLL_SECONDS = 0.04


class Feeder:
    """Feeds blocks of samples to a session without an input device, at its pace and at its rate.

    When the devices are opened again, it goes on with the first block that the stream before did not take whole.

    Parameters
    ----------
    session : Session
    blocks : iterable of (n, channels) float32
    rate : int
        Of the blocks, in Hz.
    """

    def __init__(self, session: Session, blocks: Iterable[F32], rate: int) -> None:
        self._session, self._blocks, self._rate = session, iter(blocks), rate
        self._again: deque[F32] = deque()  # from a stream that ended before it took them
        self._given: deque[tuple[F32, int]] = deque()  # to this stream, and the source sample after each
        self.failed: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                region = self._session.region
                if region.live["capacity"][0] == 0:
                    self._end.wait(_POLL_SECONDS)
                    continue
                self._feed(region)
                self._take_back(int(region.live["n_taken"][0]))
        finally:
            live = self._session.region.live
            live["source_end"] = live["n_source"]

    def _feed(self, region: Region) -> None:
        """Feed one stream, until it is another's turn or nobody asks any more."""
        live = region.live
        channels, ring = int(live["channels"][0]), region.attached_rings()["source"]
        resamplers = _resamplers(self._rate, int(live["rate"][0]), channels)
        while (block := self._next()) is not None:
            samples = fit_channels(block, channels)
            if resamplers:
                samples = np.stack([r.push(samples[:, c].copy()) for c, r in enumerate(resamplers)], axis=1)
            self._given.append((block, int(live["n_source"][0]) + samples.shape[0]))
            if not self._put(region, ring, samples):
                return
            while self._given and self._given[0][1] <= live["n_taken"][0]:
                self._given.popleft()
        live["source_end"] = live["n_source"]
        while self._is_current(region):
            self._end.wait(_POLL_SECONDS)

    def _next(self) -> F32 | None:
        """The next block; None after the last, or if it cannot be read."""
        if self._again:
            return self._again.popleft()
        try:
            return next(self._blocks, None)
        except (OSError, RtDenoiseError) as error:
            self.failed = error
            return None

    def _take_back(self, n_taken: int) -> None:
        """Keep samples that the ended stream did not take for the next one."""
        self._again.extendleft(block for block, stop in reversed(self._given) if stop > n_taken)
        self._given.clear()

    def _is_current(self, region: Region) -> bool:
        return self._session.region is region and not self._end.is_set()

    def _put(self, region: Region, ring: F32, samples: F32) -> bool:
        """Write to the ring as it empties; False if the stream ended meanwhile."""
        live, start = region.live, 0
        while start < samples.shape[0] and self._is_current(region):
            room = ring.shape[0] // 2 - int(live["n_source"][0] - live["n_taken"][0])
            if room <= 0:
                self._end.wait(_POLL_SECONDS)
                continue
            piece = samples[start : start + room]
            first = int(live["n_source"][0])
            ring[np.arange(first, first + piece.shape[0]) % ring.shape[0]] = piece
            live["n_source"] += piece.shape[0]
            start += piece.shape[0]
        return self._is_current(region)

    def finish(self, timeout_seconds: float = 1.0) -> None:
        """Stop feeding."""
        self._end.set()
        self._thread.join(timeout_seconds)


def _resamplers(rate_in: int, rate_out: int, channels: int) -> list[Resampler]:
    """One per channel, or none if there is nothing to convert."""
    if rate_in == rate_out:
        return []
    from rtdenoise.streaming.resampler import Resampler  # loads the compiler, which a session else does without

    return [Resampler(rate_in, rate_out) for _ in range(channels)]


def fit_channels(block: F32, channels: int) -> F32:
    """(n, k) samples as (n, channels): mixed down to one, repeated from one, else the first of them."""
    if block.shape[1] == channels:
        return block
    if channels == 1:
        return np.asarray(block.mean(axis=1, keepdims=True), np.float32)
    return np.asarray(block[:, np.minimum(np.arange(channels), block.shape[1] - 1)], np.float32)
