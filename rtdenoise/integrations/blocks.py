"""Blocks of one fixed length as raw bytes, as drop-in classes take them: as many bytes come out as go in."""

from __future__ import annotations

import numbers
from typing import Any

from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError, SignalError, shortened
from rtdenoise.integrations.session import LOW
from rtdenoise.registry import build
from rtdenoise.streaming.forms.packed import DTYPE, is_packed
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.streaming.session import Stream


class ByteBlocks:
    """A mono stream over blocks of 16-bit little-endian samples.

    Parameters
    ----------
    block_samples : int
    sample_rate : int
        8 to 192 kHz.
    call : str
        Name of the function that takes the blocks, for messages.
    choice : Choice

    Attributes
    ----------
    stream : Stream

    Raises
    ------
    ConfigError
        As for `rtdenoise.stream`, and for a block of no samples.
    """

    def __init__(
        self,
        block_samples: int,
        sample_rate: int,
        call: str,
        choice: Choice,
    ) -> None:
        denoiser = build(choice.settings(LOW), sample_rate)
        if denoiser.hop != block_samples:
            denoiser = Rechunked(denoiser, block_samples)
        self.stream = Stream(denoiser)
        self._call, self._n_bytes = call, DTYPE.itemsize * block_samples

    def process(self, data: Any) -> bytes:
        """Enhance one block; the output is `Stream.latency_samples` late.

        Raises
        ------
        SignalError
            If it is not one block of bytes.
        """
        if not is_packed(data):
            raise SignalError(f"{self._call} takes bytes of 16-bit samples, not {shortened(data)}")
        if len(data) != self._n_bytes:
            raise SignalError(
                f"{self._call} takes {self._n_bytes} bytes, {self._n_bytes // DTYPE.itemsize} samples of 16 bits at "
                f"{self.stream.sample_rate} Hz, not {len(data)}; rtdenoise.stream(...).process_bytes takes any number"
            )
        return self.stream.process_bytes(data)


def whole_number(value: Any, name: str, lowest: int, highest: int) -> int:
    """Return `value` as an int if it is a whole number in the range.

    Raises
    ------
    ConfigError
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or not lowest <= value <= highest:
        raise ConfigError(f"{name}={shortened(value)} must be a whole number from {lowest} to {highest}")
    return int(value)
