"""The user's stream: chunks of any length in, what is ready out."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.streaming.offline import process_hops
from rtdenoise.streaming.samples import from_float32, to_float32
from rtdenoise.typing import Audio, Denoiser


class Stream:
    """Denoise a signal that arrives in chunks.

    The output is the enhanced input, `latency_samples` later, whatever the chunks; joined, it is the same to the bit.

    Parameters
    ----------
    denoiser : Denoiser

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> denoiser = rtdenoise.stream("WF", sample_rate=48000)
    >>> clean = denoiser.process(np.zeros(1000, np.float32))
    >>> tail = denoiser.flush()
    >>> len(clean) + len(tail) - denoiser.latency_samples
    1000
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._tail = () if denoiser.channels == 1 else (denoiser.channels,)
        self._pending = np.zeros((0, *self._tail), np.float32)
        self._dtype: np.dtype[Any] = np.dtype(np.float32)

    @property
    def sample_rate(self) -> int:
        """Samples per second, in Hz."""
        return self._denoiser.sample_rate

    @property
    def channels(self) -> int:
        """1: chunks are ``(n,)``; more: chunks are ``(n, channels)``."""
        return self._denoiser.channels

    @property
    def hop(self) -> int:
        """Output comes in whole hops of this many samples."""
        return self._denoiser.hop

    @property
    def latency_samples(self) -> int:
        """By how many samples the output is later than the input; gathering a hop comes on top."""
        return self._denoiser.latency_samples

    def process(self, chunk: Audio) -> Audio:
        """Take the next samples, return the enhanced ones that are ready.

        Parameters
        ----------
        chunk : (n,) or (n, channels), float32, float64 or int16, read
            Full scale is 1.0, or 32768 for int16.  NaN and infinite samples count as 0.

        Returns
        -------
        (m,) or (m, channels), dtype of `chunk`
            `m` is a multiple of `hop`, possibly 0.

        Raises
        ------
        SignalError
            For another shape or dtype.
        """
        chunk = np.asarray(chunk)
        self._check_shape(chunk)
        fresh = to_float32(chunk)
        self._dtype = chunk.dtype
        return from_float32(self._advance(fresh), chunk.dtype)

    def flush(self) -> Audio:
        """End the signal: return the rest of it.

        Zeros are fed until everything has come out; all output is then `latency_samples` longer than the input.
        Call `reset` before the next signal.

        Returns
        -------
        (m,) or (m, channels), dtype of the last chunk
        """
        rest = self._pending.shape[0] + self.latency_samples
        if self._pending.shape[0] == 0 and self.latency_samples == 0:
            return from_float32(self._pending, self._dtype)
        n_hops = -(-rest // self.hop)
        zeros = np.zeros((n_hops * self.hop - self._pending.shape[0], *self._tail), np.float32)
        return from_float32(self._advance(zeros)[:rest], self._dtype)

    def reset(self) -> None:
        """Forget the signal: afterwards indistinguishable from a new stream."""
        self._denoiser.reset()
        self._pending = self._pending[:0]
        self._dtype = np.dtype(np.float32)

    def _check_shape(self, chunk: Audio) -> None:
        wanted = "(n,)" if self.channels == 1 else f"(n, {self.channels})"
        if chunk.ndim != 1 + len(self._tail) or chunk.shape[1:] != self._tail:
            raise SignalError(f"a chunk of shape {chunk.shape} does not fit this stream; it takes {wanted}")

    def _advance(self, fresh: Audio) -> Audio:
        held = np.concatenate([self._pending, fresh])
        whole = held.shape[0] // self.hop * self.hop
        out = np.empty((whole, *self._tail), np.float32)
        process_hops(self._denoiser, held[:whole], out)
        self._pending = held[whole:].copy()
        return out
