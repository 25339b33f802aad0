"""Pipes: real processes, random chunks, closed ends, and how soon a hop comes out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtdenoise
from tests.cli.conftest import COMMAND, names, start, voice

RATE = 16000


def pipe(data: bytes, *arguments: object, folder: Path | None = None, code: int = 0) -> tuple[bytes, str]:
    process = start(*arguments, folder=folder)
    out, err = process.communicate(data, timeout=120)
    assert process.returncode == code, err.decode()
    return out, err.decode()


def raw(n: int = RATE, channels: int = 1) -> bytes:
    return np.rint(voice(n, RATE, channels) * 32768).astype("<i2").tobytes()


def in_pieces(process: subprocess.Popen[bytes], data: bytes, sizes: list[int]) -> bytes:
    """Write `data` in chunks of these sizes, again and again, while somebody reads."""
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(process.stdout.read()))
    reader.start()
    position = i = 0
    while position < len(data):
        process.stdin.write(data[position : position + sizes[i % len(sizes)]])
        process.stdin.flush()
        position += sizes[i % len(sizes)]
        i += 1
    process.stdin.close()
    reader.join(timeout=120)
    assert process.wait(timeout=60) == 0
    return got[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_raw_audio_in_random_chunks_is_the_array_denoised(seed):
    data = raw(2 * RATE + 13)
    rng = np.random.default_rng(seed)
    sizes = [int(size) for size in rng.choice([1, 2, 3, 63, 127, 128, 500, 4096, 70000], 20)]
    with start("-f", "-", "-o", "-", "--rate", RATE, "-a", "WF", "--preset", "low") as process:
        out = in_pieces(process, data, sizes)
        assert re.sub("rtdenoise: note: preparing.*\n", "", process.stderr.read().decode()) == ""

    noisy = np.frombuffer(data, "<i2")
    assert out == rtdenoise.denoise(noisy, RATE, "WF", preset="low").tobytes()


def test_without_alignment_the_delay_stays_in_front():
    data = raw(5000)
    out, _ = pipe(data, "-f", "-", "-o", "-", "--rate", RATE, "--no-align", "--preset", "low")
    late = rtdenoise.stream("WF", sample_rate=RATE, preset="low").latency_samples
    aligned = rtdenoise.denoise(np.frombuffer(data, "<i2"), RATE, "WF", preset="low").tobytes()
    assert len(out) == len(data) + 2 * late
    assert out[2 * late :] == aligned


@pytest.mark.parametrize(
    ("form", "subtype"), [("s16", "PCM_16"), ("s24", "PCM_24"), ("s32", "PCM_32"), ("f32", "FLOAT")]
)
def test_raw_formats_and_channels(form, subtype, tmp_path):
    samples = voice(1000, RATE, 3)
    soundfile.write(tmp_path / "a.raw", samples, RATE, subtype=subtype)
    data = (tmp_path / "a.raw").read_bytes()
    out, _ = pipe(data, "-f", "-", "--rate", RATE, "--format", form, "--pipe-channels", 3, "-a", "bypass")
    assert out == data


def test_wav_in_wav_out_and_back_to_raw(tmp_path):
    for subtype in ("PCM_16", "FLOAT"):
        soundfile.write(tmp_path / "a.wav", voice(3001, 22050, 2), 22050, subtype=subtype)
        data = (tmp_path / "a.wav").read_bytes()
        out, _ = pipe(data + b"LIST\4\0\0\0abcd", "-f", "-", "-o", "-", "-a", "bypass")
        info = soundfile.info(io.BytesIO(out))
        assert (info.format, info.subtype, info.samplerate, info.frames) == ("WAV", subtype, 22050, 3001)
        expected, _ = soundfile.read(tmp_path / "a.wav")
        np.testing.assert_array_equal(soundfile.read(io.BytesIO(out))[0], expected)
    as_raw, _ = pipe(data, "-f", "-", "-o", "-", "-a", "bypass", "--format", "s16")
    np.testing.assert_array_equal(np.frombuffer(as_raw, "<i2").reshape(-1, 2), np.rint(expected * 32768))


def test_raw_in_wav_out(tmp_path):
    data = raw(777)
    out, _ = pipe(data, "-f", "-", "--rate", RATE, "--format", "wav", "-a", "bypass")
    assert out[-len(data) :] == data and out[:4] == b"RIFF"
    assert soundfile.info(io.BytesIO(out)).frames == 777


def test_file_to_pipe_and_pipe_to_file(make, tmp_path):
    source = make("a.flac", n=3000, subtype="PCM_24")
    out, _ = pipe(b"", "-f", source, "-o", "-", "-a", "bypass")
    info = soundfile.info(io.BytesIO(out))
    assert (info.subtype, info.frames) == ("PCM_24", 3000)
    _, err = pipe(raw(3000), "-f", "-", "-o", "b.wav", "--rate", RATE, "-a", "bypass", folder=tmp_path)
    info = soundfile.info(tmp_path / "b.wav")
    assert (info.subtype, info.frames, err) == ("PCM_16", 3000, "")
    _, err = pipe(raw(10), "-f", "-", "-o", "b.wav", "--rate", RATE, "-a", "bypass", folder=tmp_path, code=1)
    assert "exists already" in err


def test_each_hop_comes_out_before_the_next_goes_in():
    hop = rtdenoise.stream("bypass", sample_rate=RATE, preset="low").hop
    data = raw(40 * hop)
    waits = []
    with start("-f", "-", "-o", "-", "--rate", RATE, "-a", "bypass", "--preset", "low") as process:
        for i in range(40):
            block = data[2 * hop * i : 2 * hop * (i + 1)]
            started = time.monotonic()
            process.stdin.write(block)
            process.stdin.flush()
            got = b""
            while len(got) < 2 * hop:
                ready, _, _ = select.select([process.stdout], [], [], 60)
                assert ready, "a whole hop went in and nothing came out"
                got += os.read(process.stdout.fileno(), 2 * hop - len(got))
            assert got == block
            waits.append(time.monotonic() - started)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert sorted(waits[1:])[20] < 0.05


def test_a_closed_reader_ends_it_quietly():
    with start("-f", "-", "-o", "-", "--rate", RATE, "-a", "bypass", "-v") as process:
        process.stdin.write(raw(RATE))
        process.stdin.flush()
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(raw(20 * RATE))
            process.stdin.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_reports_go_to_stderr_when_audio_goes_to_stdout():
    data = raw(RATE)
    out, err = pipe(data, "-f", "-", "-o", "-", "--rate", RATE, "-a", "bypass", "--json")
    assert out == data
    assert json.loads(err)["seconds"] == 1.0


def test_nan_on_a_pipe_is_zero_and_reported():
    samples = np.array([0.5, np.nan, np.inf, -0.5], "<f4")
    out, err = pipe(samples.tobytes(), "-f", "-", "--rate", RATE, "--format", "f32", "-a", "bypass")
    np.testing.assert_array_equal(np.frombuffer(out, "<f4"), np.float32([0.5, 0, 0, -0.5]))
    assert err == "rtdenoise: warning: standard input: 2 samples are NaN or infinite; they count as 0\n"


@pytest.mark.parametrize(
    ("data", "arguments", "code", "message"),
    [
        (b"\1\0" * 100, [], 1, "raw audio on standard input needs its rate, for example --rate 16000"),
        (b"fLaC" + bytes(50), ["--rate", "16000"], 1, "standard input: not audio that can be read"),
        (b"RIFF" + bytes(5), [], 1, "a WAV that ends inside its header"),
        (b"\1\0" * 100, ["--rate", "5"], 1, "standard input: has 5 Hz; from 8000 to 192000 Hz"),
        (b"\1\0" * 100, ["--rate", "16000", "--pipe-channels", "0"], 1, "channels=0"),
        (b"", ["--rate", "16000", "--plot"], 2, "--plot needs a file"),
        (b"", ["--format", "mp3"], 2, "'mp3' is not one of"),
    ],
)
def test_mistakes_are_one_line_and_no_audio(data, arguments, code, message):
    out, err = pipe(data, "-f", "-", "-o", "-", "-a", "bypass", *arguments, code=code)
    assert out == b""
    assert err.startswith("rtdenoise: error: ") and err.count("\n") == 1
    assert message in err


def test_a_wav_that_contradicts_the_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(100, 8000, 1), 8000)
    _, err = pipe((tmp_path / "a.wav").read_bytes(), "-f", "-", "--rate", RATE, code=1)
    assert err == "rtdenoise: error: a rate of 16000 Hz was given, but the WAV on standard input has 8000 Hz\n"


def test_cut_off_input_is_used_and_told(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(1000, 8000, 1), 8000, subtype="PCM_16")
    data = (tmp_path / "a.wav").read_bytes()[:-501]
    out, err = pipe(data, "-f", "-", "--format", "s16", "-a", "bypass", code=1)
    assert len(out) == 2 * 749
    assert err.splitlines() == [
        "rtdenoise: warning: standard input: ends 501 bytes (0.03 s) before the end that its header names",
        "rtdenoise: warning: standard input: ends inside a sample; its last 1 bytes are left out",
    ]


def test_nothing_on_standard_input_gives_nothing():
    out, err = pipe(b"", "-f", "-", "-o", "-", "--rate", RATE, "-a", "bypass")
    assert (out, err) == (b"", "rtdenoise: warning: standard input: has no samples; the output is empty, too\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_recording_and_keeps_it(tmp_path, number):
    process = start("-f", "-", "-o", "out.wav", "--rate", RATE, "-a", "bypass", folder=tmp_path)
    data = raw(3 * RATE)
    process.stdin.write(data)
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(p.stat().st_size > 2 * RATE for p in tmp_path.glob(".rtdenoise-*")):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    assert out.decode().startswith("out.wav: 3.0 s")
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int16")[0], np.frombuffer(data, "<i2"))
    assert names(tmp_path) == ["out.wav"]


def test_ctrl_c_in_a_chain_ends_it_without_a_word_too_much():
    with start("-f", "-", "-o", "-", "--rate", RATE, "-a", "bypass") as process:
        process.stdin.write(raw(RATE))
        process.stdin.flush()
        assert process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"rtdenoise: note: interrupted\n"


def test_a_terminal_is_neither_read_nor_written(make):
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    try:
        for arguments, message in (
            (["-f", "-", "-o", "x.wav", "--rate", "16000"], "standard input is a terminal"),
            (["-f", str(make()), "-o", "-"], "standard output is a terminal"),
        ):
            done = subprocess.run(
                [*COMMAND, *arguments],
                stdin=inner,
                stdout=inner,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 2 and message in done.stderr
    finally:
        os.close(outer)
        os.close(inner)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.w64", "a.aiff", "a.caf"])
def test_compressed_audio_on_a_pipe_is_decoded_even_where_somebody_calls_it_raw(tmp_path, name):
    subtype = {"a.ogg": "VORBIS", "a.mp3": "MPEG_LAYER_III"}.get(name, "PCM_16")
    soundfile.write(tmp_path / name, voice(2 * RATE, RATE, 1), RATE, subtype=subtype)
    expected, _ = soundfile.read(tmp_path / name, dtype="int16")
    data = (tmp_path / name).read_bytes()
    out, err = pipe(data, "-f", "-", "-o", "-", "--rate", RATE, "--format", "s16", "-a", "bypass")
    assert err == "" and len(out) == expected.nbytes
    assert np.abs(np.frombuffer(out, "<i2").astype(int) - expected).max() <= 1


def test_samples_behind_the_length_that_a_wave_on_a_pipe_names_are_used(tmp_path):
    soundfile.write(tmp_path / "a.wav", voice(RATE, RATE, 1), RATE, subtype="PCM_16")
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = (2000).to_bytes(4, "little")
    out, err = pipe(bytes(data), "-f", "-", "-o", "-", "--format", "s16", "-a", "bypass")
    assert out == bytes(data[44:]) and "goes on behind the end that its header names" in err
