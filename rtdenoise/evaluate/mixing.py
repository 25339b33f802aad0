"""Seeded mixtures of speech and noise: the same numbers in, the same samples out, on any machine."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.errors import AudioFileError, ConfigError, SignalError
from rtdenoise.typing import F32, F64
from rtdenoise.units import amplitude_from_db

SAMPLE_RATE_HZ = 16000
"""Every mixture is made, and every metric taken, at this rate."""

BABBLE = "babble"
"""Noise label that means: the sum of several other speakers."""

_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
_BABBLE_VOICES = (4, 6)
_PAUSE_SECONDS = 0.3
_CROSSFADE_SECONDS = 0.05
_PEAK_LIMIT = 0.99


@dataclass(frozen=True, slots=True)
class Source:
    """One recording: where it is, what it is (`label`: noise class or speaker) and how clean it is (`tier`)."""

    path: str
    label: str
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The recipe of one noisy clip; `render_mixture` makes the samples."""

    name: str
    speech: tuple[str, ...]
    noise: tuple[str, ...]
    noise_label: str
    speaker: str
    snr_db: float
    level_db: float
    seconds: float
    seed: int


def find_sources(location: Path, kind: str = "", split: str = "", tiers: Iterable[str] = ()) -> list[Source]:
    """Recordings of a folder (label: the name of the folder they are in) or of a CSV manifest.

    Parameters
    ----------
    location : Path
        A folder, searched to any depth, or a ``.csv`` with the columns ``path`` (relative to it), ``kind``, ``split``,
        ``label``, ``speaker`` and ``tier``, of which only ``path`` is required.
    kind, split, tiers
        Keep only these rows of a manifest; empty keeps all.

    Raises
    ------
    AudioFileError
        If the location does not exist or holds no audio.
    """
    if location.suffix.lower() == ".csv":
        found = _manifest_sources(location, kind, split, frozenset(tiers))
    elif location.is_dir():
        files = sorted(p for p in location.rglob("*") if p.suffix.lower() in _SUFFIXES)
        found = [Source(str(p), p.parent.name) for p in files]
    else:
        raise AudioFileError(f"{location}: no such folder or manifest")
    if not found:
        raise AudioFileError(f"{location}: no audio for kind={kind or 'any'} split={split or 'any'}")
    return found


def _manifest_sources(manifest: Path, kind: str, split: str, tiers: frozenset[str]) -> list[Source]:
    try:
        with manifest.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
    except OSError as error:
        raise AudioFileError(f"{manifest}: {error.strerror}") from error
    found = []
    for row in rows:
        unwanted = (kind and row.get("kind") != kind) or (split and row.get("split") != split)
        if unwanted or (tiers and row.get("tier") not in tiers):
            continue
        path = manifest.parent / row["path"]
        label = row.get("speaker") or row.get("label") or path.parent.name
        found.append(Source(str(path), label, row.get("tier") or ""))
    return found


def plan_mixtures(
    speech: Sequence[Source],
    noise: Sequence[Source],
    *,
    clips: int,
    seed: int,
    snrs_db: Sequence[float] = (-5.0, 0.0, 5.0, 10.0, 15.0),
    levels_db: tuple[float, float] = (-36.0, -20.0),
    seconds: float = 6.0,
    labels: Sequence[str] = (),
) -> list[Mixture]:
    """Recipes in which noise labels, SNRs and speakers take turns, so that every breakdown is balanced.

    Parameters
    ----------
    speech, noise
        Recordings to draw from.
    clips : int
        How many recipes.
    seed : int
        Same seed, same recipes.
    snrs_db
        Ratios of active speech level to noise power that take turns.
    levels_db
        Active speech level of a clip is drawn between these, dB re full scale.
    seconds : float
        Length of a clip.
    labels
        Noise labels to use, `BABBLE` among them if wanted; empty uses every label found.

    Raises
    ------
    ConfigError
        If a label is unknown or nothing was asked for.
    """
    by_speaker = _by_label(speech)
    by_label = _by_label(noise)
    chosen = list(labels) or sorted(by_label)
    unknown = [name for name in chosen if name != BABBLE and name not in by_label]
    if unknown or clips < 1 or not snrs_db:
        raise ConfigError(
            f"clips={clips} snrs={list(snrs_db)} unknown noise={unknown}; known: {', '.join(sorted(by_label))}"
        )
    rng = np.random.default_rng(seed)
    speakers = [str(name) for name in rng.permutation(sorted(by_speaker))]
    plan = []
    for i in range(clips):
        label, snr_db = chosen[i % len(chosen)], float(snrs_db[(i // len(chosen)) % len(snrs_db)])
        speaker = speakers[i % len(speakers)]
        utterances = tuple(str(p) for p in rng.permutation([s.path for s in by_speaker[speaker]])[:8])
        noises = _draw_noise(rng, label, by_label, by_speaker, speaker)
        level_db = float(np.round(rng.uniform(*levels_db), 2))
        name = f"{i:04d}_{label}_{snr_db:g}dB".replace("/", "-")
        clip_seed = int(rng.integers(2**31))
        plan.append(Mixture(name, utterances, noises, label, speaker, snr_db, level_db, seconds, clip_seed))
    return plan


def _by_label(sources: Sequence[Source]) -> dict[str, list[Source]]:
    table: dict[str, list[Source]] = {}
    for source in sources:
        table.setdefault(source.label, []).append(source)
    return table


def _draw_noise(
    rng: np.random.Generator,
    label: str,
    by_label: dict[str, list[Source]],
    by_speaker: dict[str, list[Source]],
    speaker: str,
) -> tuple[str, ...]:
    if label != BABBLE:
        return (str(rng.choice([s.path for s in by_label[label]])),)
    others = [name for name in sorted(by_speaker) if name != speaker]
    wanted = int(rng.integers(_BABBLE_VOICES[0], _BABBLE_VOICES[1] + 1))
    if len(others) < wanted:
        raise ConfigError(f"babble needs {wanted} speakers besides the wanted one; found {len(others)}")
    picked = rng.choice(others, wanted, replace=False)
    return tuple(str(rng.choice([s.path for s in by_speaker[str(name)]])) for name in picked)


def render_mixture(mixture: Mixture) -> tuple[F32, F32]:
    """Make one clip.

    Returns
    -------
    clean, noisy : (seconds * SAMPLE_RATE_HZ,) float32
        Full scale 1.0; scaled down together where the sum would clip.
    """
    rng = np.random.default_rng(mixture.seed)
    length = int(mixture.seconds * SAMPLE_RATE_HZ)
    clean = speech_of_length([read_mono(Path(p)) for p in mixture.speech], length, rng)
    parts = [noise_of_length(read_mono(Path(p)), length, rng) for p in mixture.noise]
    noise = np.sum([p / max(float(np.sqrt(np.mean(p**2))), 1e-9) for p in parts], axis=0)
    return mix_at_snr(clean, noise, mixture.snr_db, mixture.level_db)


def mix_at_snr(clean: F64, noise: F64, snr_db: float, level_db: float) -> tuple[F32, F32]:
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
    clean = clean * amplitude_from_db(level_db - active_speech_level_db(clean, SAMPLE_RATE_HZ))
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


def speech_of_length(utterances: Sequence[F64], length: int, rng: np.random.Generator) -> F64:
    """Utterances one after the other, with pauses, repeated as needed and cut to `length` samples."""
    pieces: list[F64] = []
    total = 0
    pause = int(_PAUSE_SECONDS * SAMPLE_RATE_HZ)
    while total < length:
        for utterance in utterances:
            gap = np.zeros(pause // 2 + int(rng.integers(pause)))
            pieces += [_unit_level(utterance), gap]
            total += utterance.size + gap.size
    return np.concatenate(pieces)[:length]


def _unit_level(utterance: F64) -> F64:
    level_db = active_speech_level_db(utterance, SAMPLE_RATE_HZ)
    return utterance if math.isinf(level_db) else utterance * amplitude_from_db(-26.0 - level_db)


def noise_of_length(noise: F64, length: int, rng: np.random.Generator) -> F64:
    """A random stretch of `noise` without its silent ends, looped with a cross-fade where it is too short."""
    loud = np.flatnonzero(np.abs(noise) > 1e-4 * max(float(np.max(np.abs(noise))), 1e-12))
    if loud.size == 0:
        raise SignalError("the noise recording is silent")
    noise = noise[loud[0] : loud[-1] + 1]
    fade = min(int(_CROSSFADE_SECONDS * SAMPLE_RATE_HZ), noise.size // 3)
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
    import soundfile

    try:
        signal, rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise AudioFileError(f"{path}: cannot be read ({error})") from error
    mono = signal.mean(axis=1)
    if rate != rate_hz:
        import soxr

        mono = soxr.resample(mono, rate, rate_hz)
    return np.ascontiguousarray(mono)
