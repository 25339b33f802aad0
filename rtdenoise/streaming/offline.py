"""Run a streaming denoiser on a whole signal; same samples, aligned with the input."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from rtdenoise.typing import F32, Denoiser


@runtime_checkable
class RunsManyHops(Protocol):
    """A denoiser that processes many hops in one compiled call."""

    def process_hops(self, signal: F32, out: F32) -> None:
        """Like `process` over consecutive hops."""


def process_hops(denoiser: Denoiser, signal: F32, out: F32) -> None:
    """Enhance a whole number of hops, with the denoiser's `process_hops` if it has one.

    Parameters
    ----------
    denoiser : Denoiser
    signal : (n * hop,) or (n * hop, channels) float32, read
    out : same shape, float32, written; may be `signal`
    """
    if isinstance(denoiser, RunsManyHops):
        denoiser.process_hops(signal, out)
        return
    hop = denoiser.hop
    for start in range(0, signal.shape[0] - hop + 1, hop):
        denoiser.process(signal[start : start + hop], out[start : start + hop])


def run_offline(denoiser: Denoiser, signal: F32) -> F32:
    """Enhance a whole signal: bit-identical to the stream's output without its first `latency_samples`.

    Parameters
    ----------
    denoiser : Denoiser
        New or reset.  It is not reset afterwards.
    signal : (n,) or (n, channels) float32, read

    Returns
    -------
    same shape, float32
    """
    n, late = signal.shape[0], denoiser.latency_samples
    if n == 0:
        return np.array(signal)
    n_hops = -(-(n + late) // denoiser.hop)
    buffer = np.zeros((n_hops * denoiser.hop, *signal.shape[1:]), np.float32)
    buffer[:n] = signal
    process_hops(denoiser, buffer, buffer)
    return buffer[late : late + n].copy()
