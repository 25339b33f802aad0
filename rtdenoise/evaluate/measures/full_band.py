"""What an enhancer does above 8 kHz, beside what it does below: distance to the clean signal, fricatives, pauses."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.evaluate.measures.effect import power_spectrogram
from rtdenoise.sound.distortion import si_sdr_db
from rtdenoise.typing import F32, F64

EDGE_HZ = 8000.0
"""Networks that were trained at 16 kHz know nothing above."""
FRICATIVE_HZ = (8000.0, 14000.0)
FLOOR_DB = 40.0
"""Below a band's loud frames, where the distance ends: what is quieter is masked, or noise of the clean recording."""
_LOUD_PERCENTILE = 95.0
_FRICATIVE_DB = 15.0  # frames within this of the loudest ones hold a fricative
_PAUSE_DB = 40.0  # frames this far below the loudest tenth hold no speech
_FRAMES_MIN = 5
_SILENCE = 1e-20  # power of a bin; 16-bit rounding has 1e-7 and more
_CUT_DB = 100.0  # digital silence would be infinite

NAMES = ("lsd_below_db", "lsd_above_db", "fricatives_db", "attenuation_below_db", "attenuation_above_db")
"""Keys of `full_band`."""


def full_band(clean: F32, noisy: F32, enhanced: F32, rate_hz: int) -> dict[str, float]:
    """Every figure of `NAMES`; NaN where a clip has no suitable frames.

    Parameters
    ----------
    clean, noisy, enhanced : (n,) float, full scale 1.0
        Aligned.
    rate_hz : int
        Above 28 kHz, so that fricatives fit in.

    Notes
    -----
    *lsd*: `log_spectral_distance_db` up to and above 8 kHz.  *fricatives*: mean over frames of the level of `enhanced`
    from 8 to 14 kHz against `clean`, of the frames whose clean level there is within 15 dB of the 99th percentile.
    *attenuation*: noisy over enhanced power up to and above 8 kHz, in frames whose clean speech, in all bands, is 40 dB
    below the loudest tenth.

    Raises
    ------
    SignalError
        If the rate is too low or the signals differ in length.
    """
    if rate_hz < 2 * FRICATIVE_HZ[1] or not clean.shape == noisy.shape == enhanced.shape:
        shapes = ", ".join(str(signal.shape) for signal in (clean, noisy, enhanced))
        raise SignalError(f"full band: {rate_hz} Hz must be 28000 or more, and the lengths equal: {shapes}")
    spectra = [power_spectrogram(signal, rate_hz) for signal in (clean, noisy, enhanced)]
    if spectra[0].shape[0] == 0:
        return dict.fromkeys(NAMES, float("nan"))
    speech, before, after = spectra
    hz = np.linspace(0.0, rate_hz / 2, speech.shape[1])
    below, above, hiss = (hz > 0.0) & (hz <= EDGE_HZ), hz > EDGE_HZ, (hz > FRICATIVE_HZ[0]) & (hz <= FRICATIVE_HZ[1])
    pauses = speech.sum(axis=1) < 10.0 ** (-_PAUSE_DB / 10.0) * np.percentile(speech.sum(axis=1), 90)
    return {
        "lsd_below_db": _distance_db(speech[:, below], after[:, below]),
        "lsd_above_db": _distance_db(speech[:, above], after[:, above]),
        "fricatives_db": _fricatives_db(speech[:, hiss].sum(axis=1), after[:, hiss].sum(axis=1)),
        "attenuation_below_db": _attenuation_db(before[pauses][:, below], after[pauses][:, below]),
        "attenuation_above_db": _attenuation_db(before[pauses][:, above], after[pauses][:, above]),
    }


def at_own_rate(clean: F32, enhanced: F32, rate_hz: int) -> dict[str, float]:
    """Return the figures of a recording whose band goes beyond 8 kHz, at its own rate; NaN where one is undefined.

    Parameters
    ----------
    clean, enhanced : (n,) float, full scale 1.0
        Aligned.
    rate_hz : int

    Returns
    -------
    dict
        ``si_sdr_full_db``, over the whole band; ``lsd_below_db`` and ``lsd_above_db``, `log_spectral_distance_db` up to
        and above 8 kHz.
    """
    return {
        "si_sdr_full_db": si_sdr_db(clean, enhanced),
        "lsd_below_db": log_spectral_distance_db(clean, enhanced, rate_hz, (0.0, EDGE_HZ)),
        "lsd_above_db": log_spectral_distance_db(clean, enhanced, rate_hz, (EDGE_HZ, np.inf)),
    }


def log_spectral_distance_db(
    clean: F32, enhanced: F32, rate_hz: int, band_hz: tuple[float, float] = (0.0, np.inf)
) -> float:
    """Log-spectral distance in a band, dB: 0 for equal signals.

    ``mean over frames of sqrt(mean over bins of (10 log10((E + f) / (C + f)))**2)``, where ``C`` and ``E`` are powers
    of frames of 32 ms (Hann window, half overlap) and ``f`` is 40 dB below the 95th percentile of the frames' mean
    power per bin of the clean signal in the band.  All frames count, pauses too, for noise that is left there is heard.

    Parameters
    ----------
    clean, enhanced : (n,) float, full scale 1.0
        Aligned.
    rate_hz : int
    band_hz : (2,) float
        Bins above the first and up to the second frequency.
    """
    speech, after = (power_spectrogram(signal, rate_hz) for signal in (clean, enhanced))
    if speech.shape[0] == 0:
        return float("nan")
    hz = np.linspace(0.0, rate_hz / 2, speech.shape[1])
    bins = (hz > band_hz[0]) & (hz <= band_hz[1])
    return _distance_db(speech[:, bins], after[:, bins])


def _distance_db(speech: F64, after: F64) -> float:
    loud = float(np.percentile(speech.mean(axis=1), _LOUD_PERCENTILE))
    if loud <= _SILENCE:
        return float("nan")
    floor = 10.0 ** (-FLOOR_DB / 10.0) * loud
    off = 10.0 * np.log10((after + floor) / (speech + floor))
    return float(np.mean(np.sqrt(np.mean(off**2, axis=1))))


def _fricatives_db(speech: F64, after: F64) -> float:
    there = speech > max(10.0 ** (-_FRICATIVE_DB / 10.0) * float(np.percentile(speech, 99)), _SILENCE)
    if np.count_nonzero(there) < _FRAMES_MIN:
        return float("nan")
    ratio = np.maximum(after[there], 10.0 ** (-_CUT_DB / 10.0) * speech[there]) / speech[there]
    return float(np.mean(10.0 * np.log10(ratio)))


def _attenuation_db(before: F64, after: F64) -> float:
    if before.shape[0] < _FRAMES_MIN or float(before.sum()) <= _SILENCE:
        return float("nan")
    left = max(float(after.sum()), 10.0 ** (-_CUT_DB / 10.0) * float(before.sum()))
    return float(10.0 * np.log10(before.sum() / left))
