"""Dry/wet mixing of a denoiser's output with the equally delayed input."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.streaming.blocks import check_block
from rtdenoise.streaming.offline import process_hops
from rtdenoise.typing import F32, Denoiser


class Mixed:
    """``share * enhanced + (1 - share) * delayed input``.

    Parameters
    ----------
    inner : Denoiser
        Mono.
    share : float
        Wet share, from 0 (the delayed input alone) to 1.

    Raises
    ------
    ConfigError
        If `inner` is not mono or `share` is out of range.
    """

    channels = 1

    def __init__(self, inner: Denoiser, share: float) -> None:
        if inner.channels != 1 or not 0.0 <= share <= 1.0:
            raise ConfigError(f"a share of {share} of {inner.channels} channels: give one channel, and 0 to 1")
        self.inner, self.share = inner, share
        self._share = np.float32(share)
        self.sample_rate, self.hop, self.latency_samples = inner.sample_rate, inner.hop, inner.latency_samples
        self._line = np.zeros(inner.latency_samples + inner.hop, np.float32)  # delayed samples, then the block

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, (self.hop,))
        hop, line = self.hop, self._line
        line[:-hop] = line[hop:]
        line[-hop:] = block
        line[-hop:][~np.isfinite(block)] = 0.0
        self.inner.process(block, out)
        dry = line[:hop]
        out[:] = dry + self._share * (out - dry)

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops, ``(n * hop,)`` float32 in and out, with the same samples as hop by hop."""
        held = np.concatenate([self._line, signal])
        held[~np.isfinite(held)] = 0.0
        process_hops(self.inner, signal, out)
        dry = held[self.hop :][: signal.size]
        out[:] = dry + self._share * (out - dry)
        self._line[:] = held[held.size - self._line.size :]

    def reset(self) -> None:
        """Forget the signal."""
        self._line.fill(0.0)
        self.inner.reset()
