"""The calls people write first: positional rates, the same keywords everywhere, pairs of rate and samples."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.session import Stream

SIGNAL = np.random.default_rng(4).normal(0, 0.1, 5003).astype(np.float32)
STEREO = np.stack([SIGNAL, SIGNAL[::-1] / 2], 1)
LOW = {"preset": "low"}


def streamed(signal, stream, cuts=(700, 701, 3000)):
    parts = [stream.process(part) for part in np.split(signal, cuts)]
    return np.concatenate([*parts, stream.flush()])


def test_the_rate_is_the_second_argument():
    assert_array_equal(
        streamed(SIGNAL, rtdenoise.stream("WF", 16000, **LOW)),
        streamed(SIGNAL, rtdenoise.stream("WF", sample_rate=16000, **LOW)),
    )
    assert rtdenoise.build("bypass", 16000).sample_rate == 16000


@pytest.mark.parametrize(
    ("call", "example"),
    [
        (lambda: rtdenoise.stream("WF"), r"stream\('WF', 16000\)"),
        (lambda: rtdenoise.build("WF"), r"build\('WF', 16000\)"),
        (lambda: rtdenoise.denoise(SIGNAL), r"denoise\(signal, 16000\)"),
        (lambda: rtdenoise.Effect("WF")(SIGNAL), r"effect\(signal, 16000\)"),
    ],
)
def test_a_missing_rate_is_asked_for(call, example):
    with pytest.raises(ConfigError, match=f"from 8000 to 192000; give it, for example {example}$"):
        call()


KEYWORDS = [
    {"preset": "low", "attenuation_limit_db": 6},
    {"preset": "low", "mix": 0.5},
    {"model": "can-small", "attenuation_limit_db": 12.0},
]


@pytest.mark.parametrize("keywords", KEYWORDS, ids=str)
def test_the_same_keywords_do_the_same_everywhere(keywords, tmp_path):
    stream = rtdenoise.stream(None, 16000, **keywords)
    expected = streamed(SIGNAL, stream)[stream.latency_samples :]
    assert_array_equal(rtdenoise.denoise(SIGNAL, 16000, **keywords), expected)
    assert_array_equal(rtdenoise.Effect(**keywords)(SIGNAL, 16000), expected)
    soundfile.write(tmp_path / "in.wav", SIGNAL, 16000, subtype="FLOAT")
    report = rtdenoise.denoise_file(tmp_path / "in.wav", **keywords)
    assert_array_equal(soundfile.read(report.target, dtype="float32")[0], expected)
    other = {name: value for name, value in keywords.items() if name in ("preset", "model")}
    assert not np.array_equal(rtdenoise.denoise(SIGNAL, 16000, **other), expected)


def test_keywords_of_files_are_stronger_than_overrides_and_refused_like_those_of_streams(tmp_path):
    soundfile.write(tmp_path / "in.wav", STEREO, 16000, subtype="FLOAT")
    report = rtdenoise.denoise_file(
        tmp_path / "in.wav", preset="low", channel_mode="downmix", overrides={"channel_mode": "each", "mix": 0.5}
    )
    left, right = soundfile.read(report.target, dtype="float32")[0].T
    assert_array_equal(left, right)
    assert_array_equal(left, rtdenoise.denoise(STEREO, 16000, **LOW, channel_mode="downmix", mix=0.5)[:, 0])
    with pytest.raises(ConfigError, match="attenuation_limit_db=200"):
        rtdenoise.denoise_file(tmp_path / "in.wav", attenuation_limit_db=200)
    with pytest.raises(ConfigError, match="model='can-small' is a network: method='CAN', not 'WF'"):
        rtdenoise.denoise_file(tmp_path / "in.wav", method="WF", model="can-small")


def test_the_delay_in_seconds():
    stream = rtdenoise.stream("WF", 16000, **LOW)
    assert stream.latency_seconds == stream.latency_samples / 16000 > 0


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (lambda: rtdenoise.stream("wf", 16000, **LOW), "<Stream: WF low, 16000 Hz, 1 channel, 8.0 ms of delay>"),
        (
            lambda: rtdenoise.stream(sample_rate=16000, channels=2),
            "<Stream: WF balanced, 16000 Hz, 2 channels, 16.0 ms of delay>",
        ),
        (
            lambda: rtdenoise.stream("CAN", 16000, model="can-small"),
            "<Stream: CAN can-small, 16000 Hz, 1 channel, 16.0 ms of delay>",
        ),
        (lambda: Stream(Bypass(8000, 80)), "<Stream: Bypass, 8000 Hz, 1 channel, 10.0 ms of delay>"),
    ],
)
def test_a_stream_says_what_it_is(stream, text):
    with stream() as made:
        assert repr(made) == text
    assert repr(made) == f"{text[:-1]}, closed>"


def test_an_effect_says_what_it_is():
    assert repr(rtdenoise.Effect(model="can-small")) == "<Effect: CAN can-small>"


def test_types_that_calls_return_can_be_imported(tmp_path):
    assert isinstance(rtdenoise.stream("bypass", 16000), rtdenoise.Stream)
    soundfile.write(tmp_path / "in.wav", SIGNAL, 16000)
    assert isinstance(rtdenoise.denoise_file(tmp_path / "in.wav", method="bypass"), rtdenoise.FileReport)
    code = "import sys, rtdenoise; rtdenoise.Stream; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("dtype", "scale", "step"),
    [("<i2", 2**15, 2e-5), ("<i4", 2**31, 1e-7), ("i1", 2**7, 4e-3), ("f2", 1, 1e-3), ("f8", 1, 1e-7)],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_a_stream_takes_samples_by_the_scale_of_their_type(dtype, scale, step, as_list):
    samples = (SIGNAL * scale * 0.5).astype(dtype)
    stream = rtdenoise.stream("WF", 16000, **LOW)
    parts = np.split(samples, [700, 701])
    found = np.concatenate([stream.process(list(p) if as_list and p.size else p) for p in parts])
    assert found.dtype == np.dtype(dtype)
    stream.reset()
    expected = stream.process((samples.astype(np.float64) / scale).astype(np.float32))
    np.testing.assert_allclose(found.astype(float) / scale, expected, atol=step)


def test_tensors_are_read_without_importing_their_package():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    stream = rtdenoise.stream("WF", 16000, channels=2, **LOW)
    expected = stream.process(STEREO)
    stream.reset()
    assert_array_equal(stream.process(torch.from_numpy(STEREO.T.copy())).T, expected)
    effect = rtdenoise.Effect(**LOW)
    assert_array_equal(effect(torch.from_numpy(STEREO.T.copy()), 16000).T, rtdenoise.denoise(STEREO, 16000, **LOW))
    with pytest.raises(SignalError, match=r"tensor.*\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        stream.process(torch.zeros(2, 8, dtype=torch.bfloat16))
    with pytest.raises(SignalError, match=r"tensor.*\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        stream.process(torch.zeros(2, 8, device="meta"))  # as on a GPU: its samples are not in this process's memory


def test_pairs_of_rate_and_samples_go_in_and_out():
    integers = np.rint(SIGNAL * 30000).astype(np.int16)
    rate, clean = rtdenoise.denoise((16000, integers), method="WF", **LOW)
    assert rate == 16000
    assert_array_equal(clean, rtdenoise.denoise(integers, 16000, **LOW))
    stream = rtdenoise.stream("WF", 16000, **LOW)
    parts = [stream.process((np.int64(16000), part)) for part in np.split(integers[np.newaxis], [480, 960], axis=1)]
    assert {rate for rate, _ in parts} == {16000}
    joined = np.concatenate([*(samples for _, samples in parts), stream.flush()], axis=1)
    assert_array_equal(joined[0, stream.latency_samples :], clean)
    assert rtdenoise.denoise((16000.0, SIGNAL.tolist()), 16000, "bypass")[0] == 16000


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rtdenoise.denoise((48000, SIGNAL), 16000), ConfigError, "sample_rate=16000, but the pair .* 48000 Hz"),
        (lambda: rtdenoise.denoise((48000, SIGNAL), "WF"), ConfigError, "sample_rate='WF', .*method='WF'"),
        (lambda: rtdenoise.denoise((7, SIGNAL)), ConfigError, "sample_rate=7 Hz must be"),
        (lambda: rtdenoise.denoise((True, SIGNAL)), ConfigError, "sample_rate=True must be"),
        (lambda: rtdenoise.denoise((16000, "a.wav")), SignalError, "not the path 'a.wav'"),
        (lambda: rtdenoise.denoise((16000, None)), SignalError, "not None"),
        (lambda: rtdenoise.stream("bypass", 16000).process((48000, SIGNAL)), SignalError, "at 48000 Hz does not fit"),
        (lambda: rtdenoise.stream("bypass", 16000).process((SIGNAL, 16000)), SignalError, "give the rate first"),
        (lambda: rtdenoise.stream(16000), ConfigError, "unknown method 16000"),
    ],
)
def test_pairs_that_do_not_fit_are_one_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
