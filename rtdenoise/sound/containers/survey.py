"""Survey an audio file's structure before decoding, as its header may be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rtdenoise.sound.containers import flac, mpeg, oggpages, plain
from rtdenoise.sound.containers.splice import Piece

_PLAIN = frozenset({b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b".snd", b"dns.", b"riff", b"caff"})


@dataclass(frozen=True, slots=True)
class Survey:
    """How to read a file so that nothing of it is lost.

    Attributes
    ----------
    links : tuple of piece lists
        One for each recording that the file is a chain of; empty: read the file as it is.
    n_samples : int or None
        Per channel, as the header says; None where it says nothing, or libsndfile knows as well.
    share : float
        Length that the header promises over the length that is there; above 1 in a file that is cut off.
    understated : bool
        Whether the header promises less than is there.
    gaps : tuple of (seconds, what)
        Places where the container itself is damaged.
    ended : bool
        False if the file stops before the end that its container marks.
    """

    links: tuple[tuple[Piece, ...], ...] = ()
    n_samples: int | None = None
    share: float = 1.0
    understated: bool = False
    gaps: tuple[tuple[float, str], ...] = field(default=())
    ended: bool = True
    followed: str = ""


def survey(path: Path, size: int) -> Survey:
    """Look through a file's structure; a file that is none of the known containers is left to libsndfile.

    Parameters
    ----------
    path : Path
    size : int
        In bytes.
    """
    with path.open("rb") as file:
        start = mpeg.after_id3(file)
        file.seek(start)
        magic = file.read(4)
        if magic == b"fLaC":
            found = flac.read_stream_info(file, start)
            return Survey() if found is None else Survey((found.unbounded(size),), found.n_samples or None)
        if magic == b"OggS" and start == 0:
            return _ogg(file, size)
        if magic not in _PLAIN and mpeg.is_mp3(file, start):  # samples may look like its frames
            return _mp3(file, start, size)
        return _plain(file, size)


def _ogg(file: BinaryIO, size: int) -> Survey:
    found = oggpages.walk(file, size)
    links = tuple((link,) for link in found.links) if len(found.links) > 1 else ()
    return Survey(links, gaps=found.gaps, ended=found.ended)


def _mp3(file: BinaryIO, start: int, size: int) -> Survey:
    found = mpeg.walk(file, start, size)
    if found is None:
        return Survey()
    return Survey((found.pieces,), gaps=found.gaps)


def _plain(file: BinaryIO, size: int) -> Survey:
    found = plain.find_samples(file, size)
    if found is None:
        return Survey()
    share = found.stated_bytes / found.there_bytes if found.stated_bytes and found.there_bytes else 1.0
    return Survey(
        (found.pieces,) if found.pieces else (),
        share=share,
        understated=0.0 < share < 1.0,
        followed=found.followed,
    )
