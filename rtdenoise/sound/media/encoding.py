"""How sound is stored in the containers that PyAV writes: which codec, at which bit rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rtdenoise.sound.encoding import Encoding


@dataclass(frozen=True, slots=True)
class Container:
    """FFmpeg's name of what writes it, its usual codec, the codecs it may keep, and whether it holds pictures.

    `brand`: what the first bytes of an MP4 call it; FFmpeg's own writer of M4A ("ipod") refuses covers from PyAV.
    """

    muxer: str
    codec: str
    keeps: frozenset[str]
    pictures: bool = False
    brand: str = ""


_MP4 = frozenset({"AAC", "ALAC", "AC3", "EAC3", "MP3", "OPUS", "FLAC"})
_PCM = frozenset({"PCM_16", "PCM_24", "PCM_32", "FLOAT"})
_ANY = _MP4 | _PCM | {"MP2", "WAVPACK", "TTA"}
_CONTAINERS = {
    ".m4a": Container("mp4", "AAC", frozenset({"AAC", "ALAC", "AC3"}), brand="M4A "),
    ".m4b": Container("mp4", "AAC", frozenset({"AAC", "ALAC", "AC3"}), brand="M4B "),
    ".mp4": Container("mp4", "AAC", _MP4, pictures=True),
    ".m4v": Container("mp4", "AAC", _MP4, pictures=True),
    ".mov": Container("mov", "AAC", frozenset({"AAC", "ALAC", "AC3", "MP3"}) | _PCM, pictures=True),
    ".3gp": Container("3gp", "AAC", frozenset({"AAC", "AMR_NB"}), pictures=True),
    ".3g2": Container("3g2", "AAC", frozenset({"AAC", "AMR_NB"}), pictures=True),
    ".aac": Container("adts", "AAC", frozenset({"AAC"})),
    ".amr": Container("amr", "AMR_NB", frozenset({"AMR_NB"})),
    ".webm": Container("webm", "OPUS", frozenset({"OPUS"}), pictures=True),
    ".weba": Container("webm", "OPUS", frozenset({"OPUS"})),
    ".mkv": Container("matroska", "AAC", _ANY, pictures=True),
    ".mka": Container("matroska", "AAC", _ANY),
    ".wma": Container("asf", "WMAV2", frozenset({"WMAV2"})),
    ".wmv": Container("asf", "WMAV2", frozenset({"WMAV2", "MP3"}), pictures=True),
    ".asf": Container("asf", "WMAV2", frozenset({"WMAV2", "MP3"}), pictures=True),
    ".avi": Container("avi", "MP3", frozenset({"MP3", "AC3", "MP2", "PCM_16"}), pictures=True),
    ".flv": Container("flv", "AAC", frozenset({"AAC", "MP3"}), pictures=True),
    ".ts": Container("mpegts", "AAC", frozenset({"AAC", "MP2", "AC3", "MP3"}), pictures=True),
    ".mts": Container("mpegts", "AC3", frozenset({"AAC", "MP2", "AC3", "MP3"}), pictures=True),
    ".m2ts": Container("mpegts", "AC3", frozenset({"AAC", "MP2", "AC3", "MP3"}), pictures=True),
    ".mpg": Container("vob", "MP2", frozenset({"MP2", "AC3"}), pictures=True),
    ".mpeg": Container("vob", "MP2", frozenset({"MP2", "AC3"}), pictures=True),
    ".mp2": Container("mp2", "MP2", frozenset({"MP2"})),
    ".ac3": Container("ac3", "AC3", frozenset({"AC3"})),
    ".wv": Container("wv", "WAVPACK", frozenset({"WAVPACK"})),
    ".tta": Container("tta", "TTA", frozenset({"TTA"})),
}
WRITABLE_SUFFIXES = frozenset(_CONTAINERS)
"""What PyAV writes for us; all else goes through libsndfile."""

_ENCODERS = {
    "MP3": "libmp3lame",
    "OPUS": "libopus",
    "AMR_NB": "libopencore_amrnb",
    "PCM_16": "pcm_s16le",
    "PCM_24": "pcm_s24le",
    "PCM_32": "pcm_s32le",
    "FLOAT": "pcm_f32le",
}
_KBPS = {"AAC": 96.0, "OPUS": 64.0, "MP3": 96.0, "WMAV2": 96.0, "AC3": 96.0, "EAC3": 96.0, "MP2": 128.0}  # per channel
_KBPS_MIN = {"AAC": 32.0, "OPUS": 24.0, "MP3": 32.0, "WMAV2": 32.0, "AC3": 64.0, "EAC3": 64.0, "MP2": 64.0}
_DEEP = {"ALAC": "s32p", "FLAC": "s32", "WAVPACK": "s32p", "TTA": "s32"}
_SHALLOW = {"ALAC": "s16p", "FLAC": "s16", "WAVPACK": "s16p", "TTA": "s16"}


def container_for(target: Path) -> Container:
    """The container of a file with one of `WRITABLE_SUFFIXES`."""
    return _CONTAINERS[target.suffix.lower()]


def codec_of(subtype: str) -> str:
    """The codec of a subtype, without the bits that lossless ones have in their names."""
    return subtype.partition("_")[0] if subtype.startswith(tuple(_DEEP)) else subtype


def encoder_for(codec: str) -> str:
    """FFmpeg's name of what encodes a codec."""
    return _ENCODERS.get(codec, codec.lower())


def sample_format(subtype: str) -> str:
    """FFmpeg's name of the samples of a lossless codec; empty where the encoder has but one."""
    codec = codec_of(subtype)
    return (_SHALLOW if subtype.endswith(("_16", "_8")) else _DEEP).get(codec, "")


def bits_per_second(encoding: Encoding) -> int:
    """The bit rate of the source, but never a starved one; 0 for codecs that have none."""
    codec = codec_of(encoding.subtype)
    if codec not in _KBPS:
        return 0
    kbps = encoding.kbps or _KBPS[codec] * encoding.channels
    return round(1e3 * max(kbps, _KBPS_MIN[codec] * encoding.channels))


def encoding_in(target: Path, source: Encoding) -> Encoding:
    """The encoding of a new file that PyAV writes: the source's codec where the container may hold it.

    Parameters
    ----------
    target : Path
        Its suffix is one of `WRITABLE_SUFFIXES`.
    source : Encoding
    """
    container = container_for(target)
    kept = codec_of(source.subtype) in container.keeps
    subtype = source.subtype if kept else container.codec
    made = replace(source, container=container.muxer.upper(), subtype=subtype, endian="FILE")
    return made if kept else replace(made, kbps=0.0)
