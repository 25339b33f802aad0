"""The loop under files and pipes, and standard input, with blocks and chunks of any size."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files import stdio
from rtdenoise.files.flow import Flow
from rtdenoise.files.signals import DeferredSignals
from rtdenoise.files.stdio import RAW_FORMS, PipeFormat, Stdin, StdinAudio, StdoutAudio
from rtdenoise.sound.containers.sniff import kind_of
from rtdenoise.sound.levels import LevelMeter
from rtdenoise.sound.pcm import SAMPLE_BYTES, from_bytes
from rtdenoise.sound.wave import wave_header
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.session import Stream

RATE = 8000


@given(
    sizes=st.lists(st.integers(0, 90), max_size=15),
    hop=st.integers(1, 40),
    late=st.integers(0, 60),
    channels=st.integers(1, 3),
    aligned=st.booleans(),
)
def test_blocks_of_any_size_come_out_aligned_and_whole(sizes, hop, late, channels, aligned):
    rng = np.random.default_rng(0)
    blocks = [rng.uniform(-1, 1, (size, channels)).astype(np.float32) for size in sizes]
    whole = np.concatenate([np.zeros((0, channels), np.float32), *blocks])
    poisoned = [block.copy() for block in blocks]
    if sizes and sizes[0]:
        poisoned[0][0, 0] = np.nan
        whole[0, 0] = 0.0
    got: list[np.ndarray] = []
    meter = LevelMeter(RATE)
    flow = Flow(Stream(Bypass(RATE, hop, channels, late)), got.append, meter, aligned=aligned)
    steps: list[int] = []

    flow.run(poisoned, lambda: steps.append(1))

    out = np.concatenate([np.zeros((0, channels), np.float32), *got])
    silence = 0 if aligned or not len(whole) else late
    assert_array_equal(out, np.concatenate([np.zeros((silence, channels), np.float32), whole]))
    assert (flow.n_samples, len(steps)) == (len(whole), len(sizes))
    assert flow.non_finite == (1 if sizes and sizes[0] else 0)
    assert meter.clean.energy == pytest.approx(meter.noisy.energy)


def fed(data: bytes, sizes: list[int], carried: PipeFormat) -> tuple[StdinAudio, np.ndarray]:
    """What `StdinAudio` makes of bytes that arrive in chunks of these sizes."""
    reader, writer = os.pipe()

    def write() -> None:
        position = i = 0
        while position < len(data):
            size = sizes[i % len(sizes)]
            os.write(writer, data[position : position + size])
            position, i = position + size, i + 1
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    original, stdio._STDIN = stdio._STDIN, reader
    try:
        with DeferredSignals() as signals:
            audio = StdinAudio(carried, Stdin(signals), interrupt_ends=False)
            samples = list(audio.blocks())
        thread.join()
        assert os.read(reader, 10) == b""  # to its end: the writer must not find the pipe closed
    finally:
        stdio._STDIN = original
        thread.join()
        os.close(reader)
    return audio, np.concatenate([np.zeros((0, audio.encoding.channels), np.float32), *samples])


@given(
    data=st.binary(max_size=400),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8),
    form=st.sampled_from(RAW_FORMS[:3]),
    channels=st.integers(1, 3),
    as_wave=st.sampled_from([None, "known", "unknown"]),
)
def test_chunks_of_any_size_give_the_same_samples(data, sizes, form, channels, as_wave):
    frame = SAMPLE_BYTES[form] * channels
    whole = len(data) // frame * frame
    expected = from_bytes(data[:whole], form, channels)
    if as_wave is None:
        if kind_of(data) is not None or data[:3] == b"ID3":
            return
        audio, samples = fed(data, sizes, PipeFormat(form=form, sample_rate=RATE, channels=channels))
    else:
        known = whole if as_wave == "known" and whole else None
        trailer = b"LIST\4\0\0\0tags" if known else data[whole:]
        stream = wave_header(form, RATE, channels, known) + data[:whole] + trailer
        audio, samples = fed(stream, sizes, PipeFormat())
        assert audio.n_samples == (len(expected) if known else None)
    assert_array_equal(samples, expected)
    assert (audio.encoding.sample_rate, audio.encoding.channels) == (RATE, channels)
    lost = len(data) - whole if as_wave != "known" or not whole else 0
    assert [text.endswith(f"its last {lost} bytes are left out") for text in audio.warnings] == [True] * bool(lost)


def test_a_pipe_that_cannot_be_read_or_makes_no_sense():
    with pytest.raises(ConfigError, match="needs its rate"):
        fed(b"12345678", [3], PipeFormat())
    with pytest.raises(ConfigError, match="format='mp3' must be one of: s16"):
        PipeFormat(form="mp3")
    original, stdio._STDIN = stdio._STDIN, 10_000  # no such descriptor
    try:
        with (
            DeferredSignals() as signals,
            pytest.raises(AudioFileError, match="standard input: cannot be read: Bad file"),
        ):
            StdinAudio(PipeFormat(sample_rate=RATE), Stdin(signals), interrupt_ends=False)
    finally:
        stdio._STDIN = original


def test_standard_output_counts_what_it_limits(tmp_path):
    with (tmp_path / "out.wav").open("wb") as file:
        original, stdio._STDOUT = stdio._STDOUT, file.fileno()
        try:
            encoding = stdio.Encoding("WAV", "PCM_16", "FILE", RATE, 1)
            out = StdoutAudio("s16", encoding, as_wave=True, data_bytes=6)
            out.write(np.array([[0.5], [2.0], [-2.0]], np.float32))
        finally:
            stdio._STDOUT = original
    assert out.clipped == 2
    assert soundfile.read(tmp_path / "out.wav", dtype="int16")[0].tolist() == [16384, 32767, -32768]


def test_signals_wait_for_a_safe_place():
    reached = []
    with pytest.raises(KeyboardInterrupt), DeferredSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        reached.append("after the signal")
        signals.check()
        reached.append("never")
    assert reached == ["after the signal"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_nobody_checked_for_comes_at_the_end():
    reached = []
    with pytest.raises(KeyboardInterrupt), DeferredSignals():
        signal.raise_signal(signal.SIGINT)
        reached.append("to the end")
    assert reached == ["to the end"]


def test_signals_come_at_once_where_they_are_allowed():
    with pytest.raises(KeyboardInterrupt), DeferredSignals() as signals, signals.allowed():
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the signal did not take effect")


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def work() -> None:
        with DeferredSignals() as signals:
            signals.check()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
