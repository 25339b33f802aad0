"""Compiled head above the network's band: see `rtdenoise.methods.can.layers.above`.

Arrays have the bands last, so that every loop over bands is one over neighbouring numbers.  All sixteen bands are
computed at every rate; gains of those that a rate lacks are not used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rtdenoise.kernels.clean_speech.clarity import clear_share, clear_weight
from rtdenoise.kernels.elementary import exponential, logarithm
from rtdenoise.kernels.jit import kernel
from rtdenoise.methods.can.layers import above, features
from rtdenoise.methods.can.layers.above import Head
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.typing import C64, F32, Record

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_POWER_FLOOR = np.float32(features.POWER_FLOOR)
_FLOOR_EXPONENT = np.float32(features.FLOOR_EXPONENT)
_SLOPE = np.float32(above.SLOPE)
_PER_CLOSING, _PER_CLOSED = np.float32(1.0 / above.CLOSING), np.float32(1.0 / above.CLOSED)
_KEPT_TINY, _KEPT_MIN = np.float32(above.KEPT_TINY), np.float32(above.KEPT_MIN)
_N_BELOW, _N_ABOVE, _N_KEPT, _ROWS = above.N_BELOW, above.N_ABOVE, above.N_KEPT, above.ROWS
_N_BANDS = _N_BELOW + _N_ABOVE
_FIRST, _SECOND, _LEVELS, _NEIGHBOURS = above.FIRST, above.SECOND, above.LEVELS, above.NEIGHBOURS


def head_weights(wide: int) -> list[tuple[Any, ...]]:
    """Fields of the weights behind a stack of `wide` channels; ``has_head`` is 0 without a head."""
    shapes = above.shapes(wide)
    transposed = {"local", "place", "second"}
    return [
        ("has_head", "i8"),
        *((f"head_{name}", "f4", shape[::-1] if name in transposed else shape) for name, shape in shapes.items()),
        ("head_edge", "i8"),  # first bin above the network's
        ("head_width", "i8"),  # bins of a band
        ("head_kept", "i8", (_N_KEPT + 1,)),  # bins where the bands begin whose kept energy is read, and the end
    ]


def fill_head(weights: Any, head: Head, spec: CanSpec) -> None:
    """Set the fields of `head_weights`."""
    weights["has_head"] = 1
    weights["head_reduce"][: spec.width] = head.reduce
    for name in ("reduce_bias", "shared", "second_bias", "last", "last_bias", "skip"):
        weights[f"head_{name}"] = getattr(head, name)
    for name in ("local", "place", "second"):
        weights[f"head_{name}"] = getattr(head, name).T
    weights["head_edge"], weights["head_width"] = above.bands_from(spec)
    edges = [round(hz * spec.frame / spec.sample_rate) for hz in above.KEPT_HZ]
    weights["head_kept"] = [*edges[:-1], edges[-1] + 1]


def head_memory() -> list[tuple[Any, ...]]:
    """Fields of what a head remembers and writes."""
    return [
        ("head_means", "f4", (3, _N_BANDS)),  # of log power, of a negative power of the power, of recent power
        ("head_ages", "f4", (3,)),  # the same means of ones
        ("head_levels", "f4", (_LEVELS, _N_BANDS + 1)),  # the band after the last one repeats it
        ("head_shared", "f4", (_N_KEPT + _ROWS,)),
        ("head_first", "f4", (_FIRST, _N_ABOVE)),
        ("head_second", "f4", (_SECOND, _N_ABOVE)),
        ("head_gains", "f4", (_N_ABOVE,)),
        ("head_step", "f4"),  # of the recent mean
    ]


def recent_step(hop_seconds: float) -> float:
    """Weight of the newest hop in the recent mean."""
    return 1.0 - math.exp(-hop_seconds / above.RECENT_SECONDS)


@kernel
def mask_by_head(heard: C64, masked: C64, frames: Record, weights: Record, state: Record) -> None:
    """Apply the head's gains to all bins above the network's; what clean recordings lost is restored as below.

    Parameters
    ----------
    heard, masked : (n_bins,) complex64, read
        The network's bins before and after its mask.
    frames : record of `rtdenoise.methods.can.compiled.grid.frames_dtype`, read and written
    weights : record with `head_weights`, read
    state : record with `head_memory` and the stack's rows of this hop, read and written
        Of a rate without such bins nothing is read.
    """
    n_above = frames.spectrum.size - heard.size
    if n_above <= 0:
        return
    width = weights.head_width
    n_bands = min(max((n_above + width // 2) // width, 1), _N_ABOVE)
    measure(heard, frames, n_bands, weights, state)
    read_shared(heard, masked, weights, state)
    decide(weights, state)
    share, gain_min, gains = clear_share(state.energies), state.gain_min, state.head_gains
    for b in range(_N_ABOVE):
        gain = max(gains[b], gain_min)
        gains[b] = gain + clear_weight(gain, share, gain_min) * (_ONE - gain)
    spread(gains[:n_bands], width, frames.spectrum[heard.size :])


@kernel
def measure(heard: C64, frames: Record, n_bands: int, weights: Record, state: Record) -> None:
    """Write ``head_levels`` of the bands below and of `n_bands` above, from their mean power."""
    means, ages, levels, spectrum = state.head_means, state.head_ages, state.head_levels, frames.spectrum
    width, edge = weights.head_width, weights.head_edge
    steps = weights.mean_step, weights.floor_step, state.head_step
    for kind in range(3):
        ages[kind] += steps[kind] * (_ONE - ages[kind])
    scale = frames.scale * frames.scale
    for b in range(_N_BELOW):
        start = edge + (b - _N_BELOW) * width
        levels[0, b] = mean_power(heard[start : start + width])
    for b in range(_N_BELOW, _N_BELOW + n_bands):
        start = edge + (b - _N_BELOW) * width
        levels[0, b] = scale * mean_power(spectrum[start : min(start + width, spectrum.size)])
    for b in range(_N_BELOW + n_bands):
        power = levels[0, b]
        log = logarithm(power + _POWER_FLOOR)
        means[0, b] += steps[0] * (log - means[0, b])
        means[1, b] += steps[1] * (exponential(_FLOOR_EXPONENT * log) - means[1, b])
        means[2, b] += steps[2] * (power - means[2, b])
        floor = logarithm(means[1, b] / ages[1]) * (_ONE / _FLOOR_EXPONENT)
        levels[0, b] = log
        levels[1, b] = log - means[0, b] / ages[0]
        levels[2, b] = log - floor
        levels[3, b] = logarithm(means[2, b] / ages[2] + _POWER_FLOOR) - floor
    top = _N_BELOW + n_bands
    for kind in range(_LEVELS):
        levels[kind, top] = levels[kind, top - 1]


@kernel
def mean_power(bins: C64) -> np.float32:
    """Mean of ``|X|**2``, from four sums that do not wait for each other."""
    a, b, c, d = _ZERO, _ZERO, _ZERO, _ZERO
    n = bins.size // 4 * 4
    for k in range(0, n, 4):
        a += bins[k].real * bins[k].real + bins[k].imag * bins[k].imag
        b += bins[k + 1].real * bins[k + 1].real + bins[k + 1].imag * bins[k + 1].imag
        c += bins[k + 2].real * bins[k + 2].real + bins[k + 2].imag * bins[k + 2].imag
        d += bins[k + 3].real * bins[k + 3].real + bins[k + 3].imag * bins[k + 3].imag
    for k in range(n, bins.size):
        a += bins[k].real * bins[k].real + bins[k].imag * bins[k].imag
    return ((a + b) + (c + d)) / np.float32(bins.size)


@kernel
def read_shared(heard: C64, masked: C64, weights: Record, state: Record) -> None:
    """Write ``head_shared``: log shares of kept energy, and the stack's rows, reduced."""
    shared, rows, edges = state.head_shared, state.rows[state.newest], weights.head_kept
    for band in range(_N_KEPT):
        start, stop = edges[band], edges[band + 1]
        n = np.float32(stop - start)
        before, after = n * mean_power(heard[start:stop]), n * mean_power(masked[start:stop])
        shared[band] = logarithm(max((after + _KEPT_TINY) / (before + _KEPT_TINY), _KEPT_MIN))
    reduced, table = shared[_N_KEPT:], weights.head_reduce
    reduced[:] = weights.head_reduce_bias
    for i in range(0, rows.size, 4):  # the padded width, a multiple of 64
        a, b, c, d = rows[i], rows[i + 1], rows[i + 2], rows[i + 3]
        for j in range(_ROWS):
            reduced[j] += (a * table[i, j] + b * table[i + 1, j]) + (c * table[i + 2, j] + d * table[i + 3, j])


@kernel
def decide(weights: Record, state: Record) -> None:
    """Write ``head_gains`` of all bands, in (0, 1), from ``head_levels`` and ``head_shared``."""
    run_first(weights, state)
    levels, first, second, gains = state.head_levels, state.head_first, state.head_second, state.head_gains
    skip, last_bias = weights.head_skip, weights.head_last_bias[0]
    for b in range(_N_ABOVE):
        gains[b] = last_bias + (levels[1, _N_BELOW + b] * skip[0] + levels[2, _N_BELOW + b] * skip[1])
    for j in range(_SECOND):
        for b in range(_N_ABOVE):
            second[j, b] = weights.head_second_bias[j]
        for i in range(_FIRST):
            for b in range(_N_ABOVE):
                second[j, b] += weights.head_second[j, i] * first[i, b]
        for b in range(_N_ABOVE):
            gains[b] += weights.head_last[j] * max(second[j, b], _SLOPE * second[j, b])
    closed = min(exponential(_HALF * state.head_shared[_N_KEPT - 1]) * _PER_CLOSED, _ONE)
    for b in range(_N_ABOVE):
        gain = _ONE / (_ONE + exponential(-gains[b]))
        gains[b] = gain * min(gain * _PER_CLOSING, _ONE) * closed


@kernel
def run_first(weights: Record, state: Record) -> None:
    """Write ``head_first``: what the first layer makes of each band, its neighbours and what all bands share."""
    levels, shared, first, local = state.head_levels, state.head_shared, state.head_first, weights.head_local
    for j in range(_FIRST):
        offset = _ZERO
        for i in range(_N_KEPT + _ROWS):
            offset += shared[i] * weights.head_shared[i, j]
        for b in range(_N_ABOVE):
            first[j, b] = offset + weights.head_place[j, b]
        for i in range(_LEVELS):
            for b in range(_N_ABOVE):
                first[j, b] += local[j, i] * levels[i, _N_BELOW + b]
        for i in range(_NEIGHBOURS):
            under, over = local[j, _LEVELS + i], local[j, _LEVELS + _NEIGHBOURS + i]
            for b in range(_N_ABOVE):
                first[j, b] += under * levels[i, _N_BELOW - 1 + b] + over * levels[i, _N_BELOW + 1 + b]
        for b in range(_N_ABOVE):
            first[j, b] = max(first[j, b], _SLOPE * first[j, b])


@kernel
def spread(gains: F32, width: int, bins: C64) -> None:
    """Multiply bins by the gains of their bands, linear between the centres of bands and constant beyond them.

    Parameters
    ----------
    gains : (n_bands,) float32, read
    width : int
        Bins of a band; the centre of the first one is ``bins[width // 2 - 1]``.
    bins : (n_above,) complex64, read and written
    """
    half, last = width // 2 - 1, gains.size - 1
    for k in range(min(half + 1, bins.size)):
        bins[k] *= gains[0]
    per_bin = _ONE / np.float32(width)
    for b in range(last):
        start, step = half + b * width, (gains[b + 1] - gains[b]) * per_bin
        for i in range(1, min(width + 1, bins.size - start)):
            bins[start + i] *= gains[b] + np.float32(i) * step
    for k in range(half + last * width + 1, bins.size):
        bins[k] *= gains[last]
