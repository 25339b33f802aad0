"""A session gives exactly what a stream gives, as many samples as it took, and bypasses equally late."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest

import rtdenoise
from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.integrations.session import Bytes, Fade, Session, checked
from tests.integrations.signals import cuts, delayed, expected, lag, noisy

FADE = 160  # 10 ms at 16 kHz


def run(session: Session, samples: np.ndarray, lengths: list[int]) -> np.ndarray:
    pieces, start = [], 0
    for n in lengths:
        chunk = samples[start : start + n]
        out = session.process(chunk)
        assert out.shape == chunk.shape and out.dtype == chunk.dtype
        pieces.append(out)
        start += n
    return np.concatenate(pieces)


@pytest.mark.parametrize("method", ["WF", "SS", "bypass"])
@pytest.mark.parametrize("channels", [1, 2])
def test_output_is_the_streams_whatever_the_cuts(method, channels):
    samples = noisy(12000, channels)
    session = Session(Choice(method=method), 16000, channels)
    for seed in range(3):
        np.testing.assert_array_equal(run(session, samples, cuts(12000, seed)), expected(samples, method=method))
        session.reset()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int32])
def test_other_dtypes_are_kept(dtype):
    samples = noisy(4000)
    samples = {
        np.float32: (samples / 2.0**15).astype(np.float32),
        np.uint8: (samples // 256 + 128).astype(np.uint8),
        np.int32: samples.astype(np.int32) * 65536,
    }[dtype]
    session = Session(Choice(), 16000, 1)
    np.testing.assert_array_equal(run(session, samples, cuts(4000)), expected(samples))


def test_no_sample_is_lost_or_invented_in_ten_minutes_of_random_chunks():
    samples = np.tile(noisy(16000), 600)
    session = Session(Choice(), 16000, 1)
    np.testing.assert_array_equal(run(session, samples, cuts(len(samples), 7, 4000)), expected(samples))


@pytest.mark.parametrize("settings", [{"method": "WF"}, {"model": "can-small"}])
def test_reported_delay_is_the_measured_one(settings):
    samples = noisy(16000)
    session = Session(Choice(**settings), 16000, 1)
    assert lag(samples, session.process(samples)) == session.latency_samples


def test_bypass_is_the_input_equally_late_and_faded_in_and_out():
    samples = noisy(24000)
    session = Session(Choice(), 16000, 1)
    pieces = []
    for start in range(0, 24000, 441):
        session.bypassed = 8000 < start < 16000
        pieces.append(session.process(samples[start : start + 441]))
    out, wet, dry = np.concatenate(pieces), expected(samples), delayed(samples, session.latency_samples)
    off, on = next(s for s in range(0, 24000, 441) if s > 8000), next(s for s in range(0, 24000, 441) if s >= 16000)
    np.testing.assert_array_equal(out[:off], wet[:off])
    np.testing.assert_array_equal(out[off + FADE : on], dry[off + FADE : on])
    np.testing.assert_array_equal(out[on + FADE :], wet[on + FADE :])
    low, high = np.minimum(wet, dry), np.maximum(wet, dry)
    assert np.all(out >= low) and np.all(out <= high)


def test_a_fade_is_linear_and_exact_at_its_ends():
    fade = Fade(4, start=True)
    a, b = np.zeros(3, np.int16), np.full(3, 100, np.int16)
    assert fade.mix(a, b, wanted=True) is b
    assert fade.mix(a, b, wanted=False).tolist() == [75, 50, 25]
    assert fade.mix(a, b, wanted=False).tolist() == [0, 0, 0]
    assert fade.mix(a, b, wanted=False) is a


@pytest.mark.parametrize("later", [{"method": "SS"}, {"preset": "balanced"}, {"model": "can-small"}])
def test_another_method_takes_over_without_silence(later):
    samples = noisy(16000)
    first, second = Session(Choice(), 16000, 1), Session(Choice().changed(**later), 16000, 1)
    before = first.process(samples[:8000])
    second.take_over(first)
    after = run(second, samples[8000:], cuts(8000))
    late = second.latency_samples
    whole = expected(samples[8000 - late :], **later)[late:]
    np.testing.assert_array_equal(before, expected(samples[:8000]))
    np.testing.assert_array_equal(after[FADE:], whole[FADE:])
    faded = expected(samples)[8000 : 8000 + FADE].astype(float), whole[:FADE]
    shares = np.arange(1, FADE + 1) / FADE
    np.testing.assert_array_equal(after[:FADE], np.rint(faded[0] * (1 - shares) + faded[1] * shares))


def test_taking_over_keeps_the_bypass_and_works_before_the_first_sample():
    samples = noisy(4000)
    first, second = Session(Choice(), 16000, 1), Session(Choice(method="SS"), 16000, 1)
    first.bypassed = True
    second.take_over(first)
    out = second.process(samples)
    np.testing.assert_array_equal(out, delayed(samples, second.latency_samples))


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_bytes_of_an_incomplete_sample_wait(width, channels):
    dtype = {1: np.dtype("u1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}[width]
    samples = noisy(3000, channels)
    samples = (samples // 256 + 128 if width == 1 else samples.astype("i8") << (8 * width - 16)).astype(dtype)
    line, data, out, start = Bytes(Session(Choice(), 16000, channels), width), samples.tobytes(), b"", 0
    for n in [*cuts(len(data) - 1, 3, 101), 1]:
        out += line.process(data[start : start + n])
        start += n
        assert len(out) == start // (width * channels) * width * channels
    np.testing.assert_array_equal(np.frombuffer(out, dtype).reshape(samples.shape), expected(samples))


def test_reset_forgets_signal_and_bytes():
    line = Bytes(Session(Choice(), 16000, 1))
    line.process(noisy(999).tobytes() + b"x")
    line.reset()
    samples = noisy(2000)
    assert line.process(samples.tobytes()) == expected(samples).tobytes()


def test_remarks_are_logged(caplog):
    session = Session(Choice(), 16000, 1)
    with caplog.at_level(logging.WARNING):
        session.process(noisy(999).astype(np.float32))
    assert "full scale is 1.0" in caplog.text


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"method": "XY"}, ConfigError, "unknown method 'XY'"),
        ({"preset": "fast"}, ConfigError, "unknown preset 'fast'"),
        ({"attenuation_limit_db": -1}, ConfigError, "attenuation_limit_db"),
        ({"model": "can-huge"}, ModelError, "no model 'can-huge'"),
        ({"method": "WF", "model": "can-small"}, ConfigError, "is a network"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_chosen(settings, error, text):
    with pytest.raises(error, match=text) as caught:
        checked(Choice(**settings))
    assert "\n" not in str(caught.value)


def test_another_method_drops_the_network_and_a_network_the_method():
    network = Choice(model="can-small")
    assert network.changed(method="SS") == Choice(method="SS")
    assert Choice(method="SS").changed(model="can-small") == network
    assert network.changed(attenuation_limit_db=12) == Choice(model="can-small", attenuation_limit_db=12)
    with pytest.raises(ConfigError, match=r"unknown key 'metod'; did you mean 'method'\?"):
        network.changed(metod="SS")


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("pipecat", "pipecat", "pipecat"),
        ("livekit", "livekit", "livekit"),
        ("aiortc", "aiortc", "aiortc"),
        ("wyoming", "wyoming", "wyoming"),
    ],
)
def test_a_missing_framework_is_named_with_its_extra(module, package, extra):
    script = f"import sys; sys.modules[{package!r}] = None; import rtdenoise.integrations.{module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rtdenoise.errors.MissingExtraError: ")
    assert last.endswith(f"pip install 'rtdenoise[{extra}]'")


def test_the_package_itself_loads_nothing():
    script = (
        "import sys, rtdenoise.integrations; print(*{'numpy', 'numba', 'av', 'pipecat', 'livekit'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("settings", [{"method": "WF"}, {"model": "can-small"}])
@pytest.mark.parametrize("multiple", [1, 500])
def test_the_end_of_a_signal_comes_out_and_a_new_one_starts(settings, multiple):
    samples = noisy(4001)
    session = Session(Choice(**settings), 16000, 1)
    stream = rtdenoise.stream(sample_rate=16000, preset="low", **settings)
    whole = np.concatenate([np.zeros(stream.hop - 1, np.int16), stream.process(samples), stream.flush()])
    assert len(whole) == 4001 + session.latency_samples and session.finish().size == 0
    for _ in range(2):
        out, rest = run(session, samples, cuts(4001)), session.finish(multiple)
        assert len(rest) == -(-session.latency_samples // multiple) * multiple and rest.dtype == np.int16
        np.testing.assert_array_equal(np.concatenate([out, rest])[: len(whole)], whole)
