"""The public stream: takes chunks of any length, returns the output that is ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.offline import process_hops
from rtdenoise.streaming.samples import as_signal, from_float32, to_float32
from rtdenoise.streaming.watch import InputWatch, warn_caller
from rtdenoise.typing import F32, Audio, Denoiser


class Stream:
    """Denoise a signal that arrives in chunks.

    The output is the enhanced input, `latency_samples` later; joined, it is bit-identical however the input is cut.

    Parameters
    ----------
    denoiser : Denoiser
    channels_first : bool, optional
        Whether chunks are ``(channels, n)``; if None, their shape decides.

    Attributes
    ----------
    tell : callable
        Called with each remark about the input (`rtdenoise.streaming.watch`); issues a `SignalWarning` by default.

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> denoiser = rtdenoise.stream("WF", sample_rate=48000)
    >>> clean = denoiser.process(np.zeros(1000, np.float32))
    >>> tail = denoiser.flush()
    >>> len(clean) + len(tail) - denoiser.latency_samples
    1000
    """

    def __init__(self, denoiser: Denoiser, *, channels_first: bool | None = None) -> None:
        self._denoiser = denoiser
        self._tail = () if denoiser.channels == 1 else (denoiser.channels,)
        self._pending = np.zeros((0, *self._tail), np.float32)
        self._dtype: np.dtype[Any] = np.dtype(np.float32)
        self._said_first = channels_first
        self._first = channels_first  # layout of the chunks so far
        self._columns = False  # whether a mono stream receives 2-D chunks
        self._watch = InputWatch(denoiser.sample_rate, downmixed=isinstance(denoiser, Downmix))
        self.tell: Callable[[str], None] = warn_caller

    @property
    def sample_rate(self) -> int:
        """Samples per second, in Hz."""
        return self._denoiser.sample_rate

    @property
    def channels(self) -> int:
        """1: chunks are ``(n,)``; more: chunks are ``(n, channels)`` or ``(channels, n)``."""
        return self._denoiser.channels

    @property
    def hop(self) -> int:
        """The output comes in multiples of this many samples."""
        return self._denoiser.hop

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, in samples, excluding the time to collect a hop."""
        return self._denoiser.latency_samples

    def process(self, chunk: Audio) -> Audio:
        """Take the next samples and return the enhanced ones that are ready.

        Parameters
        ----------
        chunk : (n,), (n, channels) or (channels, n), read
            float32, float64 or float16 with full scale 1.0, or int16, int32, int8 or uint8.  NaN and infinite
            samples count as 0.

        Returns
        -------
        dtype and layout of `chunk`
            The number of samples is a multiple of `hop`, possibly 0.

        Raises
        ------
        SignalError
            For another shape or dtype.

        Warns
        -----
        SignalWarning
            If the samples have the scale of another dtype, or cancel each other in a downmix.
        """
        samples = self._take(chunk)
        for remark in self._watch.take(samples):
            self.tell(remark)
        return self._give(self._advance(to_float32(samples)))

    def flush(self) -> Audio:
        """End the signal and return the remaining output.

        Zeros are fed until all output is out; the total output is then `latency_samples` longer than the input.
        Call `reset` before the next signal.

        Returns
        -------
        dtype and layout of the last chunk
        """
        for remark in self._watch.take(np.zeros((0, *self._tail), self._dtype), last=True):
            self.tell(remark)
        return self._give(self._finish())

    def reset(self) -> None:
        """Forget the signal; the stream is then indistinguishable from a new one."""
        self._denoiser.reset()
        self._pending = self._pending[:0]
        self._dtype = np.dtype(np.float32)
        self._first, self._columns = self._said_first, False
        self._watch.reset()

    def _take(self, chunk: Audio) -> Audio:
        """Return the chunk as ``(n,)`` or ``(n, channels)`` and remember its dtype and layout."""
        chunk = as_signal(chunk, call="process")
        first = self._layout(chunk.shape)
        self._dtype = chunk.dtype
        if chunk.ndim == 2 and self.channels == 1:
            self._first, self._columns = first, True
            return chunk.reshape(-1)
        self._columns = False
        return chunk.T if first else chunk

    def _layout(self, shape: tuple[int, ...]) -> bool:
        """Whether a chunk of this shape is ``(channels, n)``."""
        channels, said = self.channels, self._said_first
        if len(shape) == 1 and channels == 1:
            return False
        fits_last = len(shape) == 2 and shape[1] == channels and said is not True
        fits_first = len(shape) == 2 and shape[0] == channels and said is not False
        if not (fits_last or fits_first):
            raise SignalError(self._misfit(shape))
        if fits_last and fits_first:
            self._first = bool(self._first)
            return self._first
        if channels > 1:
            if self._first not in (None, fits_first):
                raise SignalError(
                    f"a chunk of shape {shape} is laid out otherwise than the chunks before; "
                    f"say channels_first={fits_first} when the stream is made"
                )
            self._first = fits_first
        return fits_first

    def _misfit(self, shape: tuple[int, ...]) -> str:
        channels, said = self.channels, self._said_first
        layouts = [f"(n, {channels})"] * (said is not True) + [f"({channels}, n)"] * (said is not False)
        wanted = "(n,)" if channels == 1 else " or ".join(layouts)
        hint = ""
        if len(shape) == 1 and channels > 1:
            hint = f"; interleaved samples fit as chunk.reshape(-1, {channels})"
        elif len(shape) == 2 and channels == 1:
            hint = "; for several channels give channels= when the stream is made"
        elif len(shape) == 2 and said is not None and channels in shape:
            hint = f"; it was made with channels_first={said}"
        return f"a chunk of shape {shape} does not fit this stream; it takes {wanted}{hint}"

    def _give(self, samples: F32) -> Audio:
        """Convert samples to the dtype and layout of the last chunk."""
        out = from_float32(samples, self._dtype)
        if self._columns:
            return out[np.newaxis] if self._first else out[:, np.newaxis]
        return out.T if self._first and out.ndim == 2 else out

    def _finish(self) -> F32:
        rest = self._pending.shape[0] + self.latency_samples
        if self._pending.shape[0] == 0 and self.latency_samples == 0:
            return self._pending
        n_hops = -(-rest // self.hop)
        zeros = np.zeros((n_hops * self.hop - self._pending.shape[0], *self._tail), np.float32)
        return self._advance(zeros)[:rest]

    def _advance(self, fresh: F32) -> F32:
        held = np.concatenate([self._pending, fresh])
        whole = held.shape[0] // self.hop * self.hop
        out = np.empty((whole, *self._tail), np.float32)
        process_hops(self._denoiser, held[:whole], out)
        self._pending = held[whole:].copy()
        return out
