"""The layout of a stream's chunks: which axis is time, kept from chunk to chunk."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.typing import F32, Audio


class Layout:
    """Turns chunks of any layout into rows of time and what comes out back again.

    Parameters
    ----------
    channels : int
    channels_first : bool, optional
        Whether chunks are ``(channels, n)``; if None, their shape decides.

    Attributes
    ----------
    first : bool or None
        Whether the chunks so far are ``(channels, n)``; None before the first that says so.
    """

    def __init__(self, channels: int, channels_first: bool | None) -> None:
        self._channels, self._asked = channels, channels_first
        self.reset()

    def reset(self) -> None:
        """Forget the layout of the chunks before."""
        self.first = self._asked
        self._columns = False  # whether a mono stream receives 2-D chunks

    def rows(self, chunk: Audio) -> Audio:
        """Return the chunk as ``(n,)`` or ``(n, channels)`` and remember its layout.

        Raises
        ------
        SignalError
            If its shape does not fit.
        """
        first = self._is_first(chunk.shape)
        if chunk.ndim == 2 and self._channels == 1:
            self.first, self._columns = first, True
            return chunk.reshape(-1)
        self._columns = False
        return chunk.T if first else chunk

    def back(self, rows: F32 | Audio) -> Audio:
        """Return ``(n,)`` or ``(n, channels)`` in the layout of the last chunk."""
        if self._columns:
            return rows[np.newaxis] if self.first else rows[:, np.newaxis]
        return rows.T if self.first and rows.ndim == 2 else rows

    def _is_first(self, shape: tuple[int, ...]) -> bool:
        """Whether a chunk of this shape is ``(channels, n)``."""
        channels, asked = self._channels, self._asked
        if len(shape) == 1 and channels == 1:
            return False
        fits_last = len(shape) == 2 and shape[1] == channels and asked is not True
        fits_first = len(shape) == 2 and shape[0] == channels and asked is not False
        if not (fits_last or fits_first):
            raise SignalError(self._shape_message(shape))
        if fits_last and fits_first:
            self.first = bool(self.first)
            return self.first
        if channels > 1:
            if self.first not in (None, fits_first):
                raise SignalError(
                    f"a chunk of shape {shape} is laid out otherwise than the chunks before; "
                    f"say channels_first={fits_first} when the stream is made"
                )
            self.first = fits_first
        return fits_first

    def _shape_message(self, shape: tuple[int, ...]) -> str:
        channels, asked = self._channels, self._asked
        layouts = [f"(n, {channels})"] * (asked is not True) + [f"({channels}, n)"] * (asked is not False)
        wanted = "(n,)" if channels == 1 else " or ".join(layouts)
        hint = ""
        if len(shape) == 1 and channels > 1:
            hint = f"; interleaved samples fit as chunk.reshape(-1, {channels})"
        elif len(shape) == 2 and channels == 1:
            hint = "; for several channels give channels= when the stream is made"
        elif len(shape) == 2 and asked is not None and channels in shape:
            hint = f"; it was made with channels_first={asked}"
        return f"a chunk of shape {shape} does not fit this stream; it takes {wanted}{hint}"
