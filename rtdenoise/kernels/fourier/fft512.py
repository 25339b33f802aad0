"""Real Fourier transform of 512 samples, the frame length at 16 kHz, twice as fast as the library.

The two transforms take most of the time of a hop.  Stockham's self-sorting radix-4 transform of the 256 packed samples
on separate real and imaginary parts, then the step to the real transform.  Sizes are literals: with them the compiler
can prove that no two arrays overlap and vectorises, which it does not for sizes passed as arguments.  All other lengths
use `rtdenoise.kernels.fourier.general`.

Source: Van Loan (1992), "Computational frameworks for the fast Fourier transform", algorithm 1.7.2 with radix 4, and
section 4.3.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import C64, F32, Record

LENGTH = 512
_HALF = np.float32(0.5)


def fields() -> list[tuple[Any, ...]]:
    """Record fields of the transform, in records of all lengths: of a fixed size, so that they belong to the type."""
    m = LENGTH // 2
    scratch = ("fft_real", "fft_imag", "fft_real_2", "fft_imag_2")
    return [
        *((name, "f4", (m,)) for name in scratch),
        *((name, "f4", (m - 1,)) for name in ("fft_turns_real", "fft_turns_imag")),
        *((name, "f4", (m,)) for name in ("fft_half_real", "fft_half_imag")),
    ]


def fill(record: Any, n: int) -> None:
    """Write the twiddle factors: stage by stage, then those between the packed and the real transform."""
    if n != LENGTH:
        return
    parts = []
    for length in (256, 64, 16, 4):
        place = np.arange(length // 4)
        parts += [np.exp(-2j * np.pi * place * j / length) for j in (1, 2, 3)]
    turns, half = np.concatenate(parts), np.exp(-2j * np.pi * np.arange(LENGTH // 2) / LENGTH)
    record["fft_turns_real"], record["fft_turns_imag"] = turns.real, turns.imag
    record["fft_half_real"], record["fft_half_imag"] = half.real, half.imag


@kernel_apart
def _first_stage(xr: F32, xi: F32, yr: F32, yi: F32, wr: F32, wi: F32, m: int) -> None:
    """Radix-4 stage of `m` butterflies of one column: from four samples `m` apart to four adjacent ones."""
    for p in range(m):
        sr, si = xr[p] + xr[p + 2 * m], xi[p] + xi[p + 2 * m]
        tr, ti = xr[p] - xr[p + 2 * m], xi[p] - xi[p + 2 * m]
        ur, ui = xr[p + m] + xr[p + 3 * m], xi[p + m] + xi[p + 3 * m]
        vr, vi = xr[p + m] - xr[p + 3 * m], xi[p + m] - xi[p + 3 * m]
        yr[4 * p] = sr + ur
        yi[4 * p] = si + ui
        er, ei, fr, fi, gr, gi = tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr
        yr[4 * p + 1] = er * wr[p] - ei * wi[p]
        yi[4 * p + 1] = er * wi[p] + ei * wr[p]
        yr[4 * p + 2] = fr * wr[m + p] - fi * wi[m + p]
        yi[4 * p + 2] = fr * wi[m + p] + fi * wr[m + p]
        yr[4 * p + 3] = gr * wr[2 * m + p] - gi * wi[2 * m + p]
        yi[4 * p + 3] = gr * wi[2 * m + p] + gi * wr[2 * m + p]


@kernel_apart
def _stage(xr: F32, xi: F32, yr: F32, yi: F32, wr: F32, wi: F32, first: int, m: int, s: int) -> None:
    """Radix-4 stage of `m` butterflies of `s` columns; twiddle factors start at index `first`."""
    step = m * s
    for p in range(m):
        w1r, w1i = wr[first + p], wi[first + p]
        w2r, w2i = wr[first + m + p], wi[first + m + p]
        w3r, w3i = wr[first + 2 * m + p], wi[first + 2 * m + p]
        a, b = p * s, 4 * p * s
        for q in range(s):
            sr, si = xr[a + q] + xr[a + 2 * step + q], xi[a + q] + xi[a + 2 * step + q]
            tr, ti = xr[a + q] - xr[a + 2 * step + q], xi[a + q] - xi[a + 2 * step + q]
            ur, ui = xr[a + step + q] + xr[a + 3 * step + q], xi[a + step + q] + xi[a + 3 * step + q]
            vr, vi = xr[a + step + q] - xr[a + 3 * step + q], xi[a + step + q] - xi[a + 3 * step + q]
            yr[b + q] = sr + ur
            yi[b + q] = si + ui
            er, ei, fr, fi, gr, gi = tr + vi, ti - vr, sr - ur, si - ui, tr - vi, ti + vr
            yr[b + s + q] = er * w1r - ei * w1i
            yi[b + s + q] = er * w1i + ei * w1r
            yr[b + 2 * s + q] = fr * w2r - fi * w2i
            yi[b + 2 * s + q] = fr * w2i + fi * w2r
            yr[b + 3 * s + q] = gr * w3r - gi * w3i
            yi[b + 3 * s + q] = gr * w3i + gi * w3r


@kernel_apart
def transform(ar: F32, ai: F32, br: F32, bi: F32, wr: F32, wi: F32) -> None:
    """Complex transform of 256 samples in `a`, in place; `b` is scratch, `w` the twiddle factors; all float32."""
    _first_stage(ar, ai, br, bi, wr, wi, 64)
    _stage(br, bi, ar, ai, wr, wi, 192, 16, 4)
    _stage(ar, ai, br, bi, wr, wi, 240, 4, 16)
    _stage(br, bi, ar, ai, wr, wi, 252, 1, 64)


@kernel_apart
def finish_spectrum(real: F32, imag: F32, half_real: F32, half_imag: F32, spectrum: C64) -> None:
    """Convert the transform of the packed samples, two (256,) float32, to that of the signal, (257,) complex64."""
    spectrum[0] = real[0] + imag[0]
    spectrum[256] = real[0] - imag[0]
    for k in range(1, 256):
        even_real, even_imag = _HALF * (real[k] + real[256 - k]), _HALF * (imag[k] - imag[256 - k])
        odd_real, odd_imag = _HALF * (imag[k] + imag[256 - k]), _HALF * (real[256 - k] - real[k])
        spectrum[k] = complex(
            even_real + odd_real * half_real[k] - odd_imag * half_imag[k],
            even_imag + odd_real * half_imag[k] + odd_imag * half_real[k],
        )


@kernel_apart
def start_signal(spectrum: C64, half_real: F32, half_imag: F32, real: F32, imag: F32) -> None:
    """Invert `finish_spectrum` and apply the scale; imaginary parts of the first and last bin are ignored."""
    scale = np.float32(1.0 / 512.0)
    real[0] = scale * (spectrum[0].real + spectrum[256].real)
    imag[0] = scale * (spectrum[0].real - spectrum[256].real)
    for k in range(1, 256):
        gap_real, gap_imag = spectrum[k].real - spectrum[256 - k].real, spectrum[k].imag + spectrum[256 - k].imag
        odd_real = gap_real * half_real[k] + gap_imag * half_imag[k]
        odd_imag = gap_imag * half_real[k] - gap_real * half_imag[k]
        real[k] = scale * (spectrum[k].real + spectrum[256 - k].real - odd_imag)
        imag[k] = scale * (spectrum[k].imag - spectrum[256 - k].imag + odd_real)


@kernel
def forward(signal: F32, state: Record) -> None:
    """Forward real transform of `signal` to ``state.spectrum``, unscaled.

    Parameters
    ----------
    signal : (512,) float32, read
    state : record, read and written
        The fields of `fields`, and ``spectrum``.
    """
    real, imag = state.fft_real, state.fft_imag
    for n in range(256):
        real[n] = signal[2 * n]
        imag[n] = signal[2 * n + 1]
    transform(real, imag, state.fft_real_2, state.fft_imag_2, state.fft_turns_real, state.fft_turns_imag)
    finish_spectrum(real, imag, state.fft_half_real, state.fft_half_imag, state.spectrum)


@kernel
def inverse(state: Record, signal: F32) -> None:
    """Inverse of `forward`, scaled by 1 / 512.

    Parameters
    ----------
    state : record, read and written
    signal : (512,) float32, written
    """
    real, imag = state.fft_real, state.fft_imag
    start_signal(state.spectrum, state.fft_half_real, state.fft_half_imag, real, imag)
    # swapping real and imaginary parts turns the forward transform into the inverse
    transform(imag, real, state.fft_imag_2, state.fft_real_2, state.fft_turns_real, state.fft_turns_imag)
    for n in range(256):
        signal[2 * n] = real[n]
        signal[2 * n + 1] = imag[n]
