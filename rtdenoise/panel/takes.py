"""Recordings that a page may hear: by a number that was given to it, never by a name."""

from __future__ import annotations

import io
import secrets
from collections.abc import Sequence
from pathlib import Path

import soundfile

SIDES = ("before", "after")
_KEPT = 8
_LONGEST_SECONDS = 60.0


class Takes:
    """Pairs of files that the session named as its last recordings."""

    def __init__(self) -> None:
        self._pairs: dict[str, tuple[Path, ...]] = {}

    def add(self, files: Sequence[str]) -> str:
        """Offer a pair; returns what a page asks for it by, or an empty string if it is no pair."""
        if len(files) < len(SIDES):
            return ""
        name = secrets.token_urlsafe(9)
        self._pairs[name] = tuple(Path(file) for file in files[: len(SIDES)])
        while len(self._pairs) > _KEPT:
            self._pairs.pop(next(iter(self._pairs)))
        return name

    def sound(self, name: str, side: str) -> bytes | None:
        """One side of a pair as a WAV file of 16 bits, which every browser plays; None if there is none."""
        pair = self._pairs.get(name)
        if pair is None or side not in SIDES:
            return None
        try:
            with soundfile.SoundFile(pair[SIDES.index(side)]) as file:
                samples, rate = file.read(round(_LONGEST_SECONDS * file.samplerate), dtype="float32"), file.samplerate
        except (OSError, RuntimeError):  # it was moved
            return None
        out = io.BytesIO()
        soundfile.write(out, samples, rate, "PCM_16", format="WAV")
        return out.getvalue()
