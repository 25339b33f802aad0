"""WAV headers on pipes: no seeking, length often unknown."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from rtdenoise.errors import AudioFileError
from rtdenoise.sound.pcm import SAMPLE_BYTES

MAGIC_BYTES = 16
_CHUNK_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9 _-]{3}")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMS = {(_PCM, bits): form for bits, form in ((8, "u8"), (16, "s16"), (24, "s24"), (32, "s32"))}
_FORMS |= {(_FLOAT, 32): "f32", (_FLOAT, 64): "f64"}
_UNKNOWN_FROM = 0x7FFF_0000  # programs that cannot know the length write 0x7FFFF000, 0x80000000, 0xFFFFFFFF or so
_UNKNOWN_64_FROM = 1 << 60
_UNKNOWN = 0xFFFF_FFFF
_CHUNK_BYTES_MAX = 1 << 26

Read = Callable[[int], bytes]
"""Takes a number of bytes, waits for them, and returns fewer only at the end of the input."""


@dataclass(frozen=True, slots=True)
class WaveHeader:
    """Format of the samples that follow; `data_bytes` is None if their end is the end of the pipe."""

    form: str
    sample_rate: int
    channels: int
    data_bytes: int | None


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes may begin a chunk, and are not samples: ``LIST``, ``id3 ``, ``cue `` ..."""
    return _CHUNK_NAME.fullmatch(name) is not None or name[:3] in (b"ID3", b"TAG")


def read_wave_header(magic: bytes, read: Read) -> WaveHeader:
    """Read up to the first sample.

    Parameters
    ----------
    magic : bytes
        The four bytes that were read already.
    read : callable

    Raises
    ------
    AudioFileError
        If it is not a WAV of plain integers or floats, or ends early.
    """
    rest = _exactly(read, 8)
    if rest[4:] != b"WAVE":
        raise AudioFileError(f"standard input: begins with {magic!r} but is not a WAV")
    layout: tuple[str, int, int] | None = None
    long_bytes = 0
    while True:
        name, size = struct.unpack("<4sI", _exactly(read, 8))
        if name == b"data":
            if layout is None:
                raise AudioFileError("standard input: a WAV whose samples come before their format")
            known = 0 < size < _UNKNOWN_FROM
            return WaveHeader(*layout, data_bytes=size if known else long_bytes or None)
        if size > _CHUNK_BYTES_MAX:
            raise AudioFileError(f"standard input: damaged WAV: a chunk {name!r} of {size} bytes before the samples")
        body = _exactly(read, size + size % 2)
        if name == b"fmt ":
            layout = _layout(body)
        elif name == b"ds64" and len(body) >= 16:
            long_bytes = struct.unpack("<Q", body[8:16])[0]
            long_bytes = long_bytes if long_bytes < _UNKNOWN_64_FROM else 0


def is_plain_wave(head: bytes) -> bool:
    """Whether a WAV, by its first bytes, holds plain samples that can be taken as they come.

    True as well where its format stands further behind, or is damaged, which reading it will say.
    """
    at = head.find(b"fmt ", 12)
    if head[:4] not in (b"RIFF", b"RF64") or at < 0 or len(head) < at + 24:
        return head[:4] in (b"RIFF", b"RF64")
    tag, bits = struct.unpack("<H12xH", head[at + 8 : at + 24])
    if tag == _EXTENSIBLE and len(head) >= at + 34:
        tag = struct.unpack("<H", head[at + 32 : at + 34])[0]
    return (tag, bits) in _FORMS


def _layout(body: bytes) -> tuple[str, int, int]:
    if len(body) < 16:
        raise AudioFileError("standard input: damaged WAV: its format is cut off")
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _EXTENSIBLE and len(body) >= 26:
        tag = struct.unpack("<H", body[24:26])[0]
    form = _FORMS.get((tag, bits))
    if form is None or channels == 0 or frame_bytes != channels * SAMPLE_BYTES[form]:
        raise AudioFileError(
            f"standard input: a WAV of format {tag}, {bits} bits and {channels} channels cannot be read from a pipe; "
            "give the file, or convert it to 16-bit first"
        )
    return form, rate, channels


def _exactly(read: Read, size: int) -> bytes:
    data = read(size)
    if len(data) < size:
        raise AudioFileError("standard input: a WAV that ends inside its header")
    return data


def wave_header(form: str, sample_rate: int, channels: int, data_bytes: int | None) -> bytes:
    """A header for `data_bytes` of samples; for None both lengths say "as much as comes"."""
    width = SAMPLE_BYTES[form]
    tag = _FLOAT if form in ("f32", "f64") else _PCM
    frame_bytes = channels * width
    layout = struct.pack("<HHIIHH", tag, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, 8 * width)
    middle = struct.pack("<4s4sI", b"WAVE", b"fmt ", len(layout)) + layout
    size = _UNKNOWN if data_bytes is None else data_bytes
    whole = _UNKNOWN if data_bytes is None else len(middle) + 8 + data_bytes + data_bytes % 2
    return struct.pack("<4sI", b"RIFF", whole) + middle + struct.pack("<4sI", b"data", size)
