"""Run a whole signal through a stream and leave out its delay: as many samples come out as go in."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rtdenoise.errors import SignalError, shortened
from rtdenoise.streaming.forms.packed import DTYPE, is_packed
from rtdenoise.typing import Audio

if TYPE_CHECKING:
    from rtdenoise.streaming.session import Stream


class Aligned:
    """One signal through a stream, without the first `latency_samples` of the output.

    Chunks are arrays, pairs of rate and array, or bytes; each comes out in its own form.

    Parameters
    ----------
    stream : Stream
        Reset at the beginning and at the end of the signal.
    """

    def __init__(self, stream: Stream) -> None:
        stream.reset()
        self._stream = stream
        self._late = stream.latency_samples
        self._form: type = np.ndarray  # of the last chunk

    def take(self, chunk: Any) -> Any:
        """Enhance a chunk and return what is ready, possibly nothing."""
        if is_packed(chunk):
            self._form = bytes
            return self._without_delay(self._stream.process_bytes(chunk))
        out = self._stream.process(chunk)
        self._form = type(out)
        return (out[0], self._without_delay(out[1])) if isinstance(out, tuple) else self._without_delay(out)

    def finish(self) -> Any:
        """Return the rest of the signal, in the form of the last chunk."""
        if self._form is bytes:
            rest: Any = self._without_delay(self._stream.flush_bytes())
        else:
            rest = self._without_delay(self._stream.flush())
        self._stream.reset()
        return (self._stream.sample_rate, rest) if self._form is tuple else rest

    def _without_delay(self, out: Any) -> Any:
        if isinstance(out, bytes):
            width = DTYPE.itemsize * self._stream.channels
            dropped = min(self._late, len(out) // width)
            self._late -= dropped
            return out[dropped * width :]
        time_last = out.ndim == 2 and self._stream.channels_first
        dropped = min(self._late, out.shape[-1 if time_last else 0])
        self._late -= dropped
        return out[..., dropped:] if time_last else out[dropped:]


def require_source(source: Any) -> None:
    """Raise unless `source` gives chunks.

    Raises
    ------
    SignalError
        For one array, bytes or a path, and for what cannot be iterated over.
    """
    if isinstance(source, np.ndarray) or is_packed(source) or isinstance(source, (str, memoryview)):
        raise SignalError(
            f"over takes the chunks of a signal, one after the other, not one {type(source).__name__}; "
            "rtdenoise.denoise takes a whole array"
        )
    if not isinstance(source, (Iterable, AsyncIterable)):
        raise SignalError(f"over takes an iterable of chunks, also an asynchronous one, not {shortened(source)}")


def enhance_each(stream: Stream, source: Iterable[Any]) -> Iterator[Any]:
    """Enhance the chunks of `source`; see `Stream.over`."""
    signal, any_came = Aligned(stream), False
    for chunk in source:
        any_came = True
        out = signal.take(chunk)
        if _length(out):
            yield out
    if any_came and _length(rest := signal.finish()):
        yield rest


async def enhance_each_async(stream: Stream, source: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Enhance the chunks of `source`; see `Stream.over`."""
    signal, any_came = Aligned(stream), False
    async for chunk in source:
        any_came = True
        out = signal.take(chunk)
        if _length(out):
            yield out
    if any_came and _length(rest := signal.finish()):
        yield rest


def _length(out: bytes | Audio | tuple[int, Audio]) -> int:
    samples = out[1] if isinstance(out, tuple) else out
    return len(samples) if isinstance(samples, bytes) else int(samples.size)
