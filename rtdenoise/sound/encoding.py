"""How audio is stored in a file: container, sample type, rate; and which of it a target can keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from rtdenoise.errors import AudioFileError

LOSSY = frozenset({"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"})
FLOATING = frozenset({"FLOAT", "DOUBLE"})
BLOCKS = frozenset(
    {"IMA_ADPCM", "MS_ADPCM", "GSM610", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32", "G721_32", "G723_24", "G723_40"}
)
"""Codecs whose files are a whole number of blocks, so that a signal of any length would become longer in them."""

_CONTAINERS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".wave": ("WAV", "WAVEX", "RF64"),
    ".bwf": ("WAV", "WAVEX", "RF64"),
    ".rf64": ("RF64",),
    ".w64": ("W64",),
    ".flac": ("FLAC",),
    ".ogg": ("OGG",),
    ".oga": ("OGG",),
    ".opus": ("OGG",),
    ".mp3": ("MP3",),
    ".aif": ("AIFF",),
    ".aiff": ("AIFF",),
    ".aifc": ("AIFF",),
    ".au": ("AU",),
    ".snd": ("AU",),
    ".caf": ("CAF",),
}
AUDIO_SUFFIXES = frozenset(_CONTAINERS)
"""What a folder is searched for."""

_RIFF_LIMIT_BYTES = 0xFFFF_FFFF - (1 << 20)
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}  # per sample; 1 or less in all others
_OPUS_KBPS = (6.0, 256.0)  # per channel; libsndfile's compression levels 1 and 0
_MP3_KBPS = ((32_000, 32.0, 320.0), (16_000, 8.0, 160.0), (0, 8.0, 64.0))  # from this rate in Hz on: lowest, highest
_NEW_OPUS_KBPS, _NEW_MP3_KBPS = 48.0, 96.0  # per channel, where the source has another encoding
_VORBIS_LEVEL = 0.4  # Vorbis quality 6, above its encoders' default of 3 to 4


@dataclass(frozen=True, slots=True)
class Encoding:
    """What libsndfile calls format, subtype and endianness, with the rate; `kbps` is 0 where it has no meaning."""

    container: str
    subtype: str
    endian: str
    sample_rate: int
    channels: int
    kbps: float = 0.0


def encoding_for(target: Path, source: Encoding, n_samples: int | None) -> Encoding:
    """The encoding of a new file: the source's where the suffix allows, else the nearest that loses nothing audible.

    Parameters
    ----------
    target : Path
        Its suffix decides the container.
    source : Encoding
    n_samples : int, optional
        Per channel; more than a WAV can hold (4 GB) makes an RF64, and so does an unknown length.

    Raises
    ------
    AudioFileError
        For a suffix that names no known container.
    """
    containers = containers_for(target)
    same = source.container in containers
    container = source.container if same else containers[0]
    subtype = _subtype(container, target.suffix.lower(), source.subtype, keep=same)
    size = _RIFF_LIMIT_BYTES if n_samples is None else n_samples * source.channels * _BYTES.get(subtype, 1)
    if container in ("WAV", "WAVEX") and size >= _RIFF_LIMIT_BYTES:
        container = "RF64"
    chosen = replace(source, container=container, subtype=subtype)
    return chosen if same else replace(chosen, endian="FILE", kbps=source.kbps if subtype == source.subtype else 0.0)


def containers_for(target: Path) -> tuple[str, ...]:
    """What a file of this suffix can be inside, the usual one first.

    Raises
    ------
    AudioFileError
        For a suffix that names no known container.
    """
    containers = _CONTAINERS.get(target.suffix.lower())
    if containers is None:
        known = " ".join(sorted(AUDIO_SUFFIXES))
        raise AudioFileError(
            f"{target}: the suffix {target.suffix!r} names no audio format that can be written: {known}"
        )
    return containers


def _subtype(container: str, suffix: str, subtype: str, *, keep: bool) -> str:
    import soundfile

    if container == "OGG":
        allowed = subtype if subtype in ("VORBIS", "OPUS") else "VORBIS"
        return "OPUS" if suffix == ".opus" else allowed
    if container == "MP3":
        return "MPEG_LAYER_III"
    known = subtype in soundfile.available_subtypes() and subtype not in LOSSY
    if subtype not in BLOCKS and (keep or (known and soundfile.check_format(container, subtype))):
        return subtype
    return _nearest(container, subtype)


def _nearest(container: str, subtype: str) -> str:
    """The integers that hold a subtype which the container cannot."""
    import soundfile

    if subtype in BLOCKS:
        return "PCM_16"
    if subtype in FLOATING or subtype.endswith(("_24", "_32")):
        return "PCM_24"
    other = {"PCM_S8": "PCM_U8", "PCM_U8": "PCM_S8"}.get(subtype)
    return other if other is not None and soundfile.check_format(container, other) else "PCM_16"


def compression(encoding: Encoding) -> tuple[float | None, str | None]:
    """Compression level and bit-rate mode for libsndfile: the bit rate of the source, or a good one."""
    if encoding.subtype == "VORBIS":
        return _VORBIS_LEVEL, None
    if encoding.subtype == "OPUS":
        low, high = _OPUS_KBPS
        kbps = encoding.kbps / encoding.channels or _NEW_OPUS_KBPS
        return _level(kbps, low, high), None
    if encoding.subtype == "MPEG_LAYER_III" and encoding.container == "MP3":
        low, high = next((low, high) for rate_hz, low, high in _MP3_KBPS if encoding.sample_rate >= rate_hz)
        return _level(
            encoding.kbps or _NEW_MP3_KBPS * encoding.channels, low, high
        ), "AVERAGE"  # at a constant low rate the frame that holds the exact length does not fit
    return None, None


def _level(kbps: float, low: float, high: float) -> float:
    return min(0.99, max(0.0, (high - kbps) / (high - low)))
