"""A priori SNR of every bin from its neighbourhood in time and frequency: a small regression shared by all bins.

It refines ``ln xi = 1/2 ln(xi_dd + .001) + c`` of `rtdenoise.kernels.prior` with what bands cannot resolve: harmonics,
onsets, the steadiness of a bin.  48 inputs, two hidden layers, one output per bin.  Inputs are logarithms of power
ratios, hence independent of the level, and the spacing of bins in hertz is the same at every sample rate.
"""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.elementary import exponential, leak, logarithm, running_mean
from rtdenoise.kernels.fourier.general import irfft
from rtdenoise.kernels.jit import kernel, kernel_apart
from rtdenoise.typing import F32, Record

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_TINY = np.float32(1e-20)
_RATIO_MIN = np.float32(0.03)  # added before a logarithm: smaller ratios carry no information
_DECISION_MIN = np.float32(0.178)  # -15 dB: floor of the gain inside the decision-directed recursion

N_MAPS = 16
REACH = 8
"""Padding of every map at each end, in bins: copies of the outermost bin."""

(
    NOW,
    SHORT,
    MIDDLE,
    LONG,
    RISE,
    DECIDED,
    COMB,
    PEAK,
    WIDE,
    WIDER,
    UNREST,
    TILT,
    CONTEXT,
    BASE,
    LAST,
    BEFORE_LAST,
) = range(N_MAPS)
"""Rows of ``fine_maps``."""

PLACES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (NOW, (-3, -2, -1, 0, 1, 2, 3)),
    (LAST, (-1, 0, 1)),
    (BEFORE_LAST, (0,)),
    (SHORT, (-8, -5, -3, -2, -1, 0, 1, 2, 3, 5, 8)),
    (MIDDLE, (-4, -2, 0, 2, 4)),
    (LONG, (-4, 0, 4)),
    (RISE, (0,)),
    (DECIDED, (-1, 0, 1)),
    (COMB, (0,)),
    (PEAK, (0,)),
    (WIDE, (0,)),
    (WIDER, (0,)),
    (UNREST, (0,)),
    (TILT, (0,)),
    (CONTEXT, (0,)),
    (BASE, (0,)),
)
"""Maps that each bin reads, with the offsets in bins."""

N_SCALARS = 3
N_COSINES = 3
N_INPUTS = sum(len(offsets) for _, offsets in PLACES) + N_SCALARS + N_COSINES
COMB_BINS = 129
COMB_LENGTH = 512
_COMB_FIRST = 3
_LAG_MIN, _LAG_MAX = 40, 231  # out of COMB_LENGTH: pitch from 400 Hz down to 70 Hz
_MEAN_FIRST, _MEAN_END = 6, 130  # 190 to 4060 Hz


@kernel
def bin_averages(state: Record) -> None:
    """Update ``fine_averages``, ``fine_lowest``, ``fine_mean``, ``fine_variance``; write the per-bin maps.

    Parameters
    ----------
    state : record, read and written
        Reads ``power``, ``noise_psd``, ``band_spread`` (``c`` per bin), ``alpha``, ``fine_smoothing``; updates
        ``clean_psd`` as `rtdenoise.kernels.prior.wiener_by_context` does.
    """
    power, noise_psd, clean_psd, maps = state.power, state.noise_psd, state.clean_psd, state.fine_maps
    averages, lowest, mean, variance = state.fine_averages, state.fine_lowest, state.fine_mean, state.fine_variance
    smoothing = state.fine_smoothing
    first = state.n_frames == 0
    for j in range(3):
        s = _ZERO if first else smoothing[j]
        for k in range(power.size):
            averages[j, k] = s * averages[j, k] + (_ONE - s) * max(power[k], _TINY)
    for k in range(power.size):
        place = k + REACH
        inverse = _ONE / max(noise_psd[k], _TINY)
        gamma = min(power[k] * inverse, np.float32(1e8))
        maps[BEFORE_LAST, place] = maps[LAST, place]
        maps[LAST, place] = maps[NOW, place]
        maps[NOW, place] = logarithm(gamma + _RATIO_MIN)
        maps[SHORT, place] = logarithm(averages[0, k] * inverse + _RATIO_MIN)
        maps[MIDDLE, place] = logarithm(averages[1, k] * inverse + _RATIO_MIN)
        maps[LONG, place] = logarithm(averages[2, k] * inverse + _RATIO_MIN)
    for k in range(power.size):
        place = k + REACH
        noise = max(noise_psd[k], _TINY)
        rising = averages[1, k] if first else lowest[k] * smoothing[3]
        lowest[k] = min(rising, averages[1, k])
        maps[RISE, place] = logarithm(noise / max(lowest[k], _TINY) + _RATIO_MIN)
        gamma = min(power[k] / noise, np.float32(1e8))
        xi = state.alpha * clean_psd[k] / noise + (_ONE - state.alpha) * max(gamma - _ONE, _ZERO)
        decided = max(xi / (_ONE + xi), _DECISION_MIN)
        clean_psd[k] = decided * decided * power[k]
        maps[DECIDED, place] = logarithm(xi + np.float32(0.01))
        maps[CONTEXT, place] = state.band_spread[k]
        maps[BASE, place] = _HALF * logarithm(xi + np.float32(0.001)) + state.band_spread[k]
    s = _ZERO if first else smoothing[4]
    for k in range(power.size):
        level = logarithm(averages[0, k])
        mean[k] = s * mean[k] + (_ONE - s) * level
        away = level - mean[k]
        variance[k] = _ONE if first else s * variance[k] + (_ONE - s) * away * away
        maps[UNREST, k + REACH] = np.sqrt(variance[k])


@kernel
def bin_surroundings(state: Record) -> None:
    """Write the maps and scalars computed along frequency: means, tilt, peaks and the comb of a voice.

    Parameters
    ----------
    state : record, read and written
        Reads ``power``, ``noise_psd`` and the maps of `bin_averages`; writes ``fine_maps`` and ``fine_scalars``:
        comb strength, mean of the SHORT map up to 4 kHz, and the average of this mean over time.
    """
    power, noise_psd, maps, scalars = state.power, state.noise_psd, state.fine_maps, state.fine_scalars
    level, means = state.scratch, state.root
    n_bins = power.size
    total = _ZERO
    for k in range(n_bins):
        level[k] = logarithm(max(noise_psd[k], _TINY))
        total += level[k]
    for k in range(n_bins):
        maps[TILT, k + REACH] = level[k] - total / np.float32(n_bins)
        level[k] = logarithm(max(power[k], _TINY))
    running_mean(level, 6, means)
    for k in range(n_bins):
        maps[PEAK, k + REACH] = level[k] - means[k]
    running_mean(maps[SHORT, REACH : REACH + n_bins], 8, maps[WIDE, REACH : REACH + n_bins])
    running_mean(maps[SHORT, REACH : REACH + n_bins], 32, maps[WIDER, REACH : REACH + n_bins])
    end = min(_MEAN_END, n_bins)
    total = _ZERO
    for k in range(_MEAN_FIRST, end):
        total += maps[SHORT, k + REACH]
    scalars[1] = total / np.float32(max(end - _MEAN_FIRST, 1))
    s = state.fine_smoothing[5] if state.n_frames > 0 else _ZERO
    scalars[2] = s * scalars[2] + (_ONE - s) * scalars[1]
    comb(state)
    for j in range(N_MAPS):
        for k in range(REACH):
            maps[j, k] = maps[j, REACH]
            maps[j, REACH + n_bins + k] = maps[j, REACH + n_bins - 1]


@kernel
def comb(state: Record) -> None:
    """Comb of the strongest pitch in the frame: cepstral peak of the flattened log spectrum below 4 kHz.

    Parameters
    ----------
    state : record, read and written
        Reads row PEAK of ``fine_maps``, ``fine_taper``, ``fine_cosine``; writes row COMB and ``fine_scalars[0]``.

    Notes
    -----
    Noll (1967), "Cepstrum pitch determination".
    """
    maps, cepstrum, spectrum = state.fine_maps, state.fine_cepstrum, state.fine_spectrum
    n_bins = state.power.size
    for k in range(spectrum.size):
        spectrum[k] = _ZERO
    for k in range(_COMB_FIRST, min(COMB_BINS, n_bins)):
        spectrum[k] = maps[PEAK, k + REACH] * state.fine_taper[k]
    irfft(spectrum, cepstrum, state.axes)
    lag, strength = _LAG_MIN, cepstrum[_LAG_MIN]
    for n in range(_LAG_MIN, _LAG_MAX):
        if cepstrum[n] > strength:
            lag, strength = n, cepstrum[n]
    strength *= np.float32(10)
    state.fine_scalars[0] = strength
    for k in range(n_bins):
        maps[COMB, k + REACH] = strength * state.fine_cosine[k * lag % COMB_LENGTH]


@kernel_apart
def dense_rows(weights: F32, offset: F32, inputs: F32, outputs: F32) -> None:
    """``outputs = offset + weights . inputs`` for many columns at once, eight inputs per pass.

    Parameters
    ----------
    weights : (n_out, n_in) float32, read
        n_in a multiple of 8.
    offset : (n_out,) float32, read
    inputs : (n_in, n) float32, read
    outputs : (n_out, n) float32, written
    """
    x, n = inputs, inputs.shape[1]
    for j in range(weights.shape[0]):
        y, w = outputs[j], weights[j]
        for k in range(n):
            y[k] = offset[j]
        for i in range(0, weights.shape[1], 8):
            for k in range(n):
                first = (w[i] * x[i, k] + w[i + 1] * x[i + 1, k]) + (w[i + 2] * x[i + 2, k] + w[i + 3] * x[i + 3, k])
                second = (w[i + 4] * x[i + 4, k] + w[i + 5] * x[i + 5, k]) + (
                    w[i + 6] * x[i + 6, k] + w[i + 7] * x[i + 7, k]
                )
                y[k] += first + second


@kernel
def gather_inputs(state: Record) -> None:
    """Copy ``fine_maps`` and ``fine_scalars`` to ``fine_inputs``, whose last rows (positional cosines) are constant."""
    inputs, maps, n_bins = state.fine_inputs, state.fine_maps, state.power.size
    for i in range(state.fine_rows.size):
        row, shift = state.fine_rows[i], REACH + state.fine_shifts[i]
        for k in range(n_bins):
            inputs[i, k] = maps[row, k + shift]
    for j in range(N_SCALARS):
        for k in range(n_bins):
            inputs[state.fine_rows.size + j, k] = state.fine_scalars[j]


@kernel
def wiener_fine(state: Record) -> None:
    """Wiener gain from the refined a priori SNR, with a soft floor.

    ``ln xi = BASE + regression``, ``gain = gain_min + (1 - gain_min) xi / (1 + xi)``; at least the decision-directed
    gain until the averages have settled, and in a clean recording at least the gain of power subtraction, as in
    `rtdenoise.kernels.prior.wiener_by_context`.

    Parameters
    ----------
    state : record, read and written
        Reads ``power``, ``noise_psd``, ``band_spread`` and the fitted constants; writes ``gain``.
    """
    bin_averages(state)
    bin_surroundings(state)
    gather_inputs(state)
    dense_rows(state.fine_table, state.fine_offset, state.fine_inputs, state.fine_hidden)
    for j in range(state.fine_hidden.shape[0]):
        leak(state.fine_hidden[j])
    dense_rows(state.fine_second_table, state.fine_second_offset, state.fine_hidden, state.fine_second)
    for j in range(state.fine_second.shape[0]):
        leak(state.fine_second[j])
    dense_rows(state.fine_value_table, state.fine_value_offset, state.fine_second, state.fine_value)
    trust = _ONE if state.n_frames < state.n_trust else _ZERO
    gain, gain_min, maps, value = state.gain, state.gain_min, state.fine_maps, state.fine_value
    for k in range(gain.size):
        xi = exponential(maps[BASE, k + REACH] + value[0, k])
        decided = exponential(maps[DECIDED, k + REACH]) - np.float32(0.01)
        share = decided / (_ONE + decided)
        fitted = max(gain_min + (_ONE - gain_min) * (xi / (_ONE + xi)), trust * share)
        gain[k] = fitted + state.clearness * max(np.sqrt(max(share, _ZERO)) - fitted, _ZERO)
