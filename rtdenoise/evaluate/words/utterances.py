"""Utterances with what was said in them, and seeded mixtures of them with noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.mixing import Source
from rtdenoise.evaluate.signals import mix_at_snr, noise_of_length, read_mono
from rtdenoise.sound.manifest import read_manifest
from rtdenoise.typing import F32

COLUMNS = ("text", "transcript", "sentence")
"""Columns of a manifest that may hold what was said: NeMo's and Hugging Face's, others', Common Voice's."""

_LEVELS_DB = (-36.0, -20.0)
_SEED_MAX = 2**31


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording and what is said in it."""

    path: str
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """The recipe of one utterance in noise; `render` makes the samples."""

    name: str
    utterance: Utterance
    noise: str
    noise_label: str
    snr_db: float
    level_db: float
    seed: int


def find_utterances(manifest: Path, split: str = "", tiers: Iterable[str] = ()) -> list[Utterance]:
    """Rows of speech with a transcript, of a manifest as `rtdenoise.evaluate.mixing.find_sources` reads it.

    Raises
    ------
    ConfigError
        If it cannot be read, or no row has a transcript.
    """
    if manifest.suffix.lower() != ".csv":
        raise ConfigError(f"{manifest}: word errors need a manifest (.csv) with a column {' or '.join(COLUMNS)}")
    wanted, found = frozenset(tiers), []
    for row in read_manifest(manifest):
        if (row.get("kind") or "speech") != "speech" or (split and row.get("split") != split):
            continue
        text = next((said.strip() for name in COLUMNS if (said := row.get(name))), "")
        if text and not (wanted and row.get("tier") not in wanted):
            path = manifest.parent / row["path"]
            found.append(Utterance(str(path), row.get("speaker") or path.parent.name, text))
    if not found:
        raise ConfigError(f"{manifest}: no row of speech has a transcript; columns for it: {', '.join(COLUMNS)}")
    return found


def plan(
    utterances: Sequence[Utterance],
    noise: Sequence[Source],
    *,
    count: int,
    seed: int,
    snrs_db: Sequence[float],
    labels: Sequence[str] = (),
) -> list[Mixture]:
    """Recipes that rotate through speakers, noise labels and SNRs; every utterance is used once before any again.

    Raises
    ------
    ConfigError
        For an unknown noise label.
    """
    rng = np.random.default_rng(seed)
    by_label: dict[str, list[str]] = {}
    for source in noise:
        by_label.setdefault(source.label, []).append(source.path)
    chosen = list(labels) or [str(label) for label in rng.permutation(sorted(by_label))]
    if unknown := [label for label in chosen if label not in by_label]:
        raise ConfigError(f"unknown noise {', '.join(unknown)}; known: {', '.join(sorted(by_label))}")
    ordered, mixtures = _by_turns(utterances, rng), []
    for i in range(count):
        label, snr_db = chosen[i % len(chosen)], float(snrs_db[i % len(snrs_db)])
        path = str(rng.choice(by_label[label]))
        level_db = float(np.round(rng.uniform(*_LEVELS_DB), 2))
        name = f"{i:04d}_{label}_{snr_db:g}dB".replace("/", "-")
        one = ordered[i % len(ordered)]
        mixtures.append(Mixture(name, one, path, label, snr_db, level_db, int(rng.integers(_SEED_MAX))))
    return mixtures


def _by_turns(utterances: Sequence[Utterance], rng: np.random.Generator) -> list[Utterance]:
    """In random order, a speaker after another."""
    by_speaker: dict[str, list[Utterance]] = {}
    for i in rng.permutation(len(utterances)):
        by_speaker.setdefault(utterances[i].speaker, []).append(utterances[i])
    longest = max(map(len, by_speaker.values()))
    return [own[turn] for turn in range(longest) for own in by_speaker.values() if turn < len(own)]


def render(mixture: Mixture) -> tuple[F32, F32]:
    """The whole utterance, clean and noisy; (n,) float32 at 16 kHz.

    Raises
    ------
    AudioFileError, SignalError
        If a recording cannot be read or is silent.
    """
    rng = np.random.default_rng(mixture.seed)
    clean = read_mono(Path(mixture.utterance.path))
    noise = noise_of_length(read_mono(Path(mixture.noise)), clean.size, rng)
    return mix_at_snr(clean, noise, mixture.snr_db, mixture.level_db)
