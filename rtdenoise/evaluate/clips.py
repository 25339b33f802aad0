"""Evaluation clips: seeded mixtures, pairs of files, and VoiceBank-DEMAND's folders, as one type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rtdenoise.errors import AudioFileError, SignalError
from rtdenoise.evaluate.mixing import Mixture, recordings_in, render_mixture
from rtdenoise.evaluate.signals import rate_of, read_mono_as_is
from rtdenoise.rates import resample
from rtdenoise.typing import F32, F64

WIDE_HZ, NARROW_HZ = 16000, 8000
FULL_BAND_MIN_HZ, FULL_BAND_MAX_HZ = 28000, 48000
CLEAN = "clean speech"
"""Noise label of clips without noise."""

_SECONDS_MIN = 0.5  # PESQ and STOI need about this much
_SILENCE = 1e-4  # -80 dB re full scale


@dataclass(frozen=True, slots=True)
class Clip:
    """A noisy signal and the clean speech in it: a `recipe`, or two files.

    `snr_db` is None if unknown; `clean_input`: the input is the clean speech itself.
    """

    name: str
    noise: str
    speaker: str
    snr_db: float | None = None
    recipe: Mixture | None = None
    clean_path: str = ""
    noisy_path: str = ""
    clean_input: bool = False


@dataclass(frozen=True, slots=True)
class Pairs:
    """Clips from two folders.

    `unmatched`: files without a partner; `voicebank`: the layout of VoiceBank-DEMAND; `left_out`: recordings that
    cannot be read, with the reason.
    """

    clips: list[Clip]
    unmatched: list[str]
    voicebank: bool
    left_out: Mapping[str, str]


def from_mixtures(plan: Sequence[Mixture]) -> list[Clip]:
    """One clip per recipe."""
    return [Clip(m.name, m.noise_label, m.speaker, m.snr_db, recipe=m) for m in plan]


def clean_inputs(clips: Sequence[Clip], count: int) -> list[Clip]:
    """The first `count` clips with their clean speech as the input, to measure the effect on speech without noise."""
    return [replace(c, name=f"{c.name}-clean", noise=CLEAN, snr_db=None, clean_input=True) for c in clips[:count]]


def from_pairs(clean: Path, noisy: Path) -> Pairs:
    """Clips of two folders whose files have equal names (apart from the suffix), searched to any depth.

    The noise label is the name of the folder that holds the noisy file, if there are subfolders.  In
    VoiceBank-DEMAND's layout (``clean_testset_wav``, ``noisy_testset_wav``, ``p232_001.wav``), speaker, noise and SNR
    come from the file names and from ``log_testset.txt`` next to the folders, if present.

    Raises
    ------
    AudioFileError
        If a folder is missing or no two files match.
    """
    left_out: dict[str, str] = {}
    cleans, noisies = (_audio(folder, left_out) for folder in (clean, noisy))
    shared = sorted(cleans.keys() & noisies.keys())
    unmatched = sorted(str(noisies.get(key) or cleans[key]) for key in cleans.keys() ^ noisies.keys())
    if not shared:
        raise AudioFileError(f"{noisy}: no file has the name of one in {clean}")
    voicebank = all(re.fullmatch(r"p\d{3}_\d{3}", Path(key).name) for key in shared)
    log = _voicebank_log(clean.parent) if voicebank else {}
    clips = []
    for key in shared:
        name = Path(key).name
        folder = noisies[key].parent
        label, snr_db = log.get(name, ("" if folder == noisy else folder.name, None))
        speaker = name.split("_")[0] if voicebank else ""
        clips.append(
            Clip(key, label or "unknown", speaker, snr_db, clean_path=str(cleans[key]), noisy_path=str(noisies[key]))
        )
    return Pairs(clips, unmatched, voicebank, left_out)


def find_voicebank(root: Path) -> tuple[Path, Path] | None:
    """The folders of clean and noisy test speech, if `root` holds VoiceBank-DEMAND."""
    for names in (("clean_testset_wav", "noisy_testset_wav"), ("clean_testset_wav_16k", "noisy_testset_wav_16k")):
        clean, noisy = (root / name for name in names)
        if clean.is_dir() and noisy.is_dir():
            return clean, noisy
    return None


def _audio(folder: Path, left_out: dict[str, str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise AudioFileError(f"{folder}: no such folder")
    found = recordings_in(folder, left_out)
    by_name = {str(p.stem): p for p in found}
    if len(by_name) == len(found):
        return by_name
    return {str(p.relative_to(folder).with_suffix("")): p for p in found}


def _voicebank_log(folder: Path) -> dict[str, tuple[str, float | None]]:
    """Noise and SNR by name from ``log_testset.txt``: lines like ``p232_001 bus 17.5``."""
    path = folder / "log_testset.txt"
    if not path.is_file():
        return {}
    rows = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {row[0]: (row[1], float(row[2])) for row in rows if len(row) == 3 and _is_number(row[2])}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def render(clip: Clip) -> tuple[F32, F32, int]:
    """Load the samples of a clip.

    Returns
    -------
    clean, noisy : (n,) float32
    rate_hz : int
        16000; 8000 if one of the two files has a rate below 16 kHz.

    Raises
    ------
    AudioFileError
        If a file cannot be read.
    SignalError
        If there is nothing to measure: different lengths, silence, too short, samples that are not finite.
    """
    if clip.recipe is not None:
        clean, noisy = render_mixture(clip.recipe)
        rate_hz = WIDE_HZ
    else:
        both = [read_mono_as_is(Path(path)) for path in (clip.clean_path, clip.noisy_path)]
        rate_hz = WIDE_HZ if min(rate for _, rate in both) >= WIDE_HZ else NARROW_HZ
        clean, noisy = (_at(signal, rate, rate_hz) for signal, rate in both)
        _check(clip, clean, noisy, rate_hz)
    return (clean, clean.copy(), rate_hz) if clip.clean_input else (clean, noisy, rate_hz)


def render_full_band(clip: Clip) -> tuple[F32, F32, int] | None:
    """Load the samples of a clip at its own rate, up to 48 kHz; None if a recording in it has less than 28 kHz.

    Returns
    -------
    clean, noisy : (n,) float32
    rate_hz : int

    Raises
    ------
    AudioFileError, SignalError
        As for `render`.
    """
    recipe = clip.recipe
    paths = (*recipe.speech, *recipe.noise) if recipe else (clip.clean_path, clip.noisy_path)
    lowest = min(rate_of(Path(path)) for path in paths)
    if lowest < FULL_BAND_MIN_HZ:
        return None
    rate_hz = min(lowest, FULL_BAND_MAX_HZ)
    if recipe is not None:
        clean, noisy = render_mixture(recipe, rate_hz)
    else:
        clean, noisy = (_at(*read_mono_as_is(Path(path)), rate_hz) for path in paths)
        _check(clip, clean, noisy, rate_hz)
    return (clean, clean.copy(), rate_hz) if clip.clean_input else (clean, noisy, rate_hz)


def _at(signal: F64, rate_hz: int, wanted_hz: int) -> F32:
    same = rate_hz == wanted_hz
    return np.ascontiguousarray(signal if same else resample(signal, rate_hz, wanted_hz), np.float32)


def _check(clip: Clip, clean: F32, noisy: F32, rate_hz: int) -> None:
    if clean.size != noisy.size:
        raise SignalError(f"{clip.name}: clean has {clean.size} samples, noisy {noisy.size}; cut them to one length")
    if clean.size < _SECONDS_MIN * rate_hz:
        raise SignalError(f"{clip.name}: {clean.size / rate_hz:.2f} s is too short; metrics need {_SECONDS_MIN} s")
    if not (np.isfinite(clean).all() and np.isfinite(noisy).all()):
        raise SignalError(f"{clip.name}: holds samples that are not finite")
    if float(np.max(np.abs(clean))) < _SILENCE:
        raise SignalError(f"{clip.name}: the clean reference is silent")
