"""Count the frames of an MP3, which libsndfile only estimates from the first one."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from rtdenoise.sound.containers.splice import Piece

_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_KBPS_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_KBPS_LAYER_1 = tuple(range(0, 449, 32))
_KBPS_LAYER_1_LOW = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the version's bits
_OWN_FRAME_INDEX = 9  # bit rate of the frame that holds our count: 128 or 80 kbit/s, long enough for it
_DECODER_DELAY_SAMPLES = 529
_READ_BYTES = 1 << 20
_JUNK_BYTES_MAX = 4096  # in front of the first frame; more, and it is no MP3
_HAS_FRAMES, _HAS_BYTES, _HAS_TABLE, _HAS_QUALITY = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame's header; `side` is where the Xing header would begin."""

    head: int
    n_bytes: int
    n_samples: int
    rate_hz: int
    side: int

    def fits(self, other: Frame) -> bool:
        """Whether both belong to one stream: version, layer and rate."""
        return (self.head ^ other.head) & 0xFFFE_0C00 == 0


@dataclass(frozen=True, slots=True)
class Frames:
    """The audio of a file; `gaps` has the seconds and the kind of each damaged place."""

    pieces: tuple[Piece, ...]
    n_frames: int
    gaps: tuple[tuple[float, str], ...]


def after_id3(file: BinaryIO) -> int:
    """Position after the leading ID3v2 tags."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        length = 0
        for byte in head[6:]:
            length = length << 7 | byte & 0x7F
        at += 10 + length + (10 if head[5] & 0x10 else 0)


def is_mp3(file: BinaryIO, start: int) -> bool:
    """Whether a stream of MPEG layer III begins at a position, or after a little junk."""
    file.seek(start)
    data = file.read(_JUNK_BYTES_MAX + 4096)
    return _first(data) is not None


def begins(data: bytes) -> bool:
    """Whether these bytes begin with frames of MPEG layer I, II or III."""
    at = count = 0
    while count < 3 and at + 4 <= len(data):
        length = _frame_bytes(data[at : at + 4])
        if not length:
            return False
        at += length
        count += 1
    return count >= 2


def _frame_bytes(head: bytes) -> int:
    """Length of a frame of any layer, 0 if that is no header; layers I and II by their own tables."""
    if len(head) < 4:
        return 0
    word = int.from_bytes(head, "big")
    version, layer, index, rate_index = word >> 19 & 3, word >> 17 & 3, word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 0 or index in (0, 15) or rate_index == 3:
        return 0
    rate, padding = _RATES_HZ[version][rate_index], word >> 9 & 1
    if layer == 1:
        frame = _frame_of(word)
        return frame.n_bytes if frame is not None else 0
    if layer == 2:
        kbps = (_KBPS_LAYER_2 if version == 3 else _KBPS[2])[index]
        return 144_000 * kbps // rate + padding
    kbps = (_KBPS_LAYER_1 if version == 3 else _KBPS_LAYER_1_LOW)[index]
    return (12_000 * kbps // rate + padding) * 4


def _first(data: bytes) -> int | None:
    """Where two frames follow each other."""
    at = data.find(b"\xff")
    while 0 <= at < _JUNK_BYTES_MAX:
        frame = frame_at(data, at)
        if frame is not None:
            following = frame_at(data, at + frame.n_bytes)
            if (following is not None and frame.fits(following)) or at + frame.n_bytes == len(data):
                return at
        at = data.find(b"\xff", at + 1)
    return None


def frame_at(data: bytes, at: int) -> Frame | None:
    """The header of a layer III frame at a position; None if there is none."""
    return _frame_of(int.from_bytes(data[at : at + 4], "big")) if at + 4 <= len(data) else None


@lru_cache(maxsize=256)  # the frames of a stream have few different headers
def _frame_of(head: int) -> Frame | None:
    version, layer = head >> 19 & 3, head >> 17 & 3
    index, rate_index = head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or index in (0, 15) or rate_index == 3:
        return None
    rate = _RATES_HZ[version][rate_index]
    n_samples = 1152 if version == 3 else 576
    n_bytes = n_samples // 8 * 1000 * _KBPS[1 if version == 3 else 2][index] // rate + (head >> 9 & 1)
    mono = head >> 6 & 3 == 3
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[version == 3, mono]
    return Frame(head, n_bytes, n_samples, rate, 4 + side)


def walk(file: BinaryIO, start: int, size: int) -> Frames | None:
    """Count the frames; None if the count that the file brings along is right, or nothing can be counted.

    Returns
    -------
    Frames or None
        Its pieces begin with a frame that holds the count, so that all of them are decoded.
    """
    file.seek(start)
    head = file.read(_JUNK_BYTES_MAX + 4096)
    at = _first(head)
    if at is None:
        return None
    first = frame_at(head, at)
    assert first is not None
    note = _Note.read(head[at : at + first.n_bytes], first)
    begin = start + at + (first.n_bytes if note is not None else 0)
    stretches, n_frames, gaps = _count(file, begin, size, first)
    lame = b"" if note is None else note.rest(whole=note.n_frames == n_frames)
    if n_frames == 0 or (note is not None and lame and note.n_frames >= n_frames and not gaps):
        return None
    stated = max(n_frames, note.n_frames) if note is not None else n_frames
    return Frames((_own_frames(first, stated, lame), *stretches), n_frames, tuple(gaps))


def _count(
    file: BinaryIO, at: int, size: int, first: Frame
) -> tuple[list[tuple[int, int]], int, list[tuple[float, str]]]:
    """Stretches of frames, without damaged places between them and without further counts."""
    stretches: list[tuple[int, int]] = []
    gaps: list[tuple[float, str]] = []
    begin, n_frames, base, data = at, 0, at, b""
    while at < size:
        if at + first.side + 4096 > base + len(data):
            file.seek(at)
            base, data = at, file.read(_READ_BYTES)
        frame = frame_at(data, at - base)
        whole = frame is not None and frame.fits(first) and at + frame.n_bytes <= size
        if frame is not None and whole and not _is_note(data, at - base, frame):
            n_frames += 1
            at += frame.n_bytes
            continue
        stretches.append((begin, at))
        if frame is not None and whole:
            at += frame.n_bytes
        else:
            found = _resume(file, at + 1, size, first)
            tail = data[at - base : at - base + 3]
            if found < size and tail != b"ID3":
                gaps.append((n_frames * first.n_samples / first.rate_hz, f"{found - at} bytes are damaged"))
            at = found
        begin = at
    stretches.append((begin, min(at, size)))
    return [(a, b) for a, b in stretches if b > a], n_frames, gaps


def _resume(file: BinaryIO, at: int, size: int, first: Frame) -> int:
    """Where two frames of the stream follow each other again."""
    while at < size:
        file.seek(at)
        data = file.read(_READ_BYTES)
        found = data.find(b"\xff")
        while 0 <= found < max(1, len(data) - 8192):
            frame = frame_at(data, found)
            if frame is not None and frame.fits(first):
                following = frame_at(data, found + frame.n_bytes)
                if following is not None and following.fits(first):
                    return at + found
            found = data.find(b"\xff", found + 1)
        if len(data) < _READ_BYTES:
            return _last_resume(data, at, size, first)
        at += len(data) - 8192
    return size


def _last_resume(data: bytes, at: int, size: int, first: Frame) -> int:
    found = data.find(b"\xff", max(0, len(data) - 8192))
    while found >= 0:
        frame = frame_at(data, found)
        if frame is not None and frame.fits(first):
            following = frame_at(data, found + frame.n_bytes)
            if (following is not None and following.fits(first)) or at + found + frame.n_bytes == size:
                return at + found
        found = data.find(b"\xff", found + 1)
    return size


def _is_note(data: bytes, at: int, frame: Frame) -> bool:
    return data[at + frame.side : at + frame.side + 4] in (b"Xing", b"Info")


@dataclass(frozen=True, slots=True)
class _Note:
    """The Xing or Info header; `tail` is LAME's part, which holds the encoder's delay and padding."""

    n_frames: int
    tail: bytes

    @classmethod
    def read(cls, data: bytes, frame: Frame) -> _Note | None:
        if not _is_note(data, 0, frame) or len(data) < frame.side + 8:
            return None
        (flags,) = struct.unpack(">I", data[frame.side + 4 : frame.side + 8])
        at = frame.side + 8
        n_frames = int.from_bytes(data[at : at + 4], "big") if flags & _HAS_FRAMES else 0
        parts = ((_HAS_FRAMES, 4), (_HAS_BYTES, 4), (_HAS_TABLE, 100), (_HAS_QUALITY, 4))
        at += sum(length for bit, length in parts if flags & bit)
        return cls(n_frames, data[at : at + 36])

    def rest(self, *, whole: bool) -> bytes:
        """LAME's part; of a stream that was appended to, the padding is no longer at the end."""
        if len(self.tail) < 24 or self.tail[:4] not in (b"LAME", b"Lavf", b"Lavc"):
            return b""
        delay = int.from_bytes(self.tail[21:24], "big")
        delay = delay if whole else delay >> 12 << 12
        return self.tail[:21] + delay.to_bytes(3, "big") + self.tail[24:]


def _own_frames(first: Frame, n_frames: int, lame: bytes) -> bytes:
    """A frame that holds the count; without LAME's part also one of silence, which the decoder's delay falls into.

    As soon as there is a count, mpg123 leaves out its delay, which belongs to the sound of a stream that names none.
    """
    if lame:
        return _own_frame(first, b"Xing" + struct.pack(">II", _HAS_FRAMES, n_frames) + lame)
    delay = first.n_samples - _DECODER_DELAY_SAMPLES
    lame = b"LAME3.100".ljust(21, b"\0") + (delay << 12).to_bytes(3, "big") + bytes(12)
    count = b"Xing" + struct.pack(">II", _HAS_FRAMES, n_frames + 1) + lame
    return _own_frame(first, count) + _own_frame(first, b"")


def _own_frame(first: Frame, content: bytes) -> bytes:
    """A frame without sound."""
    head = (first.head | 1 << 16) & ~(0xF << 12) & ~(1 << 9) | _OWN_FRAME_INDEX << 12
    made = frame_at(head.to_bytes(4, "big"), 0)
    assert made is not None
    return (head.to_bytes(4, "big") + bytes(made.side - 4) + content)[: made.n_bytes].ljust(made.n_bytes, b"\0")
