"""Files keep what they are: length, alignment, container, sample type, rate, channels, tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import AudioFileError
from rtdenoise.files import denoise_file, denoise_folder

LOSSLESS = [
    ("a.wav", "WAV", "PCM_U8"),
    ("a.wav", "WAV", "PCM_16"),
    ("a.wav", "WAV", "PCM_24"),
    ("a.wav", "WAV", "PCM_32"),
    ("a.wav", "WAV", "FLOAT"),
    ("a.wav", "WAV", "DOUBLE"),
    ("a.wav", "WAV", "ULAW"),
    ("a.wav", "WAV", "ALAW"),
    ("a.wav", "WAVEX", "PCM_24"),
    ("a.wav", "RF64", "PCM_16"),
    ("a.w64", "W64", "PCM_24"),
    ("a.flac", "FLAC", "PCM_S8"),
    ("a.flac", "FLAC", "PCM_16"),
    ("a.flac", "FLAC", "PCM_24"),
    ("a.aiff", "AIFF", "PCM_16"),
    ("a.aif", "AIFF", "PCM_S8"),
    ("a.au", "AU", "PCM_16"),
    ("a.caf", "CAF", "PCM_24"),
]
LOSSY = [
    ("a.ogg", "OGG", "VORBIS", 44100),
    ("a.opus", "OGG", "OPUS", 48000),
    ("a.ogg", "OGG", "OPUS", 16000),
    ("a.mp3", "MP3", "MPEG_LAYER_III", 44100),
    ("a.mp3", "MP3", "MPEG_LAYER_III", 16000),
]


@pytest.mark.parametrize(("name", "container", "subtype"), LOSSLESS)
def test_bypass_gives_back_every_sample_of_a_lossless_file(make, name, container, subtype):
    source = make(name, container=container, subtype=subtype, n=5003, channels=2)

    report = denoise_file(source, method="bypass")

    before, after = soundfile.info(source), soundfile.info(report.target)
    kept = ("format", "subtype", "samplerate", "channels", "frames", "endian")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    expected, _ = soundfile.read(source, dtype="float32")
    actual, _ = soundfile.read(report.target, dtype="float32")
    assert_array_equal(actual, expected)


def test_big_endian_wav_stays_big_endian(make):
    source = make(endian="BIG", n=1000)
    report = denoise_file(source, method="bypass")
    assert Path(report.target).read_bytes()[:4] == b"RIFX"


@pytest.mark.parametrize(("name", "container", "subtype", "rate"), LOSSY)
def test_lossy_files_stay_aligned_and_exactly_as_long(make, name, container, subtype, rate):
    source = make(name, container=container, subtype=subtype, rate=rate, n=rate + 37)

    report = denoise_file(source, method="bypass")

    after = soundfile.info(report.target)
    assert (after.format, after.subtype, after.samplerate) == (container, subtype, rate)
    before, _ = soundfile.read(source)
    actual, _ = soundfile.read(report.target)
    assert len(actual) == len(before) == rate + 37
    spectrum = np.fft.rfft(actual, 2 * len(actual)) * np.conj(np.fft.rfft(before, 2 * len(before)))
    assert int(np.argmax(np.fft.irfft(spectrum))) == 0


@pytest.mark.parametrize(("name", "rate"), [("a.mp3", 44100), ("a.mp3", 16000), ("a.mp3", 11025), ("a.opus", 48000)])
def test_the_bit_rate_is_kept_and_the_length_even_at_low_rates(make, name, rate):
    mp3 = name == "a.mp3"
    sizes = []
    for level in (0.5, 0.9):
        source = make(
            f"{level}/{name}",
            container="MP3" if mp3 else "OGG",
            subtype="MPEG_LAYER_III" if mp3 else "OPUS",
            rate=rate,
            n=4 * rate + 11,
            compression_level=level,
            bitrate_mode="AVERAGE" if mp3 else None,
        )
        report = denoise_file(source, method="bypass")
        sizes.append(Path(report.target).stat().st_size)
        assert soundfile.info(report.target).frames == 4 * rate + 11
        assert sizes[-1] == pytest.approx(source.stat().st_size, rel=0.25)
    assert sizes[0] > 1.5 * sizes[1]


@pytest.mark.parametrize("method", ["WF", "SS"])
def test_a_file_is_denoised_like_the_array_it_holds(make, method):
    source = make(n=5 * 16000 + 7)  # more than two of the blocks files are read in
    report = denoise_file(source, method=method, preset="low")

    noisy, rate = soundfile.read(source, dtype="int16")
    actual, _ = soundfile.read(report.target, dtype="int16")
    assert_array_equal(actual, rtdenoise.denoise(noisy, rate, method, preset="low"))
    assert report.noise_reduction_db > 3.0
    assert report.level_after_dbfs < report.level_before_dbfs


def test_name_and_report(make):
    source = make("my.noisy.wav", n=32000)
    report = denoise_file(str(source), method="wf")
    assert report.target == str(source.with_name("my.noisy_WF_denoised.wav"))
    assert (report.method, report.preset, report.seconds) == ("WF", "quality", 2.0)
    assert report.latency_ms == {"algorithm": 24.0, "hop": 8.0, "total": 32.0}
    assert report.rtf == pytest.approx(report.elapsed_seconds / 2.0, abs=1e-6)
    assert (report.non_finite, report.clipped, report.warnings) == (0, 0, ())
    assert set(report.as_dict()) >= {"source", "rtf", "level_before_dbfs", "noise_reduction_db", "container"}


def test_preset_is_named_from_wherever_it_comes(make, tmp_path):
    source = make(n=1000)
    config = tmp_path / "mine.yaml"
    config.write_text("preset: low\nmethod: SS\n")
    from_file = denoise_file(source, tmp_path / "1.wav", config=config)
    stronger = denoise_file(source, tmp_path / "2.wav", config=config, preset="ultra", method="bypass")
    override = denoise_file(source, tmp_path / "3.wav", config=config, overrides={"preset": "balanced"})
    assert (from_file.preset, from_file.method) == ("low", "SS")
    assert (stronger.preset, stronger.method) == ("ultra", "bypass")
    assert override.preset == "balanced"


def test_tags_are_kept(make):
    tags = {"title": "Tale", "artist": "me", "comment": "two words", "date": "2024", "album": "x", "genre": "talk"}
    for name, subtype in (("a.wav", "PCM_16"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")):
        source = make(name, subtype=subtype, tags=tags)
        with soundfile.SoundFile(source) as file:
            written = {key: text for key, text in file.copy_metadata().items() if text}
        with soundfile.SoundFile(denoise_file(source, method="bypass").target) as file:
            assert {key: text for key, text in file.copy_metadata().items() if text} == written
        assert written["title"] == "Tale"


def test_mp3_tags_beyond_latin_1_are_left_out_rather_than_garbled(make, tmp_path):
    source = make("a.flac", tags={"title": "Märchen", "artist": "Жук"})
    report = denoise_file(source, tmp_path / "b.mp3", method="bypass")
    assert "Märchen".encode("latin-1") in Path(report.target).read_bytes()
    assert "Жук".encode() not in Path(report.target).read_bytes()
    assert "cannot keep the tags artist" in report.warnings[0]


def test_tags_that_cannot_be_kept_are_named(make, tmp_path):
    source = make(tags={"title": "x", "artist": "y"})
    report = denoise_file(source, tmp_path / "b.w64", method="bypass")
    assert report.warnings == (f"{tmp_path / 'b.w64'}: W64 cannot keep the tags title, artist",)


@pytest.mark.parametrize(
    ("source", "subtype", "target", "expected"),
    [
        ("a.wav", "PCM_16", "b.flac", ("FLAC", "PCM_16")),
        ("a.wav", "FLOAT", "b.flac", ("FLAC", "PCM_24")),
        ("a.wav", "PCM_U8", "b.flac", ("FLAC", "PCM_S8")),
        ("a.flac", "PCM_24", "b.wav", ("WAV", "PCM_24")),
        ("a.flac", "PCM_S8", "b.wav", ("WAV", "PCM_U8")),
        ("a.ogg", "VORBIS", "b.wav", ("WAV", "PCM_16")),
        ("a.wav", "PCM_16", "b.opus", ("OGG", "OPUS")),
        ("a.wav", "PCM_16", "b.OGG", ("OGG", "VORBIS")),
        ("a.wav", "PCM_24", "b.mp3", ("MP3", "MPEG_LAYER_III")),
        ("a.wav", "DOUBLE", "b.w64", ("W64", "DOUBLE")),
    ],
)
def test_the_suffix_of_the_target_chooses_the_container(make, tmp_path, source, subtype, target, expected):
    report = denoise_file(make(source, subtype=subtype), tmp_path / target, method="bypass")
    info = soundfile.info(tmp_path / target)
    assert (info.format, info.subtype) == expected == (report.container, report.subtype)
    assert info.frames == 16000


def test_a_target_that_cannot_hold_the_signal_says_what_can(make, tmp_path):
    with pytest.raises(AudioFileError, match=r"7 channels at 16000 Hz as MP3.*--output NAME.wav"):
        denoise_file(make(channels=7), tmp_path / "b.mp3", method="bypass")
    with pytest.raises(AudioFileError, match=r"44100 Hz as OGG OPUS.*--output NAME.wav"):
        denoise_file(make(rate=44100), tmp_path / "b.opus", method="bypass")
    with pytest.raises(AudioFileError, match=r"'\.xyz' names no audio format.*\.flac"):
        denoise_file(make(), tmp_path / "b.xyz", method="bypass")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noisy.wav"]


def test_too_long_for_a_wav_becomes_rf64():
    from rtdenoise.sound.encoding import Encoding, encoding_for

    wav = Encoding("WAV", "PCM_16", "FILE", 48000, 2)
    hour = 3600 * 48000
    assert encoding_for(Path("b.wav"), wav, 6 * hour).container == "WAV"
    assert encoding_for(Path("b.wav"), wav, 7 * hour).container == "RF64"  # 4.8 GB
    assert encoding_for(Path("b.wav"), Encoding("W64", "PCM_16", "FILE", 48000, 2), 7 * hour).container == "RF64"


def test_seven_channels_and_an_odd_rate(make):
    source = make(channels=7, rate=11025, n=4 * 11025)
    report = denoise_file(source, method="WF", preset="low")
    actual, rate = soundfile.read(report.target)
    assert (rate, actual.shape) == (11025, (4 * 11025, 7))
    assert report.noise_reduction_db > 3.0


def test_channel_modes(make, tmp_path):
    source = make(channels=2)
    outputs = {}
    for mode in ("linked", "each", "downmix"):
        denoise_file(source, tmp_path / f"{mode}.wav", preset="low", overrides={"channel_mode": mode})
        outputs[mode], _ = soundfile.read(tmp_path / f"{mode}.wav")
    assert_array_equal(outputs["downmix"][:, 0], outputs["downmix"][:, 1])
    assert np.any(outputs["linked"] != outputs["each"])
    left = make("left.wav", samples=soundfile.read(source)[0][:, 0])
    denoise_file(left, tmp_path / "alone.wav", preset="low")
    assert_array_equal(outputs["each"][:, 0], soundfile.read(tmp_path / "alone.wav")[0])


def test_progress_runs_from_nothing_to_everything(make):
    seen: list[tuple[float, float]] = []
    denoise_file(make(n=5 * 16000), method="bypass", progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0.0, 5.0) and seen[-1] == (5.0, 5.0) and seen == sorted(seen)


def test_names_with_any_characters(make):
    for name in ("über [bold] $x$ 音.wav", "-o.wav", "a b\tc.wav"):
        report = denoise_file(make(name), method="bypass")
        assert soundfile.info(report.target).frames == 16000


@pytest.mark.parametrize("kind", [str, Path])
def test_an_address_is_no_file_and_a_line_says_what_to_do(tmp_path, kind):
    address = "https://x.org/talks/my talk.mp3?key=1&b=2"
    with pytest.raises(AudioFileError) as caught:
        denoise_file(kind(address), tmp_path / "out.wav", method="bypass")
    message = str(caught.value)
    assert message.startswith(f"{address}: is an address, not a file; fetch it first: ") and "\n" not in message
    assert f"curl -L -o 'my talk.mp3' '{address}'; or pipe it: curl -L '{address}' | rtdenoise --input - " in message
    with pytest.raises(AudioFileError, match="`rtdenoise batch` reads and writes folders there"):
        denoise_folder("s3://bucket/raw", method="bypass")
    with pytest.raises(AudioFileError, match=r"x: no such file"):
        denoise_file(tmp_path / "x", method="bypass")
