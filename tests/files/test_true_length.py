"""Headers that do not say how long a file is, or say it wrongly: all that can be decoded is used, the rest is named."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

from rtdenoise.files import denoise_file
from rtdenoise.sound.containers import mpeg
from rtdenoise.sound.opening import open_source

N = 92_800  # 5.8 s, which is no whole number of blocks of any codec


def read(path: Path) -> np.ndarray:
    with open_source(path) as source:
        blocks = list(source.blocks(32_000))
        assert source.n_read == sum(map(len, blocks))
    return np.concatenate(blocks)


def patched(path: Path, at: int, data: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


def with_flac_total(path: Path, total: int) -> Path:
    word = int.from_bytes(path.read_bytes()[18:26], "big") >> 36 << 36 | total
    return patched(path, 18, word.to_bytes(8, "big"))


@pytest.mark.parametrize(("total", "incomplete"), [(0, False), (20_000, False), (N, False), (N + 16_000, True)])
def test_flac_is_read_to_its_end_whatever_its_header_counts(make, total, incomplete):
    source = make("a.flac", n=N)
    expected, _ = soundfile.read(source, dtype="int16")
    report = denoise_file(with_flac_total(source, total), source.with_name("out.wav"), method="bypass")
    assert_array_equal(soundfile.read(report.target, dtype="int16")[0], expected)
    assert soundfile.info(report.target).format in ("WAV", "WAVEX")
    assert report.incomplete == incomplete and bool(report.warnings) == incomplete


def test_flac_goes_on_behind_a_damaged_place_which_is_named_and_silent(make):
    source = make("a.flac", n=N)
    expected, _ = soundfile.read(source, dtype="float32")
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(byte ^ 0x5A for byte in content[middle : middle + 300])
    source.write_bytes(content)

    report = denoise_file(source, source.with_name("out.wav"), method="bypass")

    actual, _ = soundfile.read(report.target, dtype="float32")
    assert report.incomplete and "are lost, and silent in the output" in report.warnings[0]
    bad = np.flatnonzero(actual != expected)
    assert len(actual) == N and 0 < len(bad) <= 2 * 4096 and not actual[bad].any()
    assert f"damaged at {bad[0] // 4096 * 4096 / 16000:.2f} s" in report.warnings[0]


def without_xing(path: Path) -> Path:
    data = path.read_bytes()
    start = next(at for at in range(len(data)) if mpeg.frame_at(data, at) is not None)
    frame = mpeg.frame_at(data, start)
    assert b"Xing" in data[start : start + frame.n_bytes] or b"Info" in data[start : start + frame.n_bytes]
    path.write_bytes(data[start + frame.n_bytes :])
    return path


def test_mp3_of_variable_bit_rate_without_a_count_is_as_long_as_its_frames(make):
    quiet_then_loud = np.concatenate([np.zeros(8 * 44100), np.random.default_rng(0).uniform(-0.1, 0.1, 8 * 44100)])
    more = {"container": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.3}
    source = without_xing(make("a.mp3", rate=44100, samples=quiet_then_loud[::-1].copy(), **more))
    data, n_frames, at = source.read_bytes(), 0, 0
    while (frame := mpeg.frame_at(data, at)) is not None:
        n_frames, at = n_frames + 1, at + frame.n_bytes
    report = denoise_file(source, source.with_name("out.wav"), method="bypass")
    assert soundfile.info(report.target).frames == 1152 * n_frames >= 16 * 44100
    assert report.warnings == ()


def test_mp3_files_one_after_the_other_are_all_read(make):
    source = make("a.mp3", rate=44100, n=3 * 44100, container="MP3", subtype="MPEG_LAYER_III")
    once = len(read(source))
    source.write_bytes(source.read_bytes() * 2)
    assert 2 * once <= len(read(source)) <= 2 * once + 2 * 1152


def test_a_tag_behind_an_mp3_is_no_damage(make):
    source = make("a.mp3", rate=44100, n=44100, container="MP3", subtype="MPEG_LAYER_III")
    source.write_bytes(source.read_bytes() + b"TAG" + bytes(125))
    report = denoise_file(source, method="bypass")
    assert soundfile.info(report.target).frames == 44100 and report.warnings == ()


def test_junk_inside_an_mp3_is_passed_over_and_named(make):
    source = make("a.mp3", rate=44100, n=4 * 44100, container="MP3", subtype="MPEG_LAYER_III")
    data = source.read_bytes()
    at = data.index(b"\xff", len(data) // 2)
    while mpeg.frame_at(data, at) is None or mpeg.frame_at(data, at + mpeg.frame_at(data, at).n_bytes) is None:
        at = data.index(b"\xff", at + 1)
    source.write_bytes(data[:at] + b"junk" * 1500 + data[at:])
    report = denoise_file(source, source.with_name("out.wav"), method="bypass")
    assert report.seconds == pytest.approx(4.0, abs=0.06)
    assert report.incomplete and "6000 bytes are damaged at" in report.warnings[0]


CONTAINERS = [
    ("a.wav", "WAV", 40, "<I", [0, 10_000, 0x7FFFFFFF, 0xFFFFFFFF]),
    ("a.au", "AU", 8, ">I", [0, 10_000, 0xFFFFFFFF]),
]


@pytest.mark.parametrize(("name", "container", "at", "form", "lengths"), CONTAINERS)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_go_on_to_the_end_of_the_file(make, name, container, at, form, lengths, channels):
    source = make(name, container=container, n=N, channels=channels)
    expected = read(source)
    for length in lengths:
        patched(source, at, struct.pack(form, length))
        assert_array_equal(read(source), expected)


@pytest.mark.parametrize(
    ("name", "container", "chunk", "form"),
    [
        ("a.aiff", "AIFF", b"SSND", ">I"),
        ("a.w64", "W64", bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"), "<q"),
        ("a.caf", "CAF", b"data", ">q"),
        ("a.rf64", "RF64", b"ds64", None),
    ],
)
@pytest.mark.parametrize("length", [0, 20_000])
def test_other_containers_with_a_wrong_length(make, name, container, chunk, form, length):
    source = make(name, container=container, n=N)
    expected = read(source)
    at = source.read_bytes().index(chunk)
    where, data = (at + 16, struct.pack("<Q", length)) if form is None else (at + len(chunk), struct.pack(form, length))
    assert_array_equal(read(patched(source, where, data)), expected)


def test_chunks_behind_the_samples_are_no_samples(make):
    source = make(n=1000)
    source.write_bytes(source.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    report = denoise_file(source, method="bypass")
    assert soundfile.info(report.target).frames == 1000 and report.warnings == ()


def test_an_empty_wav_with_a_chunk_behind_stays_empty(make):
    source = make(n=0)
    source.write_bytes(source.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert denoise_file(source, method="bypass").seconds == 0.0


def test_a_length_that_is_too_small_or_too_large_is_said(make):
    source = make(n=N)
    small = denoise_file(patched(source, 40, struct.pack("<I", 32_000)), source.with_name("1.wav"), method="bypass")
    assert small.warnings == (f"{source}: its header says 1.00 s, but 5.80 s are there; all are used",)
    assert not small.incomplete
    large = denoise_file(patched(source, 40, struct.pack("<I", 320_000)), source.with_name("2.wav"), method="bypass")
    assert large.warnings == (f"{source}: shorter than its header says: ends after 5.80 s of 10.00 s",)
    assert large.incomplete and large.seconds == 5.8


def test_a_second_wav_behind_the_first_is_named(make):
    source = make(n=16_000)
    source.write_bytes(source.read_bytes() * 2)
    report = denoise_file(source, method="bypass")
    assert report.incomplete and "another WAV was appended after 1.00 s" in report.warnings[0]


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
def test_adpcm_comes_out_as_long_as_it_is(make, subtype):
    source = make(subtype=subtype, n=N, rate=8000)
    expected = soundfile.read(source, dtype="int16")[0]
    report = denoise_file(source, method="bypass")
    assert_array_equal(soundfile.read(report.target, dtype="int16")[0], expected)
    assert report.subtype == "PCM_16" and "as 16-bit samples" in report.warnings[0]


@pytest.mark.parametrize(("name", "subtype"), [("a.ogg", "VORBIS"), ("a.opus", "OPUS")])
def test_ogg_files_one_after_the_other_are_all_read(make, name, subtype):
    source = make(name, container="OGG", subtype=subtype, n=3 * 16_000)
    source.write_bytes(source.read_bytes() * 2)
    report = denoise_file(source, source.with_name("out.wav"), method="bypass")
    assert soundfile.info(report.target).frames == 6 * 16_000 and report.warnings == ()


def test_a_chain_that_changes_its_rate_says_what_is_left_out(make):
    first = make("a.ogg", subtype="VORBIS", n=16_000)
    second = make("b.ogg", subtype="VORBIS", n=2 * 44_100, rate=44_100)
    first.write_bytes(first.read_bytes() + second.read_bytes())
    report = denoise_file(first, method="bypass")
    assert report.seconds == 1.0 and report.incomplete
    assert (
        "goes on at 44100 Hz with 1 channels after 1.00 s; these 2.00 s are left out; ffmpeg -i" in report.warnings[0]
    )


def test_damage_inside_an_ogg_has_its_place_and_its_length(make):
    source = make("a.ogg", subtype="VORBIS", n=20 * 16_000)
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0x5A
    source.write_bytes(content)
    report = denoise_file(source, method="bypass")
    assert report.incomplete
    place = float(report.warnings[0].split("damaged at ")[1].split(" s")[0])
    assert 5.0 < place < 12.0
    assert "could not be decoded" in report.warnings[1]
