"""What microphones, their drivers and codecs do to a mixture: gain control that pumps, soft clipping, coding."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from rtdenoise.errors import ConfigError
from rtdenoise.typing import F32, F64
from rtdenoise.units import amplitude_from_db, smoothing_per_hop

_RATE_HZ = 16000
_BLOCK = 64  # samples of a level
_SILENCE = 1e-9  # power
_MOST_DB = 12.0
_CODINGS = (("OGG", "OPUS"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"))
_OPUS_KBIT = (6.0, 256.0)  # what libsndfile's compression levels from 1 to 0 stand for


def pumping_gain(rng: np.random.Generator, noisy: F32) -> F32:
    """Gain of an automatic level control that follows speech too quickly, ``(n,)`` for a mixture ``(n,)``.

    The level rises within 5 to 50 ms and falls within 0.1 to 1 s; 0.3 to 0.8 of its difference from the mean, up to
    12 dB, is undone.
    """
    n_blocks = -(-noisy.size // _BLOCK)
    padded = np.zeros(n_blocks * _BLOCK, np.float32)
    padded[: noisy.size] = noisy
    power = np.mean(np.square(padded.reshape(n_blocks, _BLOCK)), axis=1) + _SILENCE
    heard_db = 10.0 * np.log10(np.maximum(power, 1e-5 * power.max()))
    rising, falling = (smoothing_per_hop(rng.uniform(*s), _BLOCK / _RATE_HZ) for s in ((0.005, 0.05), (0.1, 1.0)))
    gain_db = np.clip(
        -rng.uniform(0.3, 0.8) * (_followed(heard_db, rising, falling) - heard_db.mean()), -_MOST_DB, _MOST_DB
    )
    at = np.arange(noisy.size) / _BLOCK
    return np.asarray(10.0 ** (np.interp(at, np.arange(n_blocks), gain_db) / 20.0), np.float32)


def _followed(levels_db: F64, rising: float, falling: float) -> F64:
    """Levels smoothed by a first-order recursion, with one factor for rising and another for falling levels."""
    shown, now = np.empty_like(levels_db), float(levels_db[0])
    for number, level in enumerate(levels_db):
        now = float(level) + (rising if level > now else falling) * (now - float(level))
        shown[number] = now
    return shown


def soft_clipped(rng: np.random.Generator, noisy: F32) -> F32:
    """A mixture ``(n,)`` through an amplifier that saturates 0 to 12 dB below its highest peak."""
    ceiling = float(np.max(np.abs(noisy))) * amplitude_from_db(-rng.uniform(0.0, 12.0))
    return np.asarray(ceiling * np.tanh(noisy / ceiling), np.float32) if ceiling > 0.0 else noisy


def coded(rng: np.random.Generator, noisy: F32) -> F32:
    """A mixture ``(n,)`` coded and decoded again: Opus of 12 to 40 kbit/s, Vorbis or MP3; as long, and aligned.

    Raises
    ------
    ConfigError
        If this libsndfile lacks one of them.
    """
    container, coding = _CODINGS[rng.integers(len(_CODINGS))]
    if container not in soundfile.available_formats() or coding not in soundfile.available_subtypes(container):
        raise ConfigError(f"lossy_codec needs a libsndfile that writes {coding.lower()}; set it to 0")
    if coding == "OPUS":
        lowest, highest = _OPUS_KBIT
        level = (highest - float(np.exp(rng.uniform(np.log(12.0), np.log(40.0))))) / (highest - lowest)
    else:
        level = rng.uniform(0.3, 0.9)  # above that MP3 ends at 6 kHz, and the target would not
    file = io.BytesIO()
    form = {"format": container, "subtype": coding, "compression_level": level}
    with soundfile.SoundFile(file, "w", _RATE_HZ, 1, **form) as writer:
        for start in range(0, noisy.size, _RATE_HZ):  # libvorbis copies each piece to the stack
            writer.write(noisy[start : start + _RATE_HZ])
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0][: noisy.size]
    return np.asarray(np.pad(decoded, (0, noisy.size - decoded.size)), np.float32)
