"""The public stream: takes chunks of any length, returns the output that is ready."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from rtdenoise.errors import SignalError
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.forms.aligned import enhance_each, enhance_each_async, require_source
from rtdenoise.streaming.forms.layout import Layout
from rtdenoise.streaming.forms.packed import DTYPE, Packed, Unpacker
from rtdenoise.streaming.forms.pairs import split_pair
from rtdenoise.streaming.offline import process_hops
from rtdenoise.streaming.presence.bands import band_centres_hz, n_present
from rtdenoise.streaming.samples import as_signal, from_float32, to_float32
from rtdenoise.streaming.watch import InputWatch, warn_caller
from rtdenoise.typing import F32, F64, Audio, Denoiser

if TYPE_CHECKING:
    from rtdenoise.streaming.presence.reading import Reading


class Stream:
    """Denoise a signal that arrives in chunks.

    The output is the enhanced input, `latency_samples` later; joined, it is bit-identical however the input is cut.
    As a context manager a stream is closed at the end of the block.

    Parameters
    ----------
    denoiser : Denoiser
    channels_first : bool, optional
        Whether chunks are ``(channels, n)``; if None, their shape decides.
    title : str, optional
        Method and preset or network, for `repr`.

    Attributes
    ----------
    tell : callable
        Called with each remark about the input (`rtdenoise.streaming.watch`); issues a `SignalWarning` by default.

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> denoiser = rtdenoise.stream("WF", 48000)
    >>> clean = denoiser.process(np.zeros(1000, np.float32))
    >>> tail = denoiser.flush()
    >>> len(clean) + len(tail) - denoiser.latency_samples
    1000
    """

    def __init__(self, denoiser: Denoiser, *, channels_first: bool | None = None, title: str | None = None) -> None:
        self._denoiser = denoiser
        self._title = type(denoiser).__name__ if title is None else title
        self._tail = () if denoiser.channels == 1 else (denoiser.channels,)
        self._pending = np.zeros((0, *self._tail), np.float32)
        self._dtype: np.dtype[Any] = np.dtype(np.float32)
        self._layout = Layout(denoiser.channels, channels_first)
        self._unpacker = Unpacker(denoiser.channels)
        self._watch = InputWatch(denoiser.sample_rate, downmixed=isinstance(denoiser, Downmix))
        self._closed = False
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
    def channels_first(self) -> bool:
        """Whether the last chunk was ``(channels, n)``."""
        return bool(self._layout.first)

    @property
    def hop(self) -> int:
        """The output comes in multiples of this many samples."""
        return self._denoiser.hop

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, in samples, excluding the time to collect a hop."""
        return self._denoiser.latency_samples

    @property
    def latency_seconds(self) -> float:
        """`latency_samples` in seconds."""
        return self.latency_samples / self.sample_rate

    @property
    def speech_probability(self) -> float | None:
        """Probability, 0 to 1, that there is speech in what came last; None where the method does not know.

        Read from the state of the method after the last hop, whose window reaches back 32 ms; SS, WF and networks over
        spectra know it.  Of several channels the highest.
        """
        reading = self._reading()
        return None if reading is None else reading.speech_probability

    @property
    def snr_db(self) -> F32 | None:
        """Speech over noise in what came last, in dB from -20 to 40, in the bands `snr_bands_hz`; or None, as above."""
        reading = self._reading()
        return None if reading is None else reading.snr_db[: n_present(self.sample_rate)]

    @property
    def snr_bands_hz(self) -> F64:
        """Centres of the bands of `snr_db`, equidistant on the mel scale, up to half the rate of stream and method."""
        known = self.snr_db
        return band_centres_hz()[: n_present(self.sample_rate) if known is None else known.size]

    def _reading(self) -> Reading | None:
        from rtdenoise.streaming.presence.reading import reading_of

        return reading_of(self._denoiser)

    def __repr__(self) -> str:
        delay_ms = 1e3 * (self.latency_samples + self.hop) / self.sample_rate
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        closed = ", closed" if self._closed else ""
        return f"<Stream: {self._title}, {self.sample_rate} Hz, {channels}, {delay_ms:.1f} ms of delay{closed}>"

    def __enter__(self) -> Stream:
        self._require_open("with")
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse all further calls; what is not flushed is lost.  May be called again."""
        self._closed = True

    @overload
    def process(self, chunk: tuple[int, ArrayLike]) -> tuple[int, Audio]: ...
    @overload
    def process(self, chunk: ArrayLike) -> Audio: ...
    def process(self, chunk: Any) -> Any:
        """Take the next samples and return the enhanced ones that are ready.

        Parameters
        ----------
        chunk : (n,), (n, channels) or (channels, n), read
            float32, float64 or float16 with full scale 1.0, or int16, int32, int8 or uint8, or what numpy reads as
            such.  NaN and infinite samples count as 0.  A pair ``(sample_rate, samples)`` is taken and returned, too.

        Returns
        -------
        dtype and layout of `chunk`
            The number of samples is a multiple of `hop`, possibly 0.

        Raises
        ------
        SignalError
            For another shape or dtype, a pair of another rate, or a stream that is closed.

        Warns
        -----
        SignalWarning
            If the samples have the scale of another dtype, or cancel each other in a downmix.
        """
        self._require_open("process")
        rate, chunk = split_pair(chunk)
        if rate not in (None, self.sample_rate):
            raise SignalError(
                f"a chunk at {rate} Hz does not fit this stream, which was made for {self.sample_rate} Hz"
            )
        samples = as_signal(chunk, call="process")
        rows = self._layout.rows(samples)
        self._dtype = samples.dtype
        for remark in self._watch.take(rows):
            self.tell(remark)
        out = self._give(self._advance(to_float32(rows)))
        return out if rate is None else (rate, out)

    def process_bytes(self, data: Packed) -> bytes:
        """Like `process` for raw bytes: interleaved 16-bit little-endian samples (s16le).

        Parameters
        ----------
        data : bytes, bytearray or memoryview, read
            Cut anywhere; half a sample at the end waits for the next call.

        Returns
        -------
        bytes
            Possibly none.

        Raises
        ------
        SignalError
            For anything but bytes, or a stream that is closed.
        """
        self._require_open("process_bytes")
        rows = self._unpacker.take(data)
        self._dtype = DTYPE
        for remark in self._watch.take(rows):
            self.tell(remark)
        return from_float32(self._advance(to_float32(rows)), DTYPE).tobytes()

    def flush(self) -> Audio:
        """End the signal and return the remaining output.

        Zeros are fed until all output is out; the total output is then `latency_samples` longer than the input.
        Call `reset` before the next signal.

        Returns
        -------
        dtype and layout of the last chunk
            Always the samples alone, after pairs too.
        """
        self._require_open("flush")
        for remark in self._end():
            self.tell(remark)
        return self._give(self._finish())

    def flush_bytes(self) -> bytes:
        """Like `flush`, as interleaved 16-bit little-endian samples."""
        self._require_open("flush_bytes")
        for remark in self._end():
            self.tell(remark)
        return from_float32(self._finish(), DTYPE).tobytes()

    @overload
    def over(self, source: AsyncIterable[Any]) -> AsyncIterator[Any]: ...
    @overload
    def over(self, source: Iterable[Any]) -> Iterator[Any]: ...
    def over(self, source: Any) -> Any:
        """Enhance a signal chunk by chunk, from its beginning to its end.

        Joined, the output is aligned with the input and exactly as long: `latency_samples` are left out at the
        beginning, and the end is flushed.  The stream is reset before and after.

        Parameters
        ----------
        source : iterable or asynchronous iterable of chunks
            As `process` or `process_bytes` takes them: arrays, pairs or bytes.

        Returns
        -------
        iterator, asynchronous if `source` is
            Chunks in the form of those of `source`, without empty ones.

        Raises
        ------
        SignalError
            If `source` is one array, bytes, a path or no iterable, or the stream is closed.
        """
        self._require_open("over")
        require_source(source)
        return enhance_each_async(self, source) if isinstance(source, AsyncIterable) else enhance_each(self, source)

    def reset(self) -> None:
        """Forget the signal; the stream is then indistinguishable from a new one."""
        self._require_open("reset")
        self._denoiser.reset()
        self._pending = self._pending[:0]
        self._dtype = np.dtype(np.float32)
        self._layout.reset()
        self._unpacker.end()
        self._watch.reset()

    def _require_open(self, call: str) -> None:
        if self._closed:
            raise SignalError(f"{call}: this stream is closed, as at the end of its with block; make another one")

    def _end(self) -> list[str]:
        """Remarks that can only be made at the end of the signal."""
        return [*self._watch.take(np.zeros((0, *self._tail), self._dtype), last=True), *self._unpacker.end()]

    def _give(self, samples: F32) -> Audio:
        """Convert samples to the dtype and layout of the last chunk."""
        return self._layout.back(from_float32(samples, self._dtype))

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
