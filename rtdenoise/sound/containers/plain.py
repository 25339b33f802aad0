"""Find where the samples of a WAV, RF64, AIFF, AU, W64 or CAF end, even if its header is wrong.

A program that was killed, or that wrote to a pipe, leaves a header whose lengths are 0, all ones, or what they were a
while ago.  The samples then go on to the end of the file.  They end where the header says only if nothing follows, or
if what follows is a chain of chunks up to the end of the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from rtdenoise.sound.containers.splice import Piece

_RIFF_BYTES_MAX = 0xFFFF_FFFF - (1 << 16)
_UNKNOWN_FROM = 0x7FFF_0000  # programs that cannot know the length write 0x7FFFF000, 0x80000000, 0xFFFFFFFF or so
_UNKNOWN_64_FROM = 1 << 60
_HEAD_BYTES_MAX = 1 << 24  # pictures and notes before the samples; more is left to libsndfile
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9 _\-(\xa9.]{4}")
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True, slots=True)
class Samples:
    """What was found.

    `stated_bytes`: 0 where the header does not say.  `pieces`: the file with a header that says the truth; empty if it
    does already.  `followed`: what stands behind the samples and is not read.
    """

    stated_bytes: int
    there_bytes: int
    pieces: tuple[Piece, ...] = ()
    followed: str = ""


def find_samples(file: BinaryIO, size: int) -> Samples | None:
    """The samples of a plain container; None if it is none, or damaged before its samples.

    Parameters
    ----------
    file : binary file
    size : int
        Of the file, in bytes.
    """
    file.seek(0)
    magic = file.read(16)
    found = None
    with suppress(struct.error):  # the file ends inside its header
        if magic[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
            found = _riff(file, size, ">" if magic[:4] == b"RIFX" else "<")
        elif magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            found = _aiff(file, size)
        elif magic[:4] in (b".snd", b"dns."):
            found = _au(file, size, ">" if magic[:4] == b".snd" else "<")
        elif magic == _W64_RIFF:
            found = _w64(file, size)
        elif magic[:4] == b"caff":
            found = _caf(file, size)
    return found


def _chunk_at(file: BinaryIO, at: int, layout: str) -> tuple[bytes, int]:
    file.seek(at)
    name, length = struct.unpack(layout, file.read(struct.calcsize(layout)))
    return name, length


def _find_chunk(file: BinaryIO, at: int, wanted: bytes, layout: str, end: int) -> dict[bytes, tuple[int, int]] | None:
    """Position of the content and length of each chunk up to `wanted`; None if that is not there."""
    found: dict[bytes, tuple[int, int]] = {}
    header = struct.calcsize(layout)
    while at + header <= min(end, _HEAD_BYTES_MAX):
        name, length = _chunk_at(file, at, layout)
        found[name] = at + header, length
        if name == wanted:
            return found
        if length < 0:  # would loop forever
            return None
        at += header + length + (length % 2 if header == 8 else 0)
    return None


def _chain_ends(file: BinaryIO, at: int, size: int, layout: str) -> bool:
    """Whether chunks, or a tag, lead from `at` exactly to the end of the file (or to one byte of padding)."""
    header = struct.calcsize(layout)
    while size - at > 1:
        file.seek(at)
        if file.read(11).startswith(_TAGS):
            return True
        if size - at < header:
            return False
        name, length = _chunk_at(file, at, layout)
        if not _CHUNK_NAME.fullmatch(name) or length < 0:
            return False
        at += header + length + (length % 2 if header == 8 else 0)
    return at - size <= 1


def _true_end(
    file: BinaryIO, start: int, stated: int, size: int, layout: str, unknown_from: int = _UNKNOWN_FROM
) -> tuple[int, int]:
    """Stated length, 0 if the header does not say, and where the samples end."""
    there = size - start
    if stated < 0 or (stated >= unknown_from and stated > there) or stated == (1 << 32) - 1:
        return 0, size
    if stated >= there:
        return stated, size
    padded = start + stated + stated % 2
    if _chain_ends(file, padded, size, layout) or _chain_ends(file, start + stated, size, layout):
        return stated, start + stated
    return stated, size


def _samples(stated: int, start: int, end: int, pieces: Callable[[int], tuple[Piece, ...]], exact: bool) -> Samples:
    there = end - start
    return Samples(stated, there, () if exact else pieces(there))


def _head(file: BinaryIO, end: int, *patches: tuple[int, bytes]) -> bytes:
    """The first `end` bytes of the file with some of them replaced."""
    file.seek(0)
    head = bytearray(file.read(end))
    for at, data in patches:
        head[at : at + len(data)] = data
    return bytes(head)


def _riff(file: BinaryIO, size: int, order: str) -> Samples | None:
    layout = f"{order}4sI"
    chunks = _find_chunk(file, 12, b"data", layout, size)
    if chunks is None:
        return None
    start, stated = chunks[b"data"]
    long = chunks.get(b"ds64")
    if long is not None and stated == 0xFFFF_FFFF:
        file.seek(long[0] + 8)
        (stated,) = struct.unpack("<Q", file.read(8))
        stated = 0xFFFF_FFFF if stated == 0 else stated
        known, end = _true_end(file, start, stated, size, layout, _UNKNOWN_64_FROM)
    else:
        known, end = _true_end(file, start, stated, size, layout)

    def pieces(there: int) -> tuple[Piece, ...]:
        if long is not None:
            head = _head(file, start, (long[0], struct.pack("<QQ", start - 8 + there, there)), (start - 4, b"\xff" * 4))
            return (head, (start, end))
        if there <= _RIFF_BYTES_MAX:
            sizes = struct.pack(f"{order}I", start - 8 + there), struct.pack(f"{order}I", there)
            return (_head(file, start, (4, sizes[0]), (start - 4, sizes[1])), (start, end))
        middle = _head(file, start - 8)[12:]
        lengths = struct.pack("<4sIQQQI", b"ds64", 28, start + 28 + there, there, 0, 0)
        head = b"RF64\xff\xff\xff\xffWAVE" + lengths + middle + b"data\xff\xff\xff\xff"
        return (head, (start, end))

    found = _samples(known, start, end, pieces, exact=known == end - start and known == stated)
    followed = _second_wave(file, end, size)
    kept = found.pieces or (((0, end),) if followed else ())  # libsndfile refuses a file with two beginnings
    return Samples(found.stated_bytes, found.there_bytes, kept, followed)


def _second_wave(file: BinaryIO, end: int, size: int) -> str:
    """Whether another WAV was appended, as ``cat a.wav b.wav`` does."""
    file.seek(end + end % 2)
    following = file.read(12)
    return "another WAV" if following[:4] == b"RIFF" and following[8:] == b"WAVE" and size > end + 44 else ""


def _aiff(file: BinaryIO, size: int) -> Samples | None:
    chunks = _find_chunk(file, 12, b"SSND", ">4sI", size)
    if chunks is None or b"COMM" not in chunks:
        return None
    start, stated = chunks[b"SSND"]
    common = chunks[b"COMM"][0]
    known, end = _true_end(file, start, stated, size, ">4sI")
    if stated <= 8:
        known = 0

    def pieces(there: int) -> tuple[Piece, ...]:
        file.seek(common)
        channels, _, bits = struct.unpack(">hIh", file.read(8))
        frames = (there - 8) // max(1, channels * ((bits + 7) // 8))
        patches = [(4, struct.pack(">I", start - 8 + there)), (start - 4, struct.pack(">I", there))]
        if bits:
            patches.append((common + 2, struct.pack(">I", frames)))
        return (_head(file, start, *patches), (start, end))

    if end - start > _RIFF_BYTES_MAX:
        return None
    return _samples(known, start, end, pieces, exact=stated == end - start)


def _au(file: BinaryIO, size: int, order: str) -> Samples | None:
    file.seek(4)
    start, stated = struct.unpack(f"{order}II", file.read(8))
    if not 24 <= start <= min(size, _HEAD_BYTES_MAX):
        return None
    known = 0 if stated == 0xFFFF_FFFF else stated
    unknown = struct.pack(f"{order}I", 0xFFFF_FFFF)
    return _samples(
        known, start, size, lambda _: (_head(file, start, (8, unknown)), (start, size)), known >= size - start
    )


def _w64(file: BinaryIO, size: int) -> Samples | None:
    at = 40
    while at + 24 <= min(size, _HEAD_BYTES_MAX):
        name, length = _chunk_at(file, at, "<16sq")
        if name[:4] == b"data":
            break
        if length < 24:
            return None
        at += length + -length % 8
    else:
        return None
    start, stated = at + 24, length - 24
    there = size - start
    padded = start + stated + -stated % 8
    known = 0 if stated <= 0 or (stated >= _UNKNOWN_64_FROM and stated > there) else stated
    ends = 0 < known < there and (padded >= size or _is_w64_chunk(file, padded, size))
    end = start + known if ends else size

    def pieces(there: int) -> tuple[Piece, ...]:
        lengths = struct.pack("<q", start + there), struct.pack("<q", there + 24)
        return (_head(file, start, (16, lengths[0]), (start - 8, lengths[1])), (start, end))

    return _samples(known, start, end, pieces, exact=stated == end - start)


def _is_w64_chunk(file: BinaryIO, at: int, size: int) -> bool:
    return at + 24 <= size and _chunk_at(file, at, "<16sq")[0][4:] == _W64_TAIL


def _caf(file: BinaryIO, size: int) -> Samples | None:
    chunks = _find_chunk(file, 8, b"data", ">4sq", size)
    if chunks is None:
        return None
    start, stated = chunks[b"data"]
    known, end = _true_end(file, start, stated, size, ">4sq", _UNKNOWN_64_FROM)
    known = 0 if stated <= 4 else known

    def pieces(there: int) -> tuple[Piece, ...]:
        return (_head(file, start, (start - 8, struct.pack(">q", there))), (start, end))

    return _samples(known, start, end, pieces, exact=stated == end - start)
