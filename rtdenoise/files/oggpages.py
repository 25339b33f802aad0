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

    `links`: first and end position of each recording.  `gaps`: what was wrong, with how much of its bytes lay in
    front of it as a share of the file.  `ended`: whether the last page says that it is the last.
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


def walk(file: BinaryIO, size: int) -> Pages:
    """Go through all pages."""
    at, starts, gaps = 0, [0], []
    open_streams: set[int] = set()
    seen_end = ended = False
    while at < size:
        page = _page_at(file, at, size)
        if page is None or not page.whole:
            gaps.append((at / size, "damaged"))
            at = _next_page(file, at + 1, size)
            continue
        if page.flags & _FIRST:
            if seen_end and not open_streams:
                starts.append(at)
                seen_end = False
            open_streams.add(page.serial)
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
    return _Page(header[5], int.from_bytes(header[14:18], "little"), end, whole)


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
