"""FLAC streams: headers without a length, and resynchronisation after damage (RFC 9639)."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rtdenoise.sound.containers.splice import Piece

_TOTAL_BITS = 36
_INFO_BYTES = 34
_CRC8_POLYNOMIAL = 0x07


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The first metadata block.

    `start`: position of ``fLaC``.  `n_samples`: per channel, 0 if it does not say.  `block_samples`: of every frame but
    the last, 0 if they differ.
    """

    start: int
    body: bytes
    n_samples: int
    block_samples: int

    def unbounded(self, size: int) -> tuple[Piece, ...]:
        """The file, with a header that does not say how long it is, so that all of it is read."""
        at = self.start + 8 + 10
        word = int.from_bytes(self.body[10:18], "big") >> _TOTAL_BITS << _TOTAL_BITS
        return ((self.start, at), word.to_bytes(8, "big"), (at + 8, size))

    def from_frame(self, at: int, size: int) -> tuple[Piece, ...]:
        """A stream that begins with the frame at a position."""
        word = int.from_bytes(self.body[10:18], "big") >> _TOTAL_BITS << _TOTAL_BITS
        body = self.body[:10] + word.to_bytes(8, "big") + bytes(16)
        return (b"fLaC\x80\x00\x00\x22" + body, (at, size))


def read_stream_info(file: BinaryIO, start: int) -> StreamInfo | None:
    """What the header says; None if it is damaged."""
    file.seek(start)
    head = file.read(8 + _INFO_BYTES)
    if len(head) < 8 + _INFO_BYTES or head[:4] != b"fLaC" or head[4] & 0x7F != 0:
        return None
    body = head[8:]
    shortest, longest = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    total = int.from_bytes(body[10:18], "big") & ((1 << _TOTAL_BITS) - 1)
    return StreamInfo(start, body, total, longest if shortest == longest else 0)


def frames_from(path: Path, info: StreamInfo, sample: int) -> Iterator[tuple[int, int]]:
    """Position and first sample of every frame that begins behind `sample`, by their headers' checksums."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = info.start + 8 + _INFO_BYTES
        while (at := data.find(b"\xff", at)) >= 0:
            first = _first_sample(data[at : at + 16], info.block_samples)
            if first is not None and first > sample:
                yield at, first
            at += 1


def _first_sample(head: bytes, block_samples: int) -> int | None:
    """First sample of the frame whose header this is; None if it is no header."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    number, used = _coded_number(head[4:11])
    if number is None:
        return None
    size, rate = head[2] >> 4, head[2] & 15
    used += 4 + {6: 1, 7: 2}.get(size, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if used >= len(head) or _crc8(head[:used]) != head[used]:
        return None
    return number if head[1] & 1 else number * block_samples


def _coded_number(data: bytes) -> tuple[int | None, int]:
    """A number coded like a character of UTF-8, of up to 36 bits, and how many bytes it takes."""
    first = data[0]
    if first < 0x80:
        return first, 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7 or len(data) < length or any(byte >> 6 != 2 for byte in data[1:length]):
        return None, 1
    number = first & ((1 << (7 - length)) - 1) if length < 7 else 0
    for byte in data[1:length]:
        number = number << 6 | byte & 0x3F
    return number, length


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ _CRC8_POLYNOMIAL) & 0xFF if crc & 0x80 else crc << 1
    return crc
