"""Files keep what they are: length, alignment, container, sample type, rate, channels, tags."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files import denoise_file

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
    from rtdenoise.files.encoding import Encoding, encoding_for

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


@pytest.mark.parametrize("rate", [4000, 384000])
def test_a_rate_out_of_range_names_the_file_and_the_range(make, rate):
    source = make(rate=rate)
    with pytest.raises(AudioFileError, match=rf"noisy\.wav: sample_rate={rate} Hz .* from 8000 to 192000"):
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


def test_a_truncated_ogg_without_one_whole_page_is_an_error(make):
    source = make("a.ogg", subtype="VORBIS", n=2 * 16000)
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(AudioFileError, match="damaged"):
        denoise_file(source, method="bypass")


def test_nothing_is_overwritten_unless_asked(make):
    source = make()
    target = Path(denoise_file(source, method="bypass").target)
    before = target.read_bytes()
    with pytest.raises(AudioFileError, match="exists already; --overwrite"):
        denoise_file(source, target, method="WF")
    assert target.read_bytes() == before
    denoise_file(source, target, method="WF", overwrite=True)
    assert target.read_bytes() != before


def test_overwriting_keeps_permissions_and_follows_links(make, tmp_path):
    source, real, link = make(), tmp_path / "real.wav", tmp_path / "link.wav"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    denoise_file(source, link, method="bypass", overwrite=True)
    assert link.is_symlink() and soundfile.info(real).frames == 16000
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_files_have_ordinary_permissions(make):
    umask = os.umask(0o022)
    try:
        target = Path(denoise_file(make(), method="bypass").target)
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o644


def test_output_equal_to_input_is_refused_by_any_name(make, tmp_path):
    source = make()
    before = source.read_bytes()
    (tmp_path / "soft.wav").symlink_to(source)
    os.link(source, tmp_path / "hard.wav")
    for name in ("noisy.wav", "./noisy.wav", "soft.wav", "hard.wav"):
        with pytest.raises(AudioFileError, match="input and output are the same"):
            denoise_file(source, f"{tmp_path}/{name}", method="bypass", overwrite=True)
    assert source.read_bytes() == before


def test_a_target_that_is_no_file_or_has_no_folder(make, tmp_path):
    source = make()
    (tmp_path / "folder.wav").mkdir()
    for target, message in [
        (tmp_path / "folder.wav", "is a folder"),
        (tmp_path / "missing" / "b.wav", "no folder"),
        (Path("/dev/null"), "not a regular file|names no audio format"),
        (Path("/proc/rtdenoise.wav"), "cannot be written"),
    ]:
        with pytest.raises(AudioFileError, match=message):
            denoise_file(source, target, method="bypass", overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_and_an_unreadable_file(make):
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which only its owner may enter
        folder = Path(name)
        source = folder / "a.wav"
        source.write_bytes(make().read_bytes())
        (folder / "secret.wav").write_bytes(source.read_bytes())
        (folder / "secret.wav").chmod(0)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # permissions do not bind the superuser
        try:
            with pytest.raises(AudioFileError, match=r"b\.wav: cannot be written: permission denied"):
                denoise_file(source, folder / "b.wav", method="bypass")
            with pytest.raises(AudioFileError, match=r"secret\.wav: permission denied"):
                denoise_file(folder / "secret.wav", folder / "b.wav", method="bypass")
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_unknown_names_are_errors_before_anything_is_written(make):
    source = make()
    for wrong in (
        {"method": "XY"},
        {"preset": "loud"},
        {"config": {"nose": 1}},
        {"overrides": {"noise": {"traker": "x"}}},
        {"config": source.parent / "none.yaml"},
    ):
        with pytest.raises(ConfigError):
            denoise_file(source, **wrong)
    assert sorted(path.name for path in source.parent.iterdir()) == ["noisy.wav"]


def test_an_error_in_the_middle_leaves_nothing(make):
    source = make(n=10 * 16000)

    def give_up(done: float, _total: float) -> None:
        if done > 3.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise_file(source, method="bypass", progress=give_up)
    assert [path.name for path in source.parent.iterdir()] == ["noisy.wav"]


def test_progress_runs_from_nothing_to_everything(make):
    seen: list[tuple[float, float]] = []
    denoise_file(make(n=5 * 16000), method="bypass", progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0.0, 5.0) and seen[-1] == (5.0, 5.0) and seen == sorted(seen)


def test_a_wav_whose_header_does_not_know_its_length(make):
    source = make(n=16000)
    data = bytearray(source.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFF_FFFF)
    source.write_bytes(data)
    report = denoise_file(source, method="bypass")
    assert report.seconds == 1.0
    with wave.open(report.target) as file:
        assert file.getnframes() == 16000


def test_names_with_any_characters(make):
    for name in ("über [bold] $x$ 音.wav", "-o.wav", "a b\tc.wav"):
        report = denoise_file(make(name), method="bypass")
        assert soundfile.info(report.target).frames == 16000
