"""Detect the container of a file or pipe from its first bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtdenoise.sound.containers import mpeg

HEAD_BYTES = 8192
"""Number of leading bytes that `kind_of` examines."""

_TS_PACKET_BYTES = 188
_M2TS_PACKET_BYTES = 192
_STILL_PICTURES = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jp2 ")


@dataclass(frozen=True, slots=True)
class Kind:
    """A container.

    Attributes
    ----------
    name : str
        For people.
    suffix : str
        The usual one.
    demuxer : str
        FFmpeg's name of what reads it.
    plain : bool
        Whether libsndfile reads it, so that no extra is needed.
    streams : bool
        Whether it can be decoded while it still arrives.
    """

    name: str
    suffix: str
    demuxer: str
    plain: bool = False
    streams: bool = True


WAV = Kind("WAV", ".wav", "wav", plain=True)
_AIFF = Kind("AIFF", ".aiff", "aiff", plain=True)
_AVI = Kind("AVI", ".avi", "avi")
_MP3 = Kind("MP3", ".mp3", "mp3", plain=True)
_ADTS = Kind("AAC", ".aac", "aac")
_TS = Kind("MPEG transport stream", ".ts", "mpegts")
_MATROSKA = Kind("Matroska", ".mkv", "matroska")
_WEBM = Kind("WebM", ".webm", "matroska")

_STARTS = (
    (b"RF64", WAV),
    (b"BW64", WAV),
    (b"RIFX", WAV),
    (b"fLaC", Kind("FLAC", ".flac", "flac", plain=True)),
    (b"OggS", Kind("Ogg", ".ogg", "ogg", plain=True)),
    (b"caff", Kind("CAF", ".caf", "caf", plain=True)),
    (b".snd", Kind("AU", ".au", "au", plain=True)),
    (b"dns.", Kind("AU", ".au", "au", plain=True)),
    (bytes.fromhex("726966662e91cf11a5d628db04c10000"), Kind("W64", ".w64", "w64", plain=True)),
    (b"#!AMR", Kind("AMR", ".amr", "amr")),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), Kind("Windows Media", ".wma", "asf")),
    (b"FLV\x01", Kind("Flash video", ".flv", "flv")),
    (b"\x00\x00\x01\xba", Kind("MPEG program stream", ".mpg", "mpeg")),
    (b"wvpk", Kind("WavPack", ".wv", "wv")),
    (b"MAC ", Kind("Monkey's Audio", ".ape", "ape", streams=False)),
    (b"TTA1", Kind("True Audio", ".tta", "tta")),
    (b"MPCK", Kind("Musepack", ".mpc", "mpc8", streams=False)),
    (b"MP+", Kind("Musepack", ".mpc", "mpc", streams=False)),
    (b"DSD ", Kind("DSF", ".dsf", "dsf", streams=False)),
    (b".RMF", Kind("RealMedia", ".rm", "rm")),
    (b"Creative Voice File", Kind("VOC", ".voc", "voc", plain=True)),
)


def kind_of(head: bytes) -> Kind | None:
    """The container that begins with these bytes; None for raw samples, text, pictures and all else.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES`, or all there are; 16 tell most containers.
    """
    if head[:4] == b"RIFF":
        return {b"WAVE": WAV, b"AVI ": _AVI}.get(head[8:12])
    if head[:4] == b"FORM":
        return _AIFF if head[8:12] in (b"AIFF", b"AIFC") else None
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _WEBM if b"webm" in head[:64] else _MATROSKA
    return _mp4(head) or _elementary(head)


def _mp4(head: bytes) -> Kind | None:
    box, brand = head[4:8], head[8:12]
    if box == b"ftyp":
        if brand in _STILL_PICTURES:
            return None
        if brand in (b"M4A ", b"M4B ", b"M4P "):
            return Kind("MPEG-4 audio", ".m4a", "mov", streams=False)
        if brand[:3] in (b"3gp", b"3g2"):
            return Kind("3GPP", ".3gp", "mov", streams=False)
        return Kind("QuickTime", ".mov", "mov", streams=False) if brand == b"qt  " else _MP4
    length = int.from_bytes(head[:4], "big")
    if box in (b"moov", b"mdat", b"wide", b"pnot") and (length in (0, 1) or length >= 8):
        return Kind("QuickTime", ".mov", "mov", streams=False)
    return None


_MP4 = Kind("MP4", ".mp4", "mov", streams=False)


def _elementary(head: bytes) -> Kind | None:
    """Detect streams of bare frames, recognisable only by their repetition."""
    if head.startswith(b"ID3"):
        inside = head[_id3_bytes(head) :]
        return (kind_of(inside) if len(inside) >= 16 else None) or _MP3
    if head[:1] == b"\xff" and head[1:2] and head[1] & 0xF6 == 0xF0 and _adts_repeats(head):
        return _ADTS
    if head[:1] == b"\xff" and mpeg.begins(head):
        return _MP3
    for size, start in ((_TS_PACKET_BYTES, 0), (_M2TS_PACKET_BYTES, 4)):
        syncs = head[start::size]
        if len(syncs) >= 3 and set(syncs[:5]) == {0x47}:
            return _TS
    if head.startswith(b"\x0b\x77") and _ac3_repeats(head):
        return Kind("AC-3", ".ac3", "ac3")
    return None


def may_be_frames(head: bytes) -> bool:
    """Whether `kind_of` has to see more than these first bytes to know."""
    return (
        head[:2] == b"\x0b\x77"
        or head[:1] in (b"\x47", b"\x1a")
        or head[:3] == b"ID3"
        or (head[:1] == b"\xff" and head[1:2] >= b"\xe0")
    )


def _id3_bytes(head: bytes) -> int:
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length


def _adts_repeats(head: bytes) -> bool:
    length = int.from_bytes(head[3:6], "big") >> 5 & 0x1FFF
    following = head[length : length + 2]
    return length >= 7 and following == head[:2]


def _ac3_repeats(head: bytes) -> bool:
    return head.find(b"\x0b\x77", 64) > 0


def kind_of_file(path: Path) -> Kind | None:
    """What a file carries; None also if it cannot be read, which opening it will say."""
    try:
        with path.open("rb") as file:
            start = mpeg.after_id3(file)
            file.seek(start)
            inside = kind_of(file.read(HEAD_BYTES))
    except OSError:
        return None
    return inside if inside is not None or not start else _MP3
