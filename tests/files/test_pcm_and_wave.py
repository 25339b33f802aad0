"""Raw samples and streaming WAV headers, against libsndfile and the standard library."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from rtdenoise.errors import AudioFileError
from rtdenoise.sound.pcm import SAMPLE_BYTES, SUBTYPES, from_bytes, to_bytes
from rtdenoise.sound.wave import is_chunk_name, is_plain_wave, read_wave_header, wave_header


@given(form=st.sampled_from(["u8", "s16", "s24", "f32"]), data=st.binary(min_size=0, max_size=200))
def test_bytes_survive_the_way_through_float32(form, data):
    width = SAMPLE_BYTES[form]
    data = data[: len(data) // (2 * width) * 2 * width]
    samples = from_bytes(data, form, 2)
    if form == "f32" and not np.isfinite(samples).all():
        return
    assert samples.dtype == np.float32 and samples.shape == (len(data) // width // 2, 2)
    assert to_bytes(samples, form) == (data, 0)


@pytest.mark.parametrize("form", sorted(SUBTYPES))
def test_decoding_is_libsndfiles(form, tmp_path):
    noise = np.random.default_rng(3).uniform(-1, 1, (500, 3))
    soundfile.write(tmp_path / "a.wav", noise, 8000, subtype=SUBTYPES[form])
    stream = io.BytesIO((tmp_path / "a.wav").read_bytes())
    header = read_wave_header(stream.read(4), stream.read)
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert (header.form, header.sample_rate, header.channels) == (form, 8000, 3)
    assert_array_equal(from_bytes(stream.read(header.data_bytes), form, 3), expected)


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-4, 4, width=32)))
def test_integers_are_limited_never_wrapped_and_counted(samples):
    for form in ("u8", "s16", "s24", "s32"):
        data, clipped = to_bytes(samples[:, None], form)
        full = 2.0 ** (8 * SAMPLE_BYTES[form] - 1)
        steps = np.rint(samples.astype(np.float64) * full)
        expected = np.clip(steps, -full, full - 1)
        assert clipped == np.count_nonzero(steps != expected)
        back = from_bytes(data, form, 1)[:, 0].astype(np.float64)
        assert np.max(np.abs(back - expected / full)) <= 2.0**-24  # s32 has more digits than float32


@pytest.mark.parametrize("known", [True, False])
def test_our_header_is_read_by_others_and_by_us(known, tmp_path):
    samples = np.arange(-500, 500, dtype="<i2").reshape(-1, 2)
    header = wave_header("s16", 44100, 2, samples.nbytes if known else None)
    (tmp_path / "a.wav").write_bytes(header + samples.tobytes())

    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (44100, 2, 2)
        assert file.readframes(500) == samples.tobytes()
    assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], samples)
    stream = io.BytesIO(header[4:])
    assert read_wave_header(header[:4], stream.read).data_bytes == (samples.nbytes if known else None)


def header_bytes(fmt: bytes, *chunks: bytes) -> bytes:
    body = b"".join([struct.pack("<4sI", b"fmt ", len(fmt)) + fmt, *chunks])
    return struct.pack("<I4s", 4 + len(body), b"WAVE") + body


PCM16 = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)


def test_chunks_before_the_samples_are_passed_over():
    odd = struct.pack("<4sI", b"LIST", 5) + b"abcde\0"
    data = header_bytes(PCM16, odd, struct.pack("<4sI", b"data", 0))
    header = read_wave_header(b"RIFF", io.BytesIO(data).read)
    assert (header.form, header.data_bytes) == ("s16", None)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_lengths_that_mean_unknown(size):
    data = header_bytes(PCM16, struct.pack("<4sI", b"data", size))
    assert read_wave_header(b"RIFF", io.BytesIO(data).read).data_bytes is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends inside its header"),
        (header_bytes(PCM16)[:-3], "ends inside its header"),
        (struct.pack("<I4s", 4, b"AVI "), "is not a WAV"),
        (header_bytes(struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8), b"data\0\0\0\0"), "format 7, 8 bits"),
        (header_bytes(struct.pack("<HHIIHH", 1, 0, 8000, 0, 0, 16), b"data\0\0\0\0"), "0 channels"),
        (header_bytes(b"short", b"data\0\0\0\0"), "its format is cut off"),
        (struct.pack("<I4s4sI", 4, b"WAVE", b"data", 10), "before their format"),
        (header_bytes(PCM16, struct.pack("<4sI", b"LIST", 0x7FFFFFFF)), "damaged WAV"),
    ],
)
def test_headers_that_cannot_be(data, message):
    with pytest.raises(AudioFileError, match=message):
        read_wave_header(b"RIFF", io.BytesIO(data).read)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_header_or_our_error(data):
    for start in (b"", struct.pack("<I4s", 100, b"WAVE")):
        try:
            header = read_wave_header(b"RIFF", io.BytesIO(start + data).read)
        except AudioFileError:
            continue
        assert header.channels > 0


def test_what_a_wave_on_a_pipe_holds_is_seen_in_its_first_bytes():
    plain = b"RIFF" + header_bytes(PCM16, struct.pack("<4sI", b"data", 0))
    assert is_plain_wave(plain) and is_plain_wave(b"RIFF")
    law = b"RIFF" + header_bytes(struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8), b"data\0\0\0\0")
    assert not is_plain_wave(law) and not is_plain_wave(b"RIFX" + plain[4:])
    assert is_chunk_name(b"LIST") and is_chunk_name(b"id3 ") and not is_chunk_name(b"\0\1\0\1")


def test_the_length_of_an_rf64_is_in_its_own_chunk():
    long = struct.pack("<4sIQQQI", b"ds64", 28, 0, 12, 0, 0)
    fmt = struct.pack("<4sI", b"fmt ", len(PCM16)) + PCM16
    data = struct.pack("<I4s", 0xFFFFFFFF, b"WAVE") + long + fmt + struct.pack("<4sI", b"data", 0xFFFFFFFF)
    assert read_wave_header(b"RF64", io.BytesIO(data).read).data_bytes == 12
