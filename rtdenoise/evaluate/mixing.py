"""Seeded mixtures of speech and noise, bit-identical on any machine."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.evaluate.signals import (
    SAMPLE_RATE_HZ,
    mix_at_snr,
    noise_of_length,
    read_mono,
    speech_of_length,
)
from rtdenoise.sound.manifest import read_manifest
from rtdenoise.sound.recordings import left_out_line, recordings_below
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

BABBLE = "babble"
"""Noise label for the sum of several other speakers."""

_BABBLE_VOICES = (4, 6)


@dataclass(frozen=True, slots=True)
class Source:
    """One recording: its path, its `label` (noise class or speaker) and how clean it is (`tier`)."""

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


def recordings_in(folder: Path, left_out: dict[str, str]) -> list[Path]:
    """Every readable recording below a folder; others go into `left_out` and one log line.

    Raises
    ------
    AudioFileError
        If there are none.
    """
    found = recordings_below(folder)
    line = left_out_line(folder, found.left_out)
    if not found.files:
        raise AudioFileError(line or f"{folder}: holds no audio")
    if line:
        _log.warning("%s", line)
    left_out.update(found.left_out)
    return list(found.files)


def find_sources(
    location: Path,
    kind: str = "",
    split: str = "",
    tiers: Iterable[str] = (),
    left_out: dict[str, str] | None = None,
) -> list[Source]:
    """Recordings of a folder (label: the name of the folder they are in) or of a CSV manifest.

    Parameters
    ----------
    location : Path
        A folder, searched to any depth, or a ``.csv`` with the columns ``path`` (relative to it), ``kind``, ``split``,
        ``label``, ``speaker`` and ``tier``, of which only ``path`` is required.
    kind, split, tiers
        Keep only these rows of a manifest; empty keeps all.
    left_out : dict, optional
        Written: recordings of a folder that cannot be read, with the reason.

    Raises
    ------
    AudioFileError
        If the location does not exist or holds no audio.
    ConfigError
        If a manifest cannot be read, or lacks what it needs.
    """
    if location.suffix.lower() == ".csv":
        found = _manifest_sources(location, kind, split, frozenset(tiers))
    elif location.is_dir():
        files = recordings_in(location, {} if left_out is None else left_out)
        found = [Source(str(p), p.parent.name) for p in files]
    else:
        raise AudioFileError(f"{location}: no such folder or manifest")
    if not found:
        raise AudioFileError(f"{location}: no audio for kind={kind or 'any'} split={split or 'any'}")
    return found


@dataclass(frozen=True, slots=True)
class Material:
    """Sources for mixtures; `labels`: noises to rotate through, empty for all."""

    speech: list[Source]
    noise: list[Source]
    labels: tuple[str, ...]


def find_material(
    speech: Path,
    noise: Path,
    *,
    split: str = "",
    tiers: Iterable[str] = (),
    labels: str = "",
    usual: str = "",
    left_out: dict[str, str] | None = None,
) -> Material:
    """Speech and noise from `find_sources`, and the selected noise labels.

    Parameters
    ----------
    speech, noise
        Folders or manifests.
    split, tiers, left_out
        As for `find_sources`; tiers are of speech.
    labels : str
        Comma-separated, or "all"; empty: `usual` for a manifest, all for a folder.
    usual : str

    Raises
    ------
    AudioFileError
        If a location does not exist or holds no audio.
    """
    wanted = labels or (usual if noise.suffix == ".csv" else "")
    return Material(
        find_sources(speech, "speech", split, tiers, left_out),
        find_sources(noise, "noise", split, left_out=left_out),
        () if wanted == "all" else tuple(filter(None, wanted.split(","))),
    )


def _manifest_sources(manifest: Path, kind: str, split: str, tiers: frozenset[str]) -> list[Source]:
    found = []
    for row in read_manifest(manifest):
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
    """Recipes that rotate through noise labels, SNRs and speakers, so that every breakdown is balanced.

    Parameters
    ----------
    speech, noise
        Recordings to draw from.
    clips : int
        Number of recipes.
    seed : int
        Same seed, same recipes.
    snrs_db
        Ratios of active speech level to noise power, used in rotation.
    levels_db
        Range of a clip's random active speech level, dB re full scale.
    seconds : float
        Length of a clip.
    labels
        Noise labels to use, `BABBLE` among them if wanted; empty uses every label found.

    Raises
    ------
    ConfigError
        If a label is unknown or nothing is requested.
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


def render_mixture(mixture: Mixture, rate_hz: int = SAMPLE_RATE_HZ) -> tuple[F32, F32]:
    """Render one clip; what is random in it is drawn anew for another rate.

    Returns
    -------
    clean, noisy : (seconds * rate_hz,) float32
        Full scale 1.0; scaled down together where the sum would clip.
    """
    rng = np.random.default_rng(mixture.seed)
    length = int(mixture.seconds * rate_hz)
    clean = speech_of_length([read_mono(Path(p), rate_hz) for p in mixture.speech], length, rng, rate_hz)
    parts = [noise_of_length(read_mono(Path(p), rate_hz), length, rng, rate_hz) for p in mixture.noise]
    noise = np.sum([p / max(float(np.sqrt(np.mean(p**2))), 1e-9) for p in parts], axis=0)
    return mix_at_snr(clean, noise, mixture.snr_db, mixture.level_db, rate_hz)
