"""Random band limits, as resamplers, codecs and telephones impose them."""

from __future__ import annotations

import numpy as np
from scipy import fft

from rtdenoise.typing import F32

_NYQUIST_HZ = 8000.0
_EDGES_HZ = (3400.0, 4000.0, 5500.0, 6000.0, 7000.0, 7200.0, 7600.0, 7750.0)


def band_ended(rng: np.random.Generator, pair: F32) -> F32:
    """Voice and noise low-passed at an edge: both, or in four of ten cases one of them.

    The edge is a common one (telephones, codecs, resamplers) or any between 3.4 and 7.9 kHz; the transition above it
    is between 0 and 400 Hz wide.

    Parameters
    ----------
    rng : numpy.random.Generator
    pair : (2, n) float32
        Voice and noise at 16 kHz.

    Returns
    -------
    (2, n) float32
    """
    which = rng.random()
    chosen = slice(0, 2) if which < 0.6 else slice(0, 1) if which < 0.8 else slice(1, 2)
    common = rng.random() < 0.6
    edge = float(rng.choice(_EDGES_HZ)) if common else rng.uniform(3400.0, 7900.0)
    width = rng.uniform(1.0, 400.0)
    n = pair.shape[1]
    size = fft.next_fast_len(n + 1024, real=True)
    hz = np.arange(size // 2 + 1) * (2.0 * _NYQUIST_HZ / size)
    gain = 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - edge) / width, 0.0, 1.0))
    ended = pair.copy()
    ended[chosen] = fft.irfft(fft.rfft(pair[chosen], size) * gain.astype(np.float32), size)[:, :n]
    return ended
