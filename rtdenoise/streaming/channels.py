"""Run mono denoisers on several channels: one per channel, or one on their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.streaming.blocks import check_block
from rtdenoise.streaming.offline import process_hops
from rtdenoise.typing import F32, Denoiser


class PerChannel:
    """One independent mono denoiser per channel.

    Parameters
    ----------
    denoisers : sequence of Denoiser
        Two or more mono denoisers of equal rate, hop and latency.

    Raises
    ------
    ConfigError
        If they differ or are not mono.
    """

    def __init__(self, denoisers: Sequence[Denoiser]) -> None:
        kinds = {(d.sample_rate, d.hop, d.latency_samples, d.channels) for d in denoisers}
        if len(denoisers) < 2 or len(kinds) != 1 or denoisers[0].channels != 1:
            raise ConfigError("channels need two or more mono denoisers of equal rate, hop and latency")
        self._denoisers = tuple(denoisers)
        self.sample_rate, self.hop, self.latency_samples, _ = kinds.pop()
        self.channels = len(self._denoisers)

    @property
    def parts(self) -> tuple[Denoiser, ...]:
        """The denoiser of each channel."""
        return self._denoisers

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, (self.hop, self.channels))
        self.process_hops(block, out)

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops; (n * hop, channels) float32 read and written."""
        for channel, denoiser in enumerate(self._denoisers):
            column = np.ascontiguousarray(signal[:, channel])
            process_hops(denoiser, column, column)
            out[:, channel] = column

    def reset(self) -> None:
        """Forget the signal."""
        for denoiser in self._denoisers:
            denoiser.reset()


class Downmix:
    """One mono denoiser on the mean of all channels; its output goes to every channel.

    Parameters
    ----------
    inner : Denoiser
        Mono.
    channels : int
        Two or more.

    Raises
    ------
    ConfigError
        If `inner` is not mono or `channels` is less than two.
    """

    def __init__(self, inner: Denoiser, channels: int) -> None:
        if inner.channels != 1 or channels < 2:
            raise ConfigError(
                f"a downmix takes a mono denoiser and 2 or more channels, not {inner.channels} and {channels}"
            )
        self.inner = inner
        self.channels = channels
        self._share = np.full(channels, 1.0 / channels, np.float32)
        self.sample_rate = inner.sample_rate
        self.hop = inner.hop
        self.latency_samples = inner.latency_samples

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, (self.hop, self.channels))
        self.process_hops(block, out)

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops; (n * hop, channels) float32 read and written."""
        mono = signal @ self._share
        process_hops(self.inner, mono, mono)
        out[:] = mono[:, np.newaxis]

    def reset(self) -> None:
        """Forget the signal."""
        self.inner.reset()
