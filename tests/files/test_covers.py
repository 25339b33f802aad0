"""Covers: kept byte for byte where a container stays what it is, and said to be lost elsewhere; read back by FFmpeg."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.files import denoise_file
from rtdenoise.sound.containers.covers import Covers, covers_of
from tests.files.conftest import voice

RATE = 16000


def png(grey: int = 7) -> bytes:
    """A picture of one pixel."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    head = chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes((0, grey)))) + chunk(b"IEND", b"")


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def flac_block(picture: bytes) -> bytes:
    body = number(3) + number(9) + b"image/png" + number(0) + number(1) * 2 + number(8) + number(0)
    body += number(len(picture)) + picture
    return b"\x06" + len(body).to_bytes(3, "big") + body


def syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(picture: bytes, version: int, *, flags: int = 0, frame_flags: int = 0) -> bytes:
    body = b"\x00image/png\x00\x03\x00" + picture
    length = syncsafe(len(body)) if version == 4 else number(len(body))
    title = b"TIT2" + number(3) + b"\0\0" + b"\x00ab"
    frames = title + b"APIC" + length + bytes((0, frame_flags)) + body + bytes(50)
    return b"ID3" + bytes((version, 0, flags)) + syncsafe(len(frames)) + frames


@pytest.fixture
def flac(tmp_path: Path) -> Path:
    path = tmp_path / "a.flac"
    soundfile.write(path, voice(RATE, RATE, 1), RATE)
    plain = path.read_bytes()
    path.write_bytes(plain[:42] + flac_block(png(7)) + flac_block(png(200)) + plain[42:])
    return path


def mp3(path: Path, tag: bytes) -> Path:
    soundfile.write(path, voice(RATE, RATE, 1), RATE, format="MP3", subtype="MPEG_LAYER_III")
    path.write_bytes(tag + path.read_bytes())
    return path


def pictures(path: str | Path) -> list[bytes]:
    """What FFmpeg finds."""
    av = pytest.importorskip("av", reason="PyAV, the extra media, reads the pictures back")
    with av.open(str(path)) as container:
        return [
            bytes(packet) for packet in container.demux(video=list(range(len(container.streams.video)))) if packet.size
        ]


def test_a_flac_keeps_its_covers(flac):
    report = denoise_file(flac, method="bypass")
    assert pictures(report.target) == [png(7), png(200)]
    np.testing.assert_array_equal(soundfile.read(report.target)[0], soundfile.read(flac)[0])
    assert not report.warnings


def test_a_flac_whose_only_block_is_the_first_keeps_them_too(flac, tmp_path):
    """The mark of the last block moves to the last picture."""
    from rtdenoise.sound.containers.covers import add_covers

    plain = tmp_path / "plain.flac"
    soundfile.write(plain, voice(RATE, RATE, 1), RATE)
    content = plain.read_bytes()
    at = 42
    while not content[at] & 0x80:
        at += 4 + int.from_bytes(content[at + 1 : at + 4], "big")
    at += 4 + int.from_bytes(content[at + 1 : at + 4], "big")
    plain.write_bytes(content[:4] + b"\x80" + content[5:42] + content[at:])
    before = soundfile.read(plain)[0]
    with plain.open("r+b", buffering=0) as file:
        add_covers(file, covers_of(flac, "FLAC"))
    assert pictures(plain) == [png(7), png(200)]
    np.testing.assert_array_equal(soundfile.read(plain)[0], before)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("tagged", [False, True])
def test_an_mp3_keeps_its_cover(tmp_path, version, tagged):
    """With a title libsndfile writes a tag, into which the picture goes; without, it gets one of its own."""
    source = mp3(tmp_path / "a.mp3", id3(png(), version))
    if not tagged:
        source.write_bytes(source.read_bytes().replace(b"TIT2", b"XXXX", 1))
    report = denoise_file(source, method="bypass")
    assert pictures(report.target) == [png()]
    with soundfile.SoundFile(report.target) as file:
        assert file.frames == RATE and (file.copy_metadata().get("title") == "ab") == tagged
    assert not report.warnings


def test_an_m4a_keeps_its_cover(tmp_path):
    av = pytest.importorskip("av", reason="PyAV, the extra media, is not installed")
    from av.stream import Disposition

    from tests.files.test_media import encode

    source = tmp_path / "a.m4a"
    with av.open(str(source), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        cover = out.add_stream("png", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt, cover.disposition = "rgb24", Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.full((16, 16, 3), 9, np.uint8), format="rgb24")))
        out.mux(cover.encode(None))
        encode(out, stream, voice(48000, 48000, 1).astype(np.float32), 48000)
    report = denoise_file(source, method="bypass")
    assert pictures(source) and pictures(report.target) == pictures(source)
    assert not report.warnings


@pytest.mark.parametrize(
    ("version", "more"),
    [(3, {"flags": 0x80}), (4, {"frame_flags": 8}), (2, {})],
    ids=["unsynchronised", "packed", "2.2"],
)
def test_a_cover_that_cannot_be_carried_is_said_to_be_lost(tmp_path, version, more):
    report = denoise_file(mp3(tmp_path / "a.mp3", id3(png(), version, **more)), method="bypass")
    assert [w for w in report.warnings if "the cover of the source cannot be kept in it" in w]


def test_another_container_says_that_it_has_no_cover(flac, tmp_path):
    report = denoise_file(flac, tmp_path / "out.wav", method="bypass")
    assert report.warnings == (f"{tmp_path / 'out.wav'}: the cover of the source cannot be kept in it",)


def test_cut_off_headers_hold_no_cover(flac, tmp_path):
    whole = flac.read_bytes()
    for end in range(0, 300):
        flac.write_bytes(whole[:end])
        assert len(covers_of(flac, "FLAC").pictures) <= 2
    tag = id3(png(), 3)
    path = tmp_path / "b.mp3"
    for end in range(len(tag)):
        path.write_bytes(tag[:end])
        assert not covers_of(path, "MP3").pictures or end >= len(tag) - 50
    assert covers_of(path, "WAV") == Covers()
