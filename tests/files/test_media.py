"""Phone recordings and video: known by their first bytes, decoded, written in kind, pictures kept and in time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError, MissingExtraError
from rtdenoise.files import denoise_file, denoise_folder
from rtdenoise.sound.containers.sniff import kind_of, kind_of_file
from rtdenoise.sound.media import reader as media
from tests.files.conftest import voice

av = pytest.importorskip("av", reason="PyAV, the extra media, is not installed")

RATE = 48_000


def sound(path: Path, muxer: str, codec: str, *, rate: int = RATE, channels: int = 1, seconds: float = 2.0) -> Path:
    samples = voice(round(seconds * rate), rate, channels).astype(np.float32)
    with av.open(str(path), "w", format=muxer) as out:
        stream = out.add_stream(codec, rate=rate)
        if codec == "wmav2":
            stream.codec_context.bit_rate = 96_000
        stream.codec_context.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        encode(out, stream, samples, rate)
    return path


def encode(out, stream, samples: np.ndarray, rate: int) -> None:
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    for start in range(0, len(samples), 4096):
        piece = np.ascontiguousarray(samples[start : start + 4096].reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def film(path: Path, muxer: str, *, tracks: int = 1, pictures: str = "mpeg4") -> Path:
    """Two seconds, a flash and a click at 1.0 s."""
    samples = np.zeros((2 * RATE, 1), np.float32)
    samples[RATE] = 0.9
    with av.open(str(path), "w", format=muxer) as out:
        video = out.add_stream(pictures, rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        sounds = [
            out.add_stream("libopus" if muxer == "webm" else "aac", rate=RATE, layout="mono") for _ in range(tracks)
        ]
        for i in range(50):
            grey = np.full((64, 64, 3), 255 if i == 25 else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for stream in sounds:
            encode(out, stream, samples, RATE)
    return path


def decoded(path: Path) -> tuple[np.ndarray, int]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate(frames, axis=1), container.streams.audio[0].codec_context.sample_rate


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def lag_seconds(path: Path) -> float:
    """By how much the click comes after the flash."""
    with av.open(str(path)) as container:
        flash = next(
            float(f.pts * f.time_base) for f in container.decode(video=0) if f.to_ndarray(format="gray").mean() > 128
        )
    loudest = (0.0, 0.0)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray()[0])
            at = float(frame.pts * frame.time_base) + int(samples.argmax()) / frame.sample_rate
            loudest = max(loudest, (float(samples.max()), at))
    return loudest[1] - flash


KINDS = [
    ("a.m4a", "ipod", "aac"),
    ("a.m4a", "ipod", "alac"),
    ("a.aac", "adts", "aac"),
    ("a.mp4", "mp4", "aac"),
    ("a.webm", "webm", "libopus"),
    ("a.mkv", "matroska", "aac"),
    ("a.3gp", "3gp", "aac"),
    ("a.wma", "asf", "wmav2"),
    ("a.wv", "wv", "wavpack"),
]


@pytest.mark.parametrize(("name", "muxer", "codec"), KINDS)
def test_a_recording_stays_what_it_is(tmp_path, name, muxer, codec):
    source = sound(tmp_path / name, muxer, codec, channels=2)
    report = denoise_file(source, method="bypass")
    assert Path(report.target).name == f"a_BYPASS_denoised{source.suffix}"
    assert not report.incomplete and report.seconds == pytest.approx(2.0, abs=0.1)
    (before, rate), (after, rate_after) = decoded(source), decoded(Path(report.target))
    assert (rate, before.shape[0]) == (rate_after, after.shape[0])
    assert len(after.T) >= len(before.T)


@pytest.mark.parametrize(("name", "muxer", "codec"), KINDS)
def test_into_a_wav_every_decoded_sample_comes(tmp_path, name, muxer, codec):
    source = sound(tmp_path / name, muxer, codec)
    report = denoise_file(source, tmp_path / "out.wav", method="bypass")
    before, _ = decoded(source)
    assert soundfile.info(report.target).frames == before.size


def test_amr_is_8_khz_and_stays_amr(tmp_path):
    if "libopencore_amrnb" not in av.codecs_available:
        pytest.skip("this build of FFmpeg writes no AMR")
    source = sound(tmp_path / "a.amr", "amr", "libopencore_amrnb", rate=8000)
    report = denoise_file(source, method="WF")
    assert (report.target, report.sample_rate) == (str(tmp_path / "a_WF_denoised.amr"), 8000)


def test_six_channels_stay_six(tmp_path):
    source = sound(tmp_path / "a.m4a", "ipod", "aac", channels=6)
    assert decoded(Path(denoise_file(source, method="bypass").target))[0].shape[0] == 6


@pytest.mark.parametrize("name", ["lies.wav", "no suffix", "lies.mp3"])
def test_the_first_bytes_count_not_the_name(tmp_path, name):
    source = sound(tmp_path / "a.m4a", "ipod", "aac").rename(tmp_path / name)
    assert denoise_file(source, tmp_path / "out.wav", method="bypass").seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("muxer", ["mp4", "mov", "matroska", "webm"])
def test_pictures_are_copied_and_stay_in_time(tmp_path, muxer):
    suffix = {"matroska": ".mkv"}.get(muxer, f".{muxer}")
    source = film(tmp_path / f"film{suffix}", muxer, pictures="libvpx" if muxer == "webm" else "mpeg4")
    report = denoise_file(source, method="bypass")
    target = Path(report.target)
    assert target.suffix == suffix and packets(target) == packets(source)
    assert lag_seconds(target) == pytest.approx(lag_seconds(source), abs=0.002)


def test_of_several_sound_tracks_the_first_is_denoised_and_stays_first(tmp_path):
    source = film(tmp_path / "film.mp4", "mp4", tracks=2)
    report = denoise_file(source, method="bypass")
    assert "has 2 sound tracks; number 1 is denoised" in report.warnings[0].replace(" (und)", "")
    with av.open(report.target) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "audio"]


def test_a_film_without_sound_and_one_that_was_broken_off_are_one_line(tmp_path):
    mute = film(tmp_path / "mute.mp4", "mp4", tracks=0)
    with pytest.raises(AudioFileError, match="has no sound"):
        denoise_file(mute)
    whole = film(tmp_path / "film.mp4", "mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    with pytest.raises(AudioFileError, match="lacks its index") as caught:
        denoise_file(tmp_path / "cut.mp4")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.mp4", "film.mp4", "mute.mp4"]


def test_without_the_extra_a_line_names_it_and_the_ffmpeg_command(tmp_path, monkeypatch):
    source = sound(tmp_path / "my memo.m4a", "ipod", "aac")
    monkeypatch.setattr(media, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError) as caught:
        denoise_file(source)
    assert "pip install 'rtdenoise[media]'" in str(caught.value)
    assert f"ffmpeg -i '{source}' '{source.with_suffix('.wav')}'" in str(caught.value)


def test_a_folder_takes_all_of_them_and_says_what_it_left_out(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, muxer, codec in KINDS[2:5]:
        sound(folder / name, muxer, codec)
    soundfile.write(folder / "plain.wav", voice(RATE, RATE, 1), RATE)
    (folder / "plain.wav").rename(folder / "no suffix")
    (folder / "notes.txt").write_text("nothing to hear")
    (folder / "samples.raw").write_bytes(bytes(1000))
    report = denoise_folder(folder, tmp_path / "out", method="bypass", jobs=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.aac", "a.mp4", "a.webm", "no suffix.wav"]
    assert not report.failed and list(report.left_out) == [str(folder / "samples.raw")]
    assert "--rate" in report.left_out[str(folder / "samples.raw")]


def test_first_bytes(tmp_path):
    for head, name in (
        (b"\0\0\0\x1cftypM4A ", "MPEG-4 audio"),
        (b"\0\0\0\x1cftypisom", "MP4"),
        (b"#!AMR\n\x3c\x91\x17\x16\xbe\x66", "AMR"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"\x1a\x45\xdf\xa3" + bytes(12) + b"webm", "WebM"),
    ):
        assert kind_of(head).name == name
    for head in (b"\0\0\0\x1cftypheic", b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xfeh\0e\0l\0l\0o\0", bytes(16), b"hello"):
        assert kind_of(head) is None
    (tmp_path / "text").write_text("no sound")
    assert kind_of_file(tmp_path / "text") is None
