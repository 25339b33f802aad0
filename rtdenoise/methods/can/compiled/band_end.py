"""Find where the band of a recording ends, and fill what a network reads above it.

A network trained on full bands takes an empty one for a deep pause, and attenuates the speech below it as well.  So
above the end of the band it reads an image of what lies just below, and its mask is applied to the signal itself.  A
band ends at a cliff.  Resamplers, codecs, Bluetooth and telephones produce one; rooms, voices and microphones do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.methods.can.layers import features
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import C64, F32, Record
from rtdenoise.units import amplitude_from_db, power_from_db

DROP_DB = 23.0
"""Least height of a cliff: how far the loudest power above it lies below that of each group of bins just below it."""
FALL_DB_PER_SECOND = 6.0
"""Decay of these loudest powers, slow enough that a pause between two fricatives does not look like a cliff."""
N_FRAMES_MAX = 16
"""Most frames of past powers that are kept.  A power counts as among the loudest only if it lasts longer than a frame:
an abrupt start and a click have every frequency, and would hide the end of the band for seconds."""
LOWEST_HZ = 2900.0
"""Lowest end of a band: telephones reach 3.4 kHz, and a loud sound with little above it is not a band."""
GROUP, N_BELOW, N_WITHIN = 4, 4, 2
"""Bins of a group; groups that are compared below a cliff; groups that its slope may span."""
ROLL_OFF = 24
"""At a rate below the network's own, resamplers roll off the top of the band: its last twenty-fourth is not read."""
FOLD, FOLD_LOW = 32, 64
"""Bins that the image repeats, downwards and upwards in turn: 1 kHz, so that it holds no strong low harmonics; 2 kHz at
rates below the network's own, for which networks have learnt from such an image."""
IMAGE_DB_PER_BIN, IMAGE_DB_PER_BIN_LOW = -0.24, -0.12
"""Slope of the image from the end of the band on; at rates below the network's own."""
_ZERO, _TINY = np.float32(0), np.float32(1e-30)
_DROP = np.float32(power_from_db(-DROP_DB))
SLOPE, SLOPE_LOW = (np.float32(amplitude_from_db(db)) for db in (IMAGE_DB_PER_BIN, IMAGE_DB_PER_BIN_LOW))
_FLOOR = np.float32(GROUP * features.POWER_FLOOR)


def band_fields(n_bins: int) -> list[tuple[Any, ...]]:
    """Fields of a record that `follow_band` reads and writes."""
    return [
        ("band_peaks", "f4", (n_bins // GROUP,)),
        ("band_now", "f4", (n_bins // GROUP,)),
        ("band_before", "f4", (N_FRAMES_MAX, n_bins // GROUP)),
        ("band_slot", "i8"),
        ("band_frames", "i8"),
        ("band_fall", "f4"),
        ("band_lowest", "i8"),
        ("band_top", "i8"),
        ("band_end", "i8"),
        ("band_fold", "i8"),
        ("band_slope", "f4"),
    ]


def fill_band(record: Any, spec: CanSpec, framing: Framing) -> None:
    """Set the constants of `band_fields`, for a stream with this framing."""
    record["band_fall"] = power_from_db(-FALL_DB_PER_SECOND * framing.hop_seconds)
    record["band_frames"] = min(-(-framing.frame // framing.hop), N_FRAMES_MAX)
    record["band_lowest"] = round(LOWEST_HZ * spec.frame / spec.sample_rate / GROUP)
    lacks = framing.n_bins < spec.n_bins
    record["band_top"] = framing.n_bins - 1 - framing.n_bins // ROLL_OFF if lacks else spec.n_bins - 1
    record["band_end"] = record["band_top"]
    record["band_fold"], record["band_slope"] = (FOLD_LOW, SLOPE_LOW) if lacks else (FOLD, SLOPE)


@kernel
def follow_band(spectrum: C64, n_read: int, state: Record) -> None:
    """Update ``band_end``, the last bin of the band, from a frame.

    Parameters
    ----------
    spectrum : (n_bins,) complex64, read
    n_read : int
        Number of bins that the rate of the stream has.
    state : record with `band_fields`, read and written
    """
    peaks, now, fall, before = state.band_peaks, state.band_now, state.band_fall, state.band_before[state.band_slot]
    n_groups = n_read // GROUP
    for group in range(n_groups):
        a, b, c, d = spectrum[GROUP * group : GROUP * (group + 1)]
        power = (a.real * a.real + a.imag * a.imag) + (b.real * b.real + b.imag * b.imag)
        power += (c.real * c.real + c.imag * c.imag) + (d.real * d.real + d.imag * d.imag)
        power += _FLOOR
        peaks[group] = max(peaks[group] * fall, min(power, before[group]))
        now[group] = max(peaks[group], power)
        before[group] = power
    state.band_slot = (state.band_slot + 1) % state.band_frames
    last = last_group(now[:n_groups], state.band_lowest)
    state.band_end = state.band_top if last == n_groups - 1 else min(GROUP * (last + 1) - 1, state.band_top)


@kernel
def last_group(peaks: F32, lowest: int) -> int:
    """Last group of bins before the lowest cliff, or the last of all.

    Parameters
    ----------
    peaks : (n_groups,) float32, read
        Loudest powers of the last seconds, and of this frame.
    lowest : int
        First group that may be the last of a band.
    """
    last, above = peaks.size - 1, _ZERO
    for group in range(peaks.size - 2 - N_WITHIN, max(lowest, N_BELOW - 1) - 1, -1):
        above = max(above, peaks[group + 1 + N_WITHIN])
        if above < _DROP * peaks[group]:
            below = peaks[group]
            for other in range(group - N_BELOW + 1, group):
                below = min(below, peaks[other])
            if above < _DROP * below:
                last = group
    return last


@kernel
def fill_above(spectrum: C64, end: int, fold: int, slope: np.float32) -> None:
    """Replace what is above bin `end` by an image of the `fold` bins just below: (n_bins,) complex64, read and written.

    `slope`: gain from bin to bin.
    """
    gain, at, step = np.float32(1), end, -1
    for k in range(end + 1, spectrum.size):
        at += step
        if at == end - fold or at == end:
            step = -step
        gain *= slope
        spectrum[k] = spectrum[at] * gain


@kernel
def fill_each(read: C64, states: np.ndarray) -> None:
    """`follow_band` and `fill_above` for many streams: (n_streams, n_bins), records with `band_fields`."""
    for stream in range(states.size):
        follow_band(read[stream], read.shape[1], states[stream])
        fill_above(read[stream], states[stream].band_end, states[stream].band_fold, states[stream].band_slope)


@kernel
def mask_above_each(read: C64, heard: C64, records: np.ndarray, states: np.ndarray) -> None:
    """Apply to the bins above the band what a network did to their image.

    Parameters
    ----------
    read, heard : (n_streams, n_bins) complex64, read
        With the image, and without.
    records : (n_streams,) records with the field ``spectrum``, read and written
        What the network made of `read`.
    states : (n_streams,) records with `band_fields`, read
    """
    for stream in range(states.size):
        masked = records[stream].spectrum
        for k in range(states[stream].band_end + 1, masked.size):
            image = read[stream, k]
            power = image.real * image.real + image.imag * image.imag
            change = masked[k] * np.conj(image) / max(power, _TINY)
            masked[k] = np.complex64(heard[stream, k] * change)
