"""The identity: the control in every test and benchmark."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.rates import check_rate
from rtdenoise.streaming.blocks import check_block
from rtdenoise.typing import F32


class Bypass:
    """Returns the input unchanged, delayed by `latency_samples`.

    Parameters
    ----------
    sample_rate : int
        8 to 192 kHz.
    hop : int
    channels : int
    latency_samples : int
        0 copies; more allows comparison at equal latency.

    Raises
    ------
    ConfigError
        If an argument is out of range.
    """

    def __init__(self, sample_rate: int, hop: int, channels: int = 1, latency_samples: int = 0) -> None:
        if hop < 1 or channels < 1 or latency_samples < 0:
            raise ConfigError(
                f"hop={hop} and channels={channels} must be at least 1, latency_samples={latency_samples} at least 0"
            )
        self.sample_rate = check_rate(sample_rate)
        self.hop = hop
        self.channels = channels
        self.latency_samples = latency_samples
        shape = (latency_samples + hop,) if channels == 1 else (latency_samples + hop, channels)
        self._line = np.zeros(shape, np.float32)
        self._shape = (hop, *shape[1:])

    def process(self, block: F32, out: F32) -> None:
        """Copy one hop; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, self._shape)
        line, late = self._line, self.latency_samples
        line[late:] = block
        out[:] = line[: self.hop]
        line[:late] = line[self.hop :].copy()

    def reset(self) -> None:
        """Forget the signal."""
        self._line[:] = 0.0
