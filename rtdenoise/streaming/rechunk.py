"""Run a denoiser with a block length other than its hop."""

from __future__ import annotations

import math

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.streaming.blocks import check_block
from rtdenoise.typing import F32, Denoiser


class Rechunked:
    """Adapts a denoiser to any block length, at the smallest possible constant latency.

    That is ``inner.hop - gcd(inner.hop, hop)`` samples more than the latency of `inner`.

    Parameters
    ----------
    inner : Denoiser
    hop : int
        Outer block length.

    Raises
    ------
    ConfigError
        If `hop` is not positive.
    """

    def __init__(self, inner: Denoiser, hop: int) -> None:
        if hop < 1:
            raise ConfigError(f"hop={hop} must be at least 1")
        self.inner = inner
        self.hop = hop
        self.sample_rate = inner.sample_rate
        self.channels = inner.channels
        self._wait = inner.hop - math.gcd(inner.hop, hop)
        self.latency_samples = inner.latency_samples + self._wait
        tail = () if inner.channels == 1 else (inner.channels,)
        self._shape = (hop, *tail)
        self._block = np.zeros((inner.hop, *tail), np.float32)
        self._ready = np.zeros((self._wait + hop + inner.hop, *tail), np.float32)
        self._pending = 0
        self._n_ready = self._wait
        self.reset()

    def process(self, block: F32, out: F32) -> None:
        """Enhance one block; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, self._shape)
        start, inner_hop = 0, self.inner.hop
        while start < self.hop:
            n = min(self.hop - start, inner_hop - self._pending)
            self._block[self._pending : self._pending + n] = block[start : start + n]
            self._pending += n
            start += n
            if self._pending == inner_hop:
                self.inner.process(self._block, self._ready[self._n_ready : self._n_ready + inner_hop])
                self._pending = 0
                self._n_ready += inner_hop
        out[:] = self._ready[: self.hop]
        self._n_ready -= self.hop
        self._ready[: self._n_ready] = self._ready[self.hop : self.hop + self._n_ready].copy()

    def reset(self) -> None:
        """Forget the signal."""
        self.inner.reset()
        self._pending = 0
        self._ready[:] = 0.0
        self._n_ready = self._wait
