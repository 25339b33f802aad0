"""Files whose content is odd, damaged or nothing at all: used as far as it goes, and what was wrong is said."""

from __future__ import annotations

import os
import re
import struct
import wave

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError
from rtdenoise.files import denoise_file


@pytest.mark.parametrize("rate", [4000, 384000])
def test_a_rate_out_of_range_names_the_file_and_the_range(make, rate):
    source = make(rate=rate)
    with pytest.raises(
        AudioFileError, match=rf"noisy\.wav: has {rate} Hz; from 8000 to 192000 Hz can be denoised; resample it first"
    ):
        denoise_file(source)
    assert sorted(path.name for path in source.parent.iterdir()) == ["noisy.wav"]


def test_nan_and_infinite_samples_count_as_zero_and_are_reported(make, caplog):
    samples = np.full(20000, 0.25, np.float32)
    samples[[5, 9000]], samples[17] = np.nan, np.inf
    source = make(subtype="FLOAT", samples=samples)

    report = denoise_file(source, method="bypass")

    actual, _ = soundfile.read(report.target)
    assert np.flatnonzero(actual == 0.0).tolist() == [5, 17, 9000]
    assert report.non_finite == 3
    assert report.warnings == (f"{source}: 3 samples are NaN or infinite; they count as 0",)
    assert caplog.messages == list(report.warnings)


def test_samples_beyond_full_scale_are_limited_not_wrapped_and_counted(make, tmp_path):
    samples = np.zeros(1000, np.float32)
    samples[100], samples[200], samples[300] = 1.5, -1.5, -1.0
    source = make(subtype="FLOAT", samples=samples)
    for name, subtype in (("b.wav", "PCM_16"), ("b.flac", "PCM_24"), ("c.wav", "PCM_U8")):
        make(name, subtype=subtype)  # its subtype is what --overwrite of another container would choose
        report = denoise_file(source, tmp_path / f"{subtype}.flac", method="bypass")
        actual, _ = soundfile.read(report.target)
        assert actual[100] == pytest.approx(1.0, abs=1e-6) and actual[200] == actual[300] == -1.0
        assert report.clipped == 2
    kept = denoise_file(source, tmp_path / "kept.wav", method="bypass")
    assert soundfile.read(kept.target)[0][100] == 1.5 and kept.clipped == 0


@pytest.mark.parametrize("method", ["WF", "SS", "bypass"])
@pytest.mark.parametrize("n", [0, 1, 2, 127])
def test_tiny_and_empty_signals(make, method, n):
    report = denoise_file(make(n=n), method=method)
    assert soundfile.info(report.target).frames == n
    assert report.seconds == n / 16000
    assert any("has no samples" in text for text in report.warnings) == (n == 0)


def test_an_empty_signal_for_a_container_that_cannot_be_empty(make, tmp_path):
    with pytest.raises(AudioFileError, match=r"FLAC cannot hold an empty recording; --output NAME\.wav"):
        denoise_file(make(n=0), tmp_path / "b.flac")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noisy.wav"]


def test_digital_silence_has_no_level_and_stays_silent(make):
    report = denoise_file(make(samples=np.zeros(20000)), method="WF")
    assert not soundfile.read(report.target)[0].any()
    levels = (report.level_before_dbfs, report.level_after_dbfs, report.noise_reduction_db)
    assert levels == (None, None, None)
    assert "silence" in report.line()


@pytest.mark.parametrize("kind", ["clipped", "dc", "denormal", "loud"])
def test_odd_signals_give_finite_output_of_the_same_length(make, kind):
    n = 16000
    noise = np.random.default_rng(1).standard_normal(n)
    samples = {
        "clipped": np.clip(3 * noise, -1, 1),
        "dc": np.full(n, 0.7),
        "denormal": noise * 1e-40,
        "loud": noise * 1e30,
    }[kind].astype(np.float32)
    for method in ("WF", "SS"):
        report = denoise_file(make(f"{kind}{method}.wav", subtype="FLOAT", samples=samples), method=method)
        actual, _ = soundfile.read(report.target)
        assert len(actual) == n and np.isfinite(actual).all()


def test_no_such_file_folder_empty_and_non_audio(make, tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no audio at all, whatever its name says\n" * 20)
    (tmp_path / "bare.raw").write_bytes(bytes(1000))
    header = make().read_bytes()[:30]
    (tmp_path / "header.wav").write_bytes(header)
    for name, message in [
        ("nothing.wav", "no such file"),
        ("empty.wav", "is empty"),
        ("text.wav", "not audio that can be read"),
        ("bare.raw", "--rate"),
        ("header.wav", "not audio that can be read"),
        (".", "is a folder"),
    ]:
        with pytest.raises(AudioFileError, match=message) as caught:
            denoise_file(tmp_path / name, tmp_path / "out.wav")
        assert "\n" not in str(caught.value)
    with pytest.raises(AudioFileError, match="not a regular file"):
        denoise_file("/dev/null", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("a.wav", "PCM_16", "shorter than its header says"),
        ("a.aiff", "PCM_16", "shorter than its header says"),
        ("a.flac", "PCM_16", "damaged after|ends after"),
        ("a.ogg", "VORBIS", "its end is missing"),
        ("a.mp3", "MPEG_LAYER_III", "ends after|damaged after"),
    ],
)
def test_what_a_truncated_file_still_holds_is_used_and_the_loss_is_told(make, name, subtype, message):
    source = make(name, subtype=subtype, n=10 * 16000)
    os.truncate(source, source.stat().st_size // 2)

    report = denoise_file(source, method="bypass")

    assert 2.0 < report.seconds < 9.0
    assert soundfile.info(report.target).frames == round(report.seconds * 16000)
    assert any(re.search(message, text) for text in report.warnings)
    assert report.incomplete


def test_a_truncated_ogg_without_one_whole_page_is_an_error(make):
    source = make("a.ogg", subtype="VORBIS", n=2 * 16000)
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(AudioFileError, match="damaged"):
        denoise_file(source, method="bypass")


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7FFF_FFFF, 0x7FFF_F000])
def test_a_wav_whose_header_does_not_know_its_length(make, size):
    source = make(n=16000)
    data = bytearray(source.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    source.write_bytes(data)
    report = denoise_file(source, method="bypass")
    assert report.seconds == 1.0 and report.warnings == ()
    with wave.open(report.target) as file:
        assert file.getnframes() == 16000
