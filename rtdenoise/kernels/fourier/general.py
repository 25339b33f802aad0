"""Real Fourier transforms of float32 arrays inside nopython code, without allocation."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import COMPILES, deferred, kernel
from rtdenoise.typing import C64, F32

if not COMPILES:

    def rfft(signal: F32, spectrum: C64, axes: np.ndarray) -> None:
        """See the compiled version."""
        spectrum[:] = np.fft.rfft(signal)

    def irfft(spectrum: C64, signal: F32, axes: np.ndarray) -> None:
        """See the compiled version."""
        signal[:] = np.fft.irfft(spectrum, signal.size)

else:
    r2c, c2r = (deferred("rocket_fft.lowlevel", name) for name in ("r2c", "c2r"))

    @kernel
    def rfft(signal: F32, spectrum: C64, axes: np.ndarray) -> None:
        """Forward transform, unscaled.

        Parameters
        ----------
        signal : (n,) float32, read
        spectrum : (n // 2 + 1,) complex64, written
        axes : (1,) int64, read
            Always ``[0]``; an array because building one here would allocate.

        Notes
        -----
        DUCC via rocket-fft: 0.8 us for n = 512 and, after its first call in a thread, no allocation and
        no lock (``benchmarks/allocations.py`` counts both).
        """
        r2c(signal, spectrum, axes, True, np.float32(1.0), 1)

    @kernel
    def irfft(spectrum: C64, signal: F32, axes: np.ndarray) -> None:
        """Inverse transform, scaled by ``1 / n``: ``irfft(rfft(x)) == x``.

        Parameters
        ----------
        spectrum : (n // 2 + 1,) complex64, read
        signal : (n,) float32, written
        axes : (1,) int64, read
            Always ``[0]``.
        """
        c2r(spectrum, signal, axes, False, np.float32(1.0) / np.float32(signal.size), 1)
