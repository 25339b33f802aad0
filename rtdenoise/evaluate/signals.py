"""Speech and noise signals: reading, setting length and level, mixing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtdenoise.errors import SignalError
from rtdenoise.rates import resample
from rtdenoise.sound.opening import open_source
from rtdenoise.sound.recordings import read_recording
from rtdenoise.typing import F32, F64
from rtdenoise.units import amplitude_from_db

SAMPLE_RATE_HZ = 16000
"""Rate of mixtures and metrics, unless another one is given."""

_PAUSE_SECONDS = 0.3
_CROSSFADE_SECONDS = 0.05
_PEAK_LIMIT = 0.99


def mix_at_snr(
    clean: F64, noise: F64, snr_db: float, level_db: float, rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[F32, F32]:
    """Set the active speech level to `level_db`, the noise `snr_db` below it, and add.

    Returns
    -------
    clean, noisy : (n,) float32

    Raises
    ------
    SignalError
        If the lengths differ or one of the two is silent.
    """
    if clean.shape != noise.shape or clean.ndim != 1:
        raise SignalError(f"speech {clean.shape} and noise {noise.shape} must be equally long mono signals")
    noise_power = float(np.mean(noise**2))
    if noise_power <= 0.0 or not np.any(clean):
        raise SignalError("cannot mix a silent signal: it has no level")
    clean = clean * amplitude_from_db(level_db - active_speech_level_db(clean, rate_hz))
    noise = noise * (amplitude_from_db(level_db - snr_db) / math.sqrt(noise_power))
    noisy = clean + noise
    peak = max(float(np.max(np.abs(noisy))), float(np.max(np.abs(clean))))
    scale = min(1.0, _PEAK_LIMIT / peak)
    return (clean * scale).astype(np.float32), (noisy * scale).astype(np.float32)


def active_speech_level_db(signal: F64, sample_rate: int) -> float:
    """Level of speech without its pauses, dB re full scale power 1.

    Parameters
    ----------
    signal : (n,) float
        Full scale 1.0.

    Notes
    -----
    ITU-T P.56 (2011) method B: envelope by two first-order smoothers of 30 ms, thresholds in powers of two, hang-over
    of 200 ms, margin 15.9 dB; the crossing is interpolated linearly in dB.
    """
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    power = float(np.mean(signal**2))
    if power <= 0.0:
        return -math.inf
    smoothing = math.exp(-1.0 / (0.03 * sample_rate))
    pole = [1.0, -smoothing]
    envelope = lfilter([1.0 - smoothing], pole, lfilter([1.0 - smoothing], pole, np.abs(signal)))
    hangover = round(0.2 * sample_rate)
    # the maximum over the last `hangover` samples: threshold exceeded now or within the hang-over
    held = maximum_filter1d(envelope, hangover + 1, origin=hangover // 2, mode="constant")
    energy = power * signal.size
    previous_level, previous_margin = math.inf, -math.inf
    for exponent in range(-1, -25, -1):
        threshold_db = 20.0 * exponent * math.log10(2.0)
        active = int(np.count_nonzero(held >= 2.0**exponent))
        if active == 0:
            continue
        level = 10.0 * math.log10(energy / active)
        margin = level - threshold_db - 15.9
        if margin >= 0.0:
            if math.isinf(previous_level):
                return level
            share = previous_margin / (previous_margin - margin)
            return previous_level + share * (level - previous_level)
        previous_level, previous_margin = level, margin
    return 10.0 * math.log10(power)


def speech_of_length(
    utterances: Sequence[F64], length: int, rng: np.random.Generator, rate_hz: int = SAMPLE_RATE_HZ
) -> F64:
    """Utterances in sequence, with pauses, repeated as needed and cut to `length` samples."""
    pieces: list[F64] = []
    total = 0
    pause = int(_PAUSE_SECONDS * rate_hz)
    while total < length:
        for utterance in utterances:
            gap = np.zeros(pause // 2 + int(rng.integers(pause)))
            pieces += [_unit_level(utterance, rate_hz), gap]
            total += utterance.size + gap.size
    return np.concatenate(pieces)[:length]


def _unit_level(utterance: F64, rate_hz: int) -> F64:
    level_db = active_speech_level_db(utterance, rate_hz)
    return utterance if math.isinf(level_db) else utterance * amplitude_from_db(-26.0 - level_db)


def noise_of_length(noise: F64, length: int, rng: np.random.Generator, rate_hz: int = SAMPLE_RATE_HZ) -> F64:
    """A random stretch of `noise` without its silent ends, looped with a cross-fade if it is too short."""
    loud = np.flatnonzero(np.abs(noise) > 1e-4 * max(float(np.max(np.abs(noise))), 1e-12))
    if loud.size == 0:
        raise SignalError("the noise recording is silent")
    noise = noise[loud[0] : loud[-1] + 1]
    fade = min(int(_CROSSFADE_SECONDS * rate_hz), noise.size // 3)
    ramp = np.linspace(0.0, 1.0, fade)
    if noise.size < length + fade:
        body = noise[: noise.size - fade].copy()
        body[:fade] = np.sqrt(ramp) * body[:fade] + np.sqrt(1.0 - ramp) * noise[noise.size - fade :]
        start = int(rng.integers(body.size))
        return np.take(body, np.arange(start, start + length), mode="wrap")
    start = int(rng.integers(noise.size - length + 1))
    return noise[start : start + length].copy()


def read_mono(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> F64:
    """One recording as ``(n,)`` float64 at `rate_hz`, channels averaged.

    Raises
    ------
    AudioFileError
        If it cannot be read.
    """
    mono, rate = read_mono_as_is(path)
    return np.ascontiguousarray(mono if rate == rate_hz else resample(mono, rate, rate_hz))


def read_mono_as_is(path: Path) -> tuple[F64, int]:
    """One recording as ``(n,)`` float64, channels averaged, and its rate.

    Raises
    ------
    AudioFileError
        If it cannot be read.
    """
    samples, rate = read_recording(path)
    return samples.mean(axis=1, dtype=np.float64), rate


def rate_of(path: Path) -> int:
    """Sample rate of a recording in Hz, from its header.

    Raises
    ------
    AudioFileError
        If it cannot be read.
    """
    with open_source(path) as source:
        return int(source.encoding.sample_rate)
