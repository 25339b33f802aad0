"""Short-time spectral analysis and synthesis by overlap-add, one hop at a time, over a state record.

Both work on any record that has the fields of `rtdenoise.streaming.overlap_add.overlap_add_fields`; the processing in
between (a gain, a network) modifies ``state.spectrum`` in place.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.fourier import fft512
from rtdenoise.kernels.fourier.general import irfft, rfft
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32, Record

_ZERO = np.float32(0)
_LARGEST = np.float32(1e12)  # its power in a 6144-sample frame still fits float32 with room for ratios
_SMALLEST = np.float32(1e-10)  # -200 dBFS: below any converter; keeps denormals out of every later loop


@kernel
def usable(sample: np.float32) -> np.float32:
    """`sample`, or 0 if it is NaN, infinite, absurdly large or too small to be sound."""
    magnitude = abs(sample)
    return sample if (magnitude <= _LARGEST) & (magnitude >= _SMALLEST) else _ZERO


@kernel
def analyse(block: F32, state: Record) -> None:
    """Shift `block` into the history and write the windowed spectrum.

    Parameters
    ----------
    block : (hop,) float32, read
        Unusable samples (NaN, infinite) count as 0, so that one bad sample cannot corrupt the stream for good.
    state : record, read and written
        Reads ``analysis``; shifts ``history``; writes ``windowed`` (scratch), ``spectrum`` and ``n_silent``, the number
        of consecutive zero samples at the end of the input, in whole blocks.
    """
    history, analysis, windowed = state.history, state.analysis, state.windowed
    kept = history.size - block.size
    for n in range(kept):
        windowed[n] = history[n + block.size]
    for n in range(kept):  # via another array, so that both loops vectorise
        history[n] = windowed[n]
    sounding = 0
    for n in range(block.size):
        sample = usable(block[n])
        history[kept + n] = sample
        sounding |= sample != _ZERO
    state.n_silent = 0 if sounding else state.n_silent + block.size
    for n in range(history.size):
        windowed[n] = history[n] * analysis[n]
    if windowed.size == fft512.LENGTH:
        fft512.forward(windowed, state)
    else:
        rfft(windowed, state.spectrum, state.axes)


@kernel
def synthesise(out: F32, state: Record) -> None:
    """Inverse-transform the spectrum, overlap-add it and output the finished hop.

    Parameters
    ----------
    out : (hop,) float32, written
        Complete: no later frame contributes to it.
    state : record, read and written
        Reads ``spectrum`` and ``synthesis``; writes ``windowed`` (scratch); shifts ``overlap``.
    """
    synthesis, windowed, overlap = state.synthesis, state.windowed, state.overlap
    if windowed.size == fft512.LENGTH:
        fft512.inverse(state, windowed)
    else:
        irfft(state.spectrum, windowed, state.axes)
    start = windowed.size - synthesis.size
    for n in range(synthesis.size):
        overlap[n] += windowed[start + n] * synthesis[n]
    kept = overlap.size - out.size
    for n in range(out.size):
        out[n] = overlap[n]
    for n in range(kept):
        overlap[n] = overlap[n + out.size]
    for n in range(kept, overlap.size):
        overlap[n] = _ZERO


@kernel_apart
def spectrum_power(spectrum: np.ndarray, power: F32) -> None:
    """``power = |spectrum|**2``; (n_bins,) complex64 read, (n_bins,) float32 written."""
    for k in range(power.size):
        real, imag = spectrum[k].real, spectrum[k].imag
        power[k] = real * real + imag * imag


@kernel_apart
def apply_gain(gain: F32, spectrum: np.ndarray) -> None:
    """``spectrum *= gain``; (n_bins,) float32 read, (n_bins,) complex64 read and written."""
    for k in range(gain.size):
        spectrum[k] *= gain[k]
