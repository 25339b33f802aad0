"""Classes in the place of webrtc-noise-gain's and speexdsp-ns's, called as their users call them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.integrations import speexdsp, webrtc
from tests.streaming import test_presence as heard

NOISY = np.rint(np.random.default_rng(8).normal(0, 3000, 16000)).astype("<i2")


def blocks(n):
    return [NOISY[at : at + n].tobytes() for at in range(0, len(NOISY) // n * n, n)]


def joined(parts):
    return np.frombuffer(b"".join(parts), "<i2")


def expected(late, **keywords):
    """What a stream gives, as late as the class under test."""
    stream = rtdenoise.stream("WF", 16000, preset="low", **keywords)
    out = np.concatenate([stream.process(NOISY), stream.flush()])
    return np.concatenate([np.zeros(late - stream.latency_samples, np.int16), out])


@pytest.mark.parametrize(("level", "limit_db"), list(enumerate((0, 6, 12, 18, 21))))
def test_ten_milliseconds_at_a_time_are_the_stream_at_the_limit_of_the_level(level, limit_db):
    processor = webrtc.AudioProcessor(0, level)
    chunks = [processor.Process10ms(data) for data in blocks(160)]
    assert {(len(chunk.audio), type(chunk.audio), type(chunk.is_speech)) for chunk in chunks} == {(320, bytes, bool)}
    out = joined(chunk.audio for chunk in chunks)
    assert_array_equal(out, expected(processor.latency_samples, attenuation_limit_db=limit_db)[: len(out)])


def test_no_suppression_is_the_signal_itself_later():
    processor = webrtc.AudioProcessor(auto_gain=0, noise_suppression=0)
    out = joined(processor.Process10ms(data).audio for data in blocks(160))
    late = processor.latency_samples
    assert np.max(np.abs(out[late:].astype(int) - NOISY[: len(out) - late])) <= 1


@pytest.mark.parametrize("size", [160, 256, 333])
def test_a_block_of_any_size_comes_out_as_long(size):
    suppression = speexdsp.NoiseSuppression.create(size, 16000)
    parts = [suppression.process(data) for data in blocks(size)]
    assert {len(part) for part in parts} == {2 * size}
    assert_array_equal(
        joined(parts), expected(suppression.latency_samples, attenuation_limit_db=15)[: len(parts) * size]
    )


def test_the_defaults_are_those_of_the_packages():
    assert len(speexdsp.NoiseSuppression.create().process(bytes(512))) == 512
    assert webrtc.AudioProcessor().Process10ms(bytes(320)).is_speech is False


def test_other_methods_are_keywords():
    suppression = speexdsp.NoiseSuppression.create(160, 16000, method="bypass")
    out = joined(suppression.process(data) for data in blocks(160))
    assert_array_equal(out[suppression.latency_samples :], NOISY[: len(out) - suppression.latency_samples])


@pytest.mark.parametrize("data", [b"", bytes(2), bytes(319), bytes(321), bytes(640), "x" * 320, NOISY[:160], None])
@pytest.mark.parametrize(
    ("make", "call"),
    [
        (webrtc.AudioProcessor, "Process10ms"),
        (lambda: speexdsp.NoiseSuppression.create(160), "process"),
    ],
)
def test_what_is_not_one_block_is_one_line_and_changes_nothing(make, call, data):
    made = make()
    with pytest.raises(SignalError, match=rf"{call} takes (320 bytes, 160 samples|bytes of 16-bit)") as caught:
        getattr(made, call)(data)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    new = make()
    assert getattr(made, call)(blocks(160)[0]) == getattr(new, call)(blocks(160)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: webrtc.AudioProcessor(3, 2), "auto_gain=3 is not offered; give 0"),
        (lambda: webrtc.AudioProcessor(0.5, 2), "auto_gain=0.5 must be a whole number from 0 to 31"),
        (lambda: webrtc.AudioProcessor(0, 5), "noise_suppression=5 must be a whole number from 0 to 4"),
        (lambda: webrtc.AudioProcessor(0, -1), "noise_suppression=-1 must be"),
        (lambda: webrtc.AudioProcessor(0, "high"), "noise_suppression='high' must be"),
        (lambda: speexdsp.NoiseSuppression.create(0), "frame_size=0 must be a whole number from 1 to 65536"),
        (lambda: speexdsp.NoiseSuppression.create(160, 1), "sample_rate=1 Hz must be"),
    ],
)
def test_arguments_that_cannot_be_are_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_they_stand_in_for_the_packages():
    code = """
import sys
import rtdenoise.integrations.speexdsp, rtdenoise.integrations.webrtc
sys.modules["webrtc_noise_gain"] = rtdenoise.integrations.webrtc
sys.modules["speexdsp_ns"] = rtdenoise.integrations.speexdsp
from speexdsp_ns import NoiseSuppression
from webrtc_noise_gain import AudioProcessor
print(len(NoiseSuppression.create(160, 16000).process(bytes(320))))
print(len(AudioProcessor(0, 2).Process10ms(bytes(320)).audio))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["320", "320"]


def test_the_package_imports_nothing_heavy():
    code = "import sys, rtdenoise.integrations; sys.exit(bool({'numpy', 'numba', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_webrtc_noise_gain_is_called_alike():
    real = pytest.importorskip("webrtc_noise_gain", reason="webrtc-noise-gain is not installed")
    ours, theirs = (made(auto_gain=0, noise_suppression=2) for made in (webrtc.AudioProcessor, real.AudioProcessor))
    for data in blocks(160)[:20]:
        found, wanted = ours.Process10ms(data), theirs.Process10ms(data)
        assert type(found.audio) is type(wanted.audio) and len(found.audio) == len(wanted.audio)
        assert type(found.is_speech) is type(wanted.is_speech)
    for made in (ours, theirs):
        with pytest.raises(ValueError, match="320"):
            made.Process10ms(bytes(318))


def test_speexdsp_ns_is_called_alike():
    real = pytest.importorskip("speexdsp_ns", reason="speexdsp-ns is not installed")
    ours, theirs = (
        made.create(frame_size=160, sample_rate=16000) for made in (speexdsp.NoiseSuppression, real.NoiseSuppression)
    )
    for data in blocks(160)[:20]:
        found, wanted = ours.process(data), theirs.process(data)
        assert type(found) is type(wanted) and len(found) == len(wanted)


def test_speech_is_told_from_noise():
    data = np.rint(heard.NOISY * 32767).astype("<i2").tobytes()
    processor = webrtc.AudioProcessor(0, 2)
    told = np.array([processor.Process10ms(data[at : at + 320]).is_speech for at in range(0, len(data), 320)])
    assert told[heard.SPEECH].mean() > 0.7 and told[heard.NOISE].mean() < 0.1
