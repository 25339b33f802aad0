"""Array aliases and the `Denoiser` protocol that every method and adapter implements."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

F32: TypeAlias = npt.NDArray[np.float32]
F64: TypeAlias = npt.NDArray[np.float64]
C64: TypeAlias = npt.NDArray[np.complex64]
Audio: TypeAlias = npt.NDArray[Any]
"""Samples as supplied by the user: float32, float64 or int16, ``(n,)`` or ``(n, channels)``."""
Record: TypeAlias = Any
"""One element of a structured array, as nopython code sees it (attribute access)."""


@runtime_checkable
class Denoiser(Protocol):
    """Removes noise from one stream of speech, one hop at a time.

    The seven laws (checked by ``tests/contract``): *length*, *alignment*, *causality*, *reset*, *aliasing*, *sanity*,
    *real time*.  See docs/methods.md, "The contract".
    """

    @property
    def sample_rate(self) -> int:
        """Samples per second, in and out, in Hz."""

    @property
    def hop(self) -> int:
        """Samples read and written by each `process`."""

    @property
    def channels(self) -> int:
        """1: blocks are ``(hop,)``; more: blocks are ``(hop, channels)``."""

    @property
    def latency_samples(self) -> int:
        """Delay of the output relative to the input, in samples; exact and constant."""

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop.

        Parameters
        ----------
        block : (hop,) or (hop, channels) float32, read
            The next samples, full scale 1.0.
        out : same shape, float32, written
            The enhanced signal, delayed by `latency_samples`.  May be `block` itself.
        """

    def reset(self) -> None:
        """Clear the state: afterwards indistinguishable from a new object."""
