"""The network's grid of frequencies at any sample rate.

A frame lasts equally long at every rate, up to the rounding of `framing_at`, so its bins are equally far apart, and one
network serves all rates: it reads and masks its own bins of whatever frame there is.  Where a low rate has fewer, the
network reads an image of those that it has (`rtdenoise.methods.can.compiled.band_end`); where a high rate has more, the
network's head decides (`rtdenoise.methods.can.compiled.above`), or `mask_above` without one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.sized import Size, fill_places, header_of, sized_dtype
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.rates import check_rate
from rtdenoise.streaming.overlap_add import Framing, fill_windows, overlap_add_fields
from rtdenoise.typing import C64, Record
from rtdenoise.units import smoothing_per_hop

GUIDE_HZ = 5000.0
"""The gain above the network's band follows what is kept of the signal from here to the band's end."""
RELEASE_SECONDS = 0.005
"""Time constant of the energies compared: a hiss opens the band above at once, and its end closes it soon."""
_DEVIATION = 1.0 / 300.0
"""A hop may deviate by this share of its exact length in exchange for a frame that is fast to transform."""
_FAST_PRIMES = (2, 3, 5, 7, 11)
_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-12)


def framing_at(spec: CanSpec, sample_rate: int, span: int) -> Framing:
    """Framing of a spectral network at any whole `sample_rate` from 8 to 192 kHz.

    Frame, span and hop keep the ratios that they have at the network's own rate.  Durations of all three, the delay
    and the spacing of the bins therefore deviate from their values there as the hop does, which has to be a whole
    number of samples.

    Parameters
    ----------
    spec : CanSpec
    sample_rate : int
        In Hz.
    span : int
        Synthesis window in samples at the network's own rate: ``spec.span`` or ``spec.listening_span``; hop and frame
        are the same for both.

    Raises
    ------
    ConfigError
        If the rate is not a whole number of Hz from 8000 to 192000.

    Notes
    -----
    At `rtdenoise.registry.PROCESSING_RATES_HZ` the shipped networks deviate by less than 0.3 %.  At other rates the
    limit is 1/300 or half the distance between possible hops, whichever is larger.  Possible hops are one sample apart,
    but two where ``spec.span / spec.hop`` is odd: a span must be even.  So short hops deviate most.  Largest deviations
    of the shipped networks over all whole rates:

    =========  ========  ===============  ===========  ==============
    network    hop (ms)  8 to 16 kHz (%)  above (%)    0.33 % at most
    =========  ========  ===============  ===========  ==============
    can-ultra  2         3.13             1.57         from 75 kHz
    can-live   8         0.78             0.39         from 18.75 kHz
    can-wave   8         1.57             0.79         from 37.5 kHz
    can-small  8         0.78             0.39         from 18.75 kHz
    =========  ========  ===============  ===========  ==============
    """
    sample_rate = check_rate(sample_rate)  # first: the number of candidates grows with the rate
    hop = _hop_at(spec.hop * sample_rate / spec.sample_rate, 1 if spec.span // spec.hop % 2 == 0 else 2)
    return Framing(sample_rate=sample_rate, frame=spec.frame // spec.hop * hop, span=span // spec.hop * hop, hop=hop)


def _hop_at(exact: float, step: int) -> int:
    """Multiple of `step` nearest to `exact`; within `_DEVIATION`, the nearest that makes a transform fast."""
    near = range(step * max(1, int(exact * (1.0 - _DEVIATION) / step)), int(exact * (1.0 + _DEVIATION)) + 2, step)
    fast = [hop for hop in near if abs(hop - exact) <= _DEVIATION * exact and _is_fast(hop)]
    return min(fast, key=lambda hop: abs(hop - exact)) if fast else step * max(1, round(exact / step))


def _is_fast(n: int) -> bool:
    for prime in _FAST_PRIMES:
        while n % prime == 0:
            n //= prime
    return n == 1


@lru_cache(maxsize=64)
def frames_dtype(framing: Framing, n_bins: int, slots: tuple[int, int] = (0, 0), hops: int = 0) -> np.dtype[Any]:
    """Record dtype of the analysis and synthesis of one stream for a network of `n_bins` bins.

    With them lie the rings of past rows, of `slots` rows and columns, so that networks of equal layers share compiled
    code, however far back they reach; and the spectra of up to `hops` hops that are computed together.  All have the
    same header (`rtdenoise.kernels.sized`).
    """
    return sized_dtype(
        [
            ("n_read", "i8"),  # bins that the network reads and masks; all above them follow
            *overlap_add_fields(framing),
            ("spectra", "c8", (Size(hops), Size(framing.n_bins))),
            ("scale", "f4"),  # makes a bin's value that of the network's own rate
            ("scale_back", "f4"),
            ("guide", "i8"),  # first bin of the band that the gain above follows
            ("guide_energies", "f4", (2,)),
            ("guide_smoothing", "f4"),
            ("slots", "f4", (Size(slots[0]), Size(slots[1]))),
        ]
    )


def frames_header() -> np.dtype[Any]:
    """Header of every `frames_dtype`."""
    return header_of(frames_dtype(Framing(sample_rate=16000, frame=512, span=512, hop=256), 257))


def initial_frames(spec: CanSpec, framing: Framing, slots: tuple[int, int] = (0, 0), hops: int = 0) -> np.ndarray:
    """Return the analysis and synthesis at the beginning of a stream: (1,) record array of `frames_dtype`."""
    frames = np.zeros(1, frames_dtype(framing, spec.n_bins, slots, hops))
    fill_places(frames)
    record = frames[0]
    fill_windows(record, framing)
    record["n_read"] = min(spec.n_bins, framing.n_bins)
    record["scale"], record["scale_back"] = spec.frame / framing.frame, framing.frame / spec.frame
    record["guide"] = round(GUIDE_HZ * spec.frame / spec.sample_rate)
    record["guide_smoothing"] = smoothing_per_hop(RELEASE_SECONDS, framing.hop_seconds)
    return frames


@kernel
def read_bins(frames: Record, spectrum: C64) -> None:
    """Copy the network's bins of a frame, as they would be at its own rate.

    Parameters
    ----------
    frames : record of `frames_dtype`, read
    spectrum : (n_bins,) complex64, written
        Zero where the rate has no such bin.
    """
    scale = frames.scale
    for k in range(frames.n_read):
        spectrum[k] = frames.spectrum[k] * scale
    for k in range(frames.n_read, spectrum.size):
        spectrum[k] = _ZERO


@kernel
def write_bins(spectrum: C64, frames: Record) -> None:
    """Write masked bins back to the frame: the inverse of `read_bins`."""
    scale = frames.scale_back
    for k in range(frames.n_read):
        frames.spectrum[k] = spectrum[k] * scale


@kernel
def mask_above(heard: C64, masked: C64, frames: Record, gain_min: np.float32) -> None:
    """Apply one gain to all bins above the network's: the amplitude share that it kept of the band just below.

    ``gain = max(sqrt(kept / heard), gain_min)``, both energies from `GUIDE_HZ` on, smoothed over time.  In pauses that
    is the gain of the noise just below; while a hiss sounds, whose energy is kept, it is about one.

    Parameters
    ----------
    heard, masked : (n_bins,) complex64, read
        The network's bins before and after its mask.
    frames : record of `frames_dtype`, read and written
    gain_min : float32
        Lowest gain.
    """
    if frames.spectrum.size <= heard.size:
        return
    energies, smoothing = frames.guide_energies, frames.guide_smoothing
    there, kept = _ZERO, _ZERO
    for k in range(frames.guide, heard.size):
        there += heard[k].real * heard[k].real + heard[k].imag * heard[k].imag
        kept += masked[k].real * masked[k].real + masked[k].imag * masked[k].imag
    energies[0] = smoothing * energies[0] + (_ONE - smoothing) * there
    energies[1] = smoothing * energies[1] + (_ONE - smoothing) * kept
    gain = min(max(np.sqrt(energies[1] / (energies[0] + _TINY)), gain_min), _ONE)
    for k in range(heard.size, frames.spectrum.size):
        frames.spectrum[k] *= gain
