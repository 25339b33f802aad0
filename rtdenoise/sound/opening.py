"""Open any audio source by its first bytes: with libsndfile if it can read it, else with PyAV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rtdenoise.errors import AudioFileError
from rtdenoise.sound.containers.covers import NO_COVERS, covers_of
from rtdenoise.sound.containers.sniff import Kind, kind_of_file
from rtdenoise.sound.encoding import Encoding, encoding_for
from rtdenoise.sound.media.encoding import WRITABLE_SUFFIXES, encoding_in
from rtdenoise.sound.media.reader import MediaSource, have_media, missing_media
from rtdenoise.sound.media.writer import MediaTarget
from rtdenoise.sound.reader import Source, regular_file_size
from rtdenoise.sound.writer import Target

AnySource = Source | MediaSource
AnyTarget = Target | MediaTarget


class Recording(Protocol):
    """What a target needs to know of the source."""

    @property
    def encoding(self) -> Encoding:
        """Rate, channels, and how they were stored."""

    @property
    def n_samples(self) -> int | None:
        """Length per channel, if known."""


def open_source(path: Path, name: str | None = None) -> AnySource:
    """An open recording.

    Parameters
    ----------
    path : Path
    name : str, optional
        Name used in messages.

    Raises
    ------
    AudioFileError
        If it cannot be opened, or holds no sound that can be decoded.
    MissingExtraError
        If PyAV is needed and not installed.
    """
    shown = name if name is not None else str(path)
    regular_file_size(path)
    kind = kind_of_file(path)
    if kind is not None and not kind.plain:
        return MediaSource(path, kind, name)
    try:
        return Source(path, name)
    except AudioFileError as error:
        if kind is None:
            raise
        return _with_media(path, kind, shown, error)


def _with_media(path: Path, kind: Kind, name: str, error: AudioFileError) -> MediaSource:
    """A known container with something inside that libsndfile cannot read, as an Ogg with Speex."""
    if not have_media():
        raise AudioFileError(f"{error}; {_remedy(name, kind)}") from error
    try:
        return MediaSource(path, replace(kind, plain=False), name)
    except AudioFileError:
        raise error from None


def _remedy(name: str, kind: Kind) -> str:
    return str(missing_media(name, f"what is inside {kind.name}")).removeprefix(f"{name}: ")


def open_target(path: Path, source: Recording, tags: Mapping[str, str], *, overwrite: bool) -> AnyTarget:
    """A new file for what comes from `source`; its suffix chooses the container.

    Raises
    ------
    AudioFileError
        If the place cannot be written, or the suffix names nothing that can be.
    MissingExtraError
        If PyAV is needed and not installed.
    """
    if path.suffix.lower() in WRITABLE_SUFFIXES:
        return MediaTarget(path, encoding_in(path, source.encoding), tags, source=source, overwrite=overwrite)
    encoding = encoding_for(path, source.encoding, source.n_samples)
    covers = covers_of(source.path, source.encoding.container) if isinstance(source, Source) else NO_COVERS
    return Target(path, encoding, tags, overwrite=overwrite, may_shrink=source.n_samples is None, covers=covers)
