"""Processing loop shared by files and pipes: enhances and aligns blocks, and measures levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from rtdenoise.sound.levels import LevelMeter
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import F32


class Flow:
    """A stream between a reader and a writer.

    Parameters
    ----------
    stream : Stream
        New or reset.
    write : callable
        Takes each enhanced block, ``(n, channels)`` float32.
    meter : LevelMeter
    aligned : bool
        Leave out the first `latency_samples` of the output, so that it is aligned with the input and exactly as long.

    Attributes
    ----------
    n_samples, non_finite : int
        Number of samples received, and of values that were NaN or infinite.
    remarks : list of str
        Likely input mistakes (`rtdenoise.streaming.watch`).
    """

    def __init__(
        self, stream: Stream, write: Callable[[F32], None], meter: LevelMeter, *, aligned: bool = True
    ) -> None:
        self._stream = stream
        self._write = write
        self._meter = meter
        self._late = stream.latency_samples
        self._kept_late = 0 if aligned else stream.latency_samples
        self.n_samples = 0
        self.non_finite = 0
        self.remarks: list[str] = []
        stream.tell = self.remarks.append

    def run(self, blocks: Iterable[F32], after_block: Callable[[], None]) -> None:
        """Process all blocks, then flush; `after_block` is called after each block."""
        for block in blocks:
            self.take(block)
            after_block()
        self.finish()

    def take(self, block: F32) -> None:
        """Enhance the next samples, ``(n, channels)`` float32; NaN and infinite ones are set to 0 in place."""
        bad = ~np.isfinite(block)
        if bad.any():
            self.non_finite += int(np.count_nonzero(bad))
            block[bad] = 0.0
        self.n_samples += len(block)
        mono = self._stream.channels == 1
        self._give(block, self._stream.process(block.reshape(-1) if mono else block))

    def finish(self) -> None:
        """Enhance what the stream still holds."""
        if self.n_samples:
            self._give(np.zeros((0, self._stream.channels), np.float32), self._stream.flush())

    def _give(self, noisy: F32, clean: F32) -> None:
        clean = clean.reshape(-1, self._stream.channels)
        dropped = min(self._late, len(clean))
        self._late -= dropped
        aligned = clean[dropped:]
        self._meter.take(noisy, aligned)
        kept = min(self._kept_late, dropped)
        self._kept_late -= kept
        out = clean[dropped - kept :] if kept else aligned
        if len(out):
            self._write(out)
