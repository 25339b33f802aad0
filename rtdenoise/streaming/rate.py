"""Run a denoiser inside a stream of another sample rate, with a constant delay known to the sample."""

from __future__ import annotations

import math

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.rates import check_rate, passed_hz
from rtdenoise.streaming.blocks import check_block
from rtdenoise.streaming.resampler import Resampler
from rtdenoise.typing import F32, Denoiser

_HOPS_AT_ONCE = 1 << 16  # with coprime rates the pattern repeats only after millions of hops


class RateAdapter:
    """A mono denoiser between two streaming resamplers.

    The output covers the band common to both rates: nothing above 0.9 of half the inner rate.

    Parameters
    ----------
    inner : Denoiser
        Mono.
    sample_rate : int
        Rate of the outer stream, 8 to 192 kHz.

    Raises
    ------
    ConfigError
        If the rate is out of range or `inner` is not mono.
    """

    def __init__(self, inner: Denoiser, sample_rate: int) -> None:
        if inner.channels != 1:
            raise ConfigError(f"a rate adapter takes a mono denoiser, not one of channels={inner.channels}")
        self.inner = inner
        self.sample_rate = check_rate(sample_rate)
        self.channels = 1
        self.hop = max(1, round(inner.hop * sample_rate / inner.sample_rate))
        self._down = Resampler(sample_rate, inner.sample_rate)
        ticks, inner_ticks = self._down.ticks_in, self._down.ticks_out
        up_delay = Resampler(inner.sample_rate, sample_rate).delay_ticks
        delay = self._down.delay_ticks + inner.latency_samples * inner_ticks + up_delay
        self._up = Resampler(inner.sample_rate, sample_rate, extra_ticks=-delay % ticks)
        self._wait = self._longest_wait()
        self.latency_samples = (delay + -delay % ticks) // ticks + self._wait
        self._block = np.zeros(inner.hop, np.float32)
        self._ready = np.zeros(self._wait + 2 * self.hop + inner.hop * math.ceil(inner_ticks / ticks), np.float32)
        self._pending = 0
        self._n_ready = self._wait
        self.reset()

    def _longest_wait(self) -> int:
        """Largest lag, in samples, of whole inner hops behind the input, computed exactly over a full period."""
        inner_hop = self.inner.hop
        hop_ticks = self.hop * self._down.ticks_in
        period = math.lcm(hop_ticks, inner_hop * self._down.ticks_out) // hop_ticks
        longest = 0
        for start in range(0, period, _HOPS_AT_ONCE):
            came = self.hop * np.arange(start + 1, min(start + _HOPS_AT_ONCE, period) + 1)
            arrived = self._down.outputs_after(came) // inner_hop * inner_hop
            longest = max(longest, int(np.max(came - self._up.outputs_after(arrived))))
        return longest

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        check_block(block, out, (self.hop,))
        arrived = self._down.push(block)
        start = 0
        while start < arrived.size:
            n = min(arrived.size - start, self._block.size - self._pending)
            self._block[self._pending : self._pending + n] = arrived[start : start + n]
            self._pending += n
            start += n
            if self._pending == self._block.size:
                self.inner.process(self._block, self._block)
                self._pending = 0
                self._append(self._up.push(self._block))
        out[:] = self._ready[: self.hop]
        self._n_ready -= self.hop
        self._ready[: self._n_ready] = self._ready[self.hop : self.hop + self._n_ready].copy()

    def _append(self, samples: F32) -> None:
        self._ready[self._n_ready : self._n_ready + samples.size] = samples
        self._n_ready += samples.size

    def reset(self) -> None:
        """Forget the signal."""
        self.inner.reset()
        self._down.reset()
        self._up.reset()
        self._pending = 0
        self._ready[:] = 0.0
        self._n_ready = self._wait


def processing_rate_hz(denoiser: Denoiser) -> int:
    """Rate at which the method inside all adapters of a denoiser runs."""
    parts = getattr(denoiser, "parts", ())
    inner = parts[0] if parts else getattr(denoiser, "inner", None)
    return denoiser.sample_rate if inner is None else processing_rate_hz(inner)


def band_hz(denoiser: Denoiser) -> float:
    """Highest frequency that comes out: half the rate, or the end of a resampler's band."""
    return passed_hz(denoiser.sample_rate, processing_rate_hz(denoiser))
