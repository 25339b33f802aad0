"""Recognise recordings by suffix, and name new files."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePath

from rtdenoise.sound.containers.sniff import kind_of_file
from rtdenoise.sound.encoding import AUDIO_SUFFIXES
from rtdenoise.sound.media.encoding import WRITABLE_SUFFIXES
from rtdenoise.sound.media.reader import have_media

MEDIA_SUFFIXES = WRITABLE_SUFFIXES | {".oma", ".ape", ".mpc", ".dsf", ".rm", ".ra", ".ogv", ".dts", ".m4p", ".voc"}
"""Recordings that libsndfile cannot read, by their names."""

RAW_SUFFIXES = frozenset({".raw", ".pcm", ".s16", ".s16le", ".s24", ".s32", ".f32", ".sw", ".sln"})
"""Samples without a header."""


def why_raw(path: PurePath) -> str:
    """Why samples without a header are left out of a folder, and what can be done."""
    makes = f"ffmpeg -f s16le -ar HZ -i {shlex.quote(path.name)} {shlex.quote(path.stem + '.wav')}"
    return (
        f"{path}: raw samples say nothing about themselves; rtdenoise --input - --rate HZ reads them, "
        f"{makes} makes a recording of them"
    )


_AMR_WIDE = b"#!AMR-WB"


def counts_as_audio(path: Path) -> bool:
    """Whether a file of a folder is a recording: by its name, or by its first bytes where that says nothing."""
    suffix = path.suffix.lower()
    if suffix in AUDIO_SUFFIXES | MEDIA_SUFFIXES:
        return True
    return suffix not in RAW_SUFFIXES and path.is_file() and kind_of_file(path) is not None


def result_suffix(source: Path) -> str:
    """The suffix of a new file made from `source`: its own if that can be written, else the usual one of what it holds.

    WAV where neither can be, as for AMR-WB or Monkey's Audio.
    """
    suffix = source.suffix
    if suffix.lower() in AUDIO_SUFFIXES:
        return suffix
    kind = kind_of_file(source)
    usual = suffix if suffix.lower() in MEDIA_SUFFIXES else kind.suffix if kind is not None else suffix
    if usual.lower() in AUDIO_SUFFIXES or (usual.lower() in WRITABLE_SUFFIXES and _can_be_written(source, usual)):
        return usual
    return ".wav" if kind is not None else suffix


def _can_be_written(source: Path, suffix: str) -> bool:
    if not have_media():
        return False
    return suffix.lower() != ".amr" or not _begins(source, _AMR_WIDE)


def _begins(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def result_name(source: Path, label: str) -> str:
    """``noisy.wav`` and ``_WF_denoised`` give ``noisy_WF_denoised.wav``; a suffix that says nothing stays in front."""
    suffix = result_suffix(source)
    known = source.suffix.lower() in AUDIO_SUFFIXES | MEDIA_SUFFIXES
    return f"{source.stem if known else source.name}{label}{suffix}"
