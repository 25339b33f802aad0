"""Covers: the pictures inside a FLAC or MP3, carried over byte for byte to a new file of the same kind.

libsndfile neither reads nor writes them.  FLAC: RFC 9639, section 8.8; MP3: ID3v2.3 and ID3v2.4, frame APIC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtdenoise.sound.containers.mpeg import after_id3

_PICTURE, _LAST = 6, 0x80  # type of a FLAC metadata block; set in its first byte where no other follows
_STREAM_INFO_BYTES = 4 + 34
_STEP_BYTES = 1 << 20
_ID3_HEAD_BYTES, _FRAME_HEAD_BYTES = 10, 10
_PLAIN_ID3 = (3, 4)  # versions whose frames are alike but for how their sizes are written


class _File(Protocol):
    """What is read and written through."""

    def read(self, size: int) -> bytes: ...

    def write(self, data: bytes) -> int: ...

    def seek(self, offset: int, whence: int = 0) -> int: ...


@dataclass(frozen=True, slots=True)
class Covers:
    """`pictures`: contents of FLAC blocks or of APIC frames; `lost`: whether there are any that cannot be carried."""

    container: str = ""
    pictures: tuple[bytes, ...] = ()
    lost: bool = False

    def fit(self, container: str) -> bool:
        """Whether all of them can go into such a file."""
        return not self.lost and (not self.pictures or container == self.container)


NO_COVERS = Covers()


def covers_of(path: Path, container: str) -> Covers:
    """The pictures of a file that libsndfile knows as this container; none for other ones than FLAC and MP3."""
    if container == "FLAC":
        return Covers(container, _flac_pictures(path))
    return _mp3_pictures(path) if container == "MP3" else NO_COVERS


def _flac_pictures(path: Path) -> tuple[bytes, ...]:
    found = []
    with path.open("rb") as file:
        file.seek(after_id3(file) + 4)
        while len(head := file.read(4)) == 4:
            length = int.from_bytes(head[1:], "big")
            if head[0] & 0x7F == _PICTURE:
                body = file.read(length)
                found += [body] if len(body) == length else []
            else:
                file.seek(length, 1)
            if head[0] & _LAST:
                break
    return tuple(found)


def _mp3_pictures(path: Path) -> Covers:
    with path.open("rb") as file:
        head = file.read(_ID3_HEAD_BYTES)
        tag = file.read(_syncsafe(head[6:])) if head[:3] == b"ID3" else b""
    if b"PIC" not in tag:
        return Covers("MP3")
    if head[3] not in _PLAIN_ID3 or head[5] & 0xC0:  # each zero after 0xff doubled, or a head that is longer
        return Covers("MP3", lost=True)
    found, at, lost = [], 0, False
    while tag[at : at + 1] > b"\x00" and at + _FRAME_HEAD_BYTES < len(tag):
        name, size, flags = tag[at : at + 4], tag[at + 4 : at + 8], tag[at + 9]
        length = _syncsafe(size) if head[3] == 4 else int.from_bytes(size, "big")
        at += _FRAME_HEAD_BYTES
        if name == b"APIC":
            whole = at + length <= len(tag) and not flags  # compressed or encrypted
            found += [tag[at : at + length]] if whole else []
            lost = lost or not whole
        at += length
    return Covers("MP3", tuple(found), lost)


def _syncsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _as_syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def add_covers(file: _File, covers: Covers) -> None:
    """Put pictures into a finished file of their container.

    Parameters
    ----------
    file : file, read and written
    covers : Covers
    """
    if covers.pictures:
        (_add_to_flac if covers.container == "FLAC" else _add_to_mp3)(file, covers.pictures)


def _add_to_flac(file: _File, pictures: tuple[bytes, ...]) -> None:
    """Insert right after the first block, so that the last one stays the last."""
    file.seek(4)
    first = file.read(1)[0]
    blocks = [bytearray((_PICTURE, *len(body).to_bytes(3, "big"))) + body for body in pictures]
    blocks[-1][0] |= first & _LAST
    _insert(file, 4 + _STREAM_INFO_BYTES, b"".join(blocks))
    file.seek(4)
    file.write(bytes((first & ~_LAST,)))


def _add_to_mp3(file: _File, pictures: tuple[bytes, ...]) -> None:
    """In front of the frames of the tag that is there, or in one of their own."""
    file.seek(0)
    head = file.read(_ID3_HEAD_BYTES)
    there = head[:3] == b"ID3"
    version = head[3] if there else 3
    frames = b"".join(
        b"APIC" + (_as_syncsafe(len(body)) if version == 4 else len(body).to_bytes(4, "big")) + bytes(2) + body
        for body in pictures
    )
    if not there:
        _insert(file, 0, b"ID3\x03\x00\x00" + _as_syncsafe(len(frames)) + frames)
        return
    _insert(file, _ID3_HEAD_BYTES, frames)
    file.seek(6)
    file.write(_as_syncsafe(_syncsafe(head[6:]) + len(frames)))


def _insert(file: _File, at: int, new: bytes) -> None:
    """Move what follows, the end first, and write into the gap."""
    end = file.seek(0, 2)
    while end > at:
        start = max(at, end - _STEP_BYTES)
        file.seek(start)
        data = file.read(end - start)
        file.seek(start + len(new))
        file.write(data)
        end = start
    file.seek(at)
    file.write(new)
