"""The pages of an Ogg file: recordings chained one after the other, damaged places, a missing end (RFC 3533)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO

_FIRST, _LAST = 0x02, 0x04
_HEADER_BYTES = 27
_SEARCH_BYTES = 1 << 16
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True, slots=True)
class Pages:
    """What was found.

    `links`: first and end position of each recording.  `gaps`: time in seconds in front of each damaged place, 0 where
    nobody knows, and what is wrong there.  `ended`: whether the last page says that it is the last.
    """

    links: tuple[tuple[int, int], ...]
    gaps: tuple[tuple[float, str], ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    serial: int
    end: int
    whole: bool
    granule: int
    body: bytes


def walk(file: BinaryIO, size: int) -> Pages:
    """Go through all pages."""
    at, starts, gaps = 0, [0], []
    seconds, rate_hz = 0.0, 0
    open_streams: set[int] = set()
    seen_end = ended = False
    while at < size:
        page = _page_at(file, at, size)
        if page is None or not page.whole:
            if page is None or page.end <= size:  # a last page that is cut off is no gap: the end is missing
                gaps.append((seconds, "damaged"))
            at = _next_page(file, at + 1, size)
            continue
        if page.flags & _FIRST:
            if seen_end and not open_streams:
                starts.append(at)
                seen_end = False
            open_streams.add(page.serial)
            rate_hz = _granules_hz(page.body)
        if rate_hz and page.granule >= 0:
            seconds = page.granule / rate_hz
        ended = bool(page.flags & _LAST)
        if ended:
            open_streams.discard(page.serial)
            seen_end = True
        at = page.end
    ends = [*starts[1:], size]
    return Pages(tuple(zip(starts, ends, strict=True)), tuple(gaps), ended or not open_streams)


def _page_at(file: BinaryIO, at: int, size: int) -> _Page | None:
    file.seek(at)
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[:4] != b"OggS":
        return None
    table = file.read(header[26])
    end = at + _HEADER_BYTES + header[26] + sum(table)
    body = file.read(sum(table))
    blank = header[:22] + bytes(4) + header[26:] + table + body
    whole = end <= size and _crc(blank) == int.from_bytes(header[22:26], "little")
    serial, granule = int.from_bytes(header[14:18], "little"), int.from_bytes(header[6:14], "little", signed=True)
    return _Page(header[5], serial, end, whole, granule, body)


def _granules_hz(body: bytes) -> int:
    """How many granules are a second, by the first page of a stream; 0 for a codec that is not known here."""
    if body.startswith(b"OpusHead"):
        return 48_000
    return int.from_bytes(body[12:16], "little") if body.startswith(b"\x01vorbis") else 0


def _next_page(file: BinaryIO, at: int, size: int) -> int:
    while at < size:
        file.seek(at)
        data = file.read(_SEARCH_BYTES + 3)
        found = data.find(b"OggS")
        if found >= 0:
            return at + found
        at += _SEARCH_BYTES
    return size


def _crc(data: bytes) -> int:
    """Ogg's checksum is zlib's with the bits of every byte, and of the result, in the other order."""
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)
