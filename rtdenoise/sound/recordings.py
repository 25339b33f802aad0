"""Find recordings in a folder and read them whole, for evaluation and training."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.errors import AudioFileError, MissingExtraError
from rtdenoise.sound.containers.sniff import kind_of_file
from rtdenoise.sound.encoding import AUDIO_SUFFIXES
from rtdenoise.sound.media.reader import have_media, missing_media
from rtdenoise.sound.opening import open_source
from rtdenoise.sound.suffixes import MEDIA_SUFFIXES, RAW_SUFFIXES, why_raw
from rtdenoise.typing import F32

_SUFFIXES_OF = {  # usual file names of libsndfile's formats; any other format's are its own name
    "AIFF": (".aiff", ".aif", ".aifc"),
    "AU": (".au", ".snd"),
    "IRCAM": (".sf", ".ircam"),
    "MP3": (".mp3", ".mp2", ".mp1", ".mpga"),
    "MPC2K": (".snd",),
    "NIST": (".sph", ".nist", ".wav"),
    "OGG": (".ogg", ".oga", ".opus"),
    "RF64": (".rf64", ".wav"),
    "SVX": (".iff", ".svx", ".8svx"),
    "WAV": (".wav", ".wave", ".bwf"),
    "WAVEX": (".wav",),
}
_NO_SOUND = {"RAW", "MAT4", "MAT5", "HTK"}  # no header that says what is in it; matrices; features of speech
_NAMED_MAX = 3
_BLOCK_SAMPLES = 1 << 16


@dataclass(frozen=True, slots=True)
class Recordings:
    """`files`: what can be read, sorted; `left_out`: what may be a recording but cannot be read, with the reason."""

    files: tuple[Path, ...]
    left_out: Mapping[str, str]


@functools.cache
def plain_suffixes() -> frozenset[str]:
    """Usual file name endings of every format the installed libsndfile reads, in lower case."""
    formats = set(soundfile.available_formats()) - _NO_SOUND
    return AUDIO_SUFFIXES.union(*(_SUFFIXES_OF.get(name, (f".{name.lower()}",)) for name in formats))


def recordings_below(folder: Path) -> Recordings:
    """Every recording below a folder, known by its name, or by its first bytes where that says nothing.

    Hidden files and folders are not looked at.
    """
    files: list[Path] = []
    left_out: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            suffix = path.suffix.lower()
            if suffix in plain_suffixes():
                files.append(path)
            elif suffix in RAW_SUFFIXES:
                left_out[str(path)] = why_raw(path)
            else:
                _look_into(path, suffix, files, left_out)
    return Recordings(tuple(files), left_out)


def _look_into(path: Path, suffix: str, files: list[Path], left_out: dict[str, str]) -> None:
    kind = kind_of_file(path)
    if kind is None and suffix not in MEDIA_SUFFIXES:
        return
    if have_media() or (kind is not None and kind.plain):
        files.append(path)
    else:
        left_out[str(path)] = str(missing_media(str(path), kind.name if kind is not None else suffix))


def left_out_line(place: object, left_out: Mapping[str, str]) -> str:
    """How many recordings were left out, the first of them, and what to do about each kind; empty if none was."""
    if not left_out:
        return ""
    paths = list(left_out)
    named = ", ".join(Path(path).name for path in paths[:_NAMED_MAX]) + (", ..." if len(paths) > _NAMED_MAX else "")
    what = "1 recording is" if len(paths) == 1 else f"{len(paths)} recordings are"
    first_of_kind = {Path(path).suffix.lower() in RAW_SUFFIXES: left_out[path] for path in reversed(paths)}
    return f"{place}: {what} left out ({named}): {'; '.join(first_of_kind.values())}"


def read_recording(path: Path) -> tuple[F32, int]:
    """All of a recording, whatever holds it, as far as it can be read.

    Returns
    -------
    samples : (n, channels) float32
        Full scale 1.0.
    sample_rate : int

    Raises
    ------
    AudioFileError
        If it cannot be read; the message has the remedy, if there is one.
    """
    try:
        with open_source(path) as source:
            blocks = list(source.blocks(_BLOCK_SAMPLES))
            there = source.encoding
    except MissingExtraError as error:
        raise AudioFileError(str(error)) from error
    samples = blocks[0] if len(blocks) == 1 else np.concatenate([np.zeros((0, there.channels), np.float32), *blocks])
    return samples, there.sample_rate
