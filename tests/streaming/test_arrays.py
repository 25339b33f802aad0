"""The arrays people have: read by their dtype's scale, in either layout, or refused in one line with a remedy."""

from __future__ import annotations

import array
import io
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.streaming.samples import from_float32, is_channels_first, to_float32

SIGNAL = np.random.default_rng(3).normal(0, 0.1, 3000).astype(np.float32)
STEREO = np.stack([SIGNAL, SIGNAL[::-1] / 2], 1)
FLOATS = ("<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "g")
INTEGERS = {"i1": 2.0**7, "<i2": 2.0**15, ">i2": 2.0**15, "<i4": 2.0**31, ">i4": 2.0**31, "u1": 2.0**7}


@cache
def clean():
    return rtdenoise.denoise(SIGNAL, 16000)


@pytest.mark.parametrize("kind", FLOATS)
def test_floats_of_every_width_and_order_come_out_as_they_went_in(kind):
    out = rtdenoise.denoise(SIGNAL.astype(kind), 16000)
    assert out.dtype == np.dtype(kind)
    np.testing.assert_allclose(out.astype(float), clean(), atol=2e-3 if "f2" in kind else 1e-6)


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_have_the_scale_of_their_type(kind):
    scale, middle = INTEGERS[kind], 128 if kind == "u1" else 0
    integers = np.rint(SIGNAL.astype(float) * scale * 0.9 + middle).astype(kind)
    out = rtdenoise.denoise(integers, 16000)
    assert out.dtype == np.dtype(kind)
    expected = rtdenoise.denoise(((integers.astype(float) - middle) / scale).astype(np.float32), 16000)
    np.testing.assert_allclose((out.astype(float) - middle) / scale, expected, atol=0.51 / min(scale, 2**23))


@given(
    kind=st.sampled_from(sorted(INTEGERS)),
    value=st.one_of(st.integers(-(2**31), 2**31 - 1), st.sampled_from([0, 127, 128, 255, -128, -32768, 32767])),
)
def test_integers_survive_the_way_there_and_back(kind, value):
    limits = np.iinfo(kind)
    samples = np.array([min(max(value, limits.min), limits.max)], kind)
    back = from_float32(to_float32(samples), samples.dtype)
    assert back.dtype == samples.dtype
    assert abs(int(back[0]) - int(samples[0])) <= (128 if samples.dtype.itemsize == 4 else 0)  # float32 has 24 bits


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u1"])
def test_integers_are_limited_not_wrapped(kind):
    limits = np.iinfo(kind)
    assert_array_equal(from_float32(np.array([3, -3], np.float32), np.dtype(kind)), [limits.max, limits.min])


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        (np.int64, r"nobody says what its full scale is: for 16-bit values give .astype\(np.int16\)"),
        (np.uint16, "subtract the middle"),
        (np.uint32, "subtract the middle"),
        (bool, "True and False are no samples"),
        (np.complex64, "the signal itself, not its spectrum"),
        (object, r"convert it to float32; a list of pieces is joined by np.concatenate"),
        ("S4", "convert it to float32"),
        ("M8[s]", "convert it to float32"),
    ],
)
@pytest.mark.parametrize("call", ["denoise", "process"])
def test_what_has_no_scale_is_refused_with_a_remedy(dtype, remedy, call):
    signal = np.zeros(5, dtype)
    with pytest.raises(SignalError, match=f"dtype .* cannot be read as sound .*{remedy}.*give float16"):
        _call(call, signal)


def _call(call: str, signal: object) -> np.ndarray:
    if call == "denoise":
        return rtdenoise.denoise(signal, 16000)
    return rtdenoise.stream(sample_rate=16000).process(signal)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("noisy.wav", "not the path 'noisy.wav'; rtdenoise.denoise_file reads and writes files"),
        (Path("noisy.wav"), "not the path 'noisy.wav'; rtdenoise.denoise_file"),
        (b"\0\0", r"not bytes; for 16-bit samples give np.frombuffer\(data, '<i2'\)"),
        (bytearray(4), "not bytearray; for 16-bit"),
        (memoryview(b"\0\0"), "not memoryview; for 16-bit"),
        (None, "an array of samples, not None"),
        (io.BytesIO(b""), r"not an open file \(_io.BytesIO\); rtdenoise.denoise_file takes its path"),
        ((SIGNAL, 16000), r"give the rate first, \(16000, samples\), or the samples alone"),
        ((16000, (16000, SIGNAL)), "cannot be read as an array"),
        ([[1.0, 2.0], [3.0]], "type list cannot be read as an array .*np.concatenate"),
        ([1, 2, 3], "dtype int64 cannot be read"),
        (3, r"not one number \(3\)"),
        (np.float32(3), "not one number"),
        ({"a": 1}, "dtype object cannot be read"),
        ((x for x in [1.0]), "dtype object cannot be read"),
        (np.ma.masked_greater(SIGNAL, 0.1), r"masked samples: say what they are, for example signal.filled\(0\)"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("call", ["denoise", "process"])
def test_what_is_no_array_is_named(signal, message, call):
    with pytest.raises(SignalError, match=message) as caught:
        _call(call, signal)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_viewed_says_why_in_one_line():
    class OnAnotherDevice:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse Tensor.cpu() first")

    with pytest.raises(SignalError, match=r"convert cuda:0 device type tensor to numpy.*\.cpu\(\)") as caught:
        rtdenoise.denoise(OnAnotherDevice(), 16000)
    assert "\n" not in str(caught.value)


def test_a_tensor_with_a_gradient_names_the_remedy():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert_array_equal(rtdenoise.denoise(torch.tensor(SIGNAL), 16000), clean())
    with pytest.raises(SignalError, match=r"\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        rtdenoise.denoise(torch.tensor(SIGNAL, requires_grad=True), 16000)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.tolist(),
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        np.ma.array,
        memoryview,
        lambda x: array.array("f", x),
        lambda x: np.frombuffer(x.tobytes(), np.float32),  # read-only
    ],
)
@pytest.mark.parametrize("call", ["denoise", "process"])
def test_views_and_buffers_are_read(view, call):
    found = _call(call, view(SIGNAL))
    expected = _call(call, SIGNAL)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_int16_buffers_are_int16():
    integers = (SIGNAL * 30000).astype(np.int16)
    for view in (array.array("h", integers), memoryview(integers)):
        assert_array_equal(rtdenoise.denoise(view, 16000), rtdenoise.denoise(integers, 16000))


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_changes_nothing(order):
    signal = np.array(STEREO, order=order)
    signal.flags.writeable = False
    assert_array_equal(rtdenoise.denoise(signal, 16000), rtdenoise.denoise(STEREO, 16000))


@pytest.mark.parametrize("dtype", [np.float32, ">f8", np.int16])
def test_channels_first_is_understood_and_kept(dtype):
    signal = (STEREO * (30000 if dtype == np.int16 else 1)).astype(dtype)
    out = rtdenoise.denoise(np.ascontiguousarray(signal.T), 16000)
    assert out.shape == (2, len(SIGNAL)) and out.dtype == np.dtype(dtype)
    assert_array_equal(out.T, rtdenoise.denoise(signal, 16000))
    assert_array_equal(rtdenoise.denoise(SIGNAL[np.newaxis], 16000)[0], clean())


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ((2, 16000), True),
        ((1, 65), True),
        ((64, 65), True),
        ((65, 64), False),
        ((16000, 2), False),
        ((1, 2), False),
        ((2, 2), False),
        ((2, 8), False),
        ((0, 2), False),
        ((9, 9), False),
        ((48, 2), False),
        ((5,), False),
    ],
)
def test_the_layout_that_a_shape_can_only_have(shape, first):
    assert is_channels_first(shape, None) is first


@pytest.mark.parametrize("shape", [(2, 48), (1, 9), (8, 64), (3, 20)])
def test_a_shape_that_could_be_both_asks(shape):
    with pytest.raises(SignalError, match=rf"could be {shape[1]} channels of {shape[0]} samples .*channels_first=True"):
        rtdenoise.denoise(np.zeros(shape, np.float32), 16000)
    for first in (True, False):
        assert rtdenoise.denoise(np.zeros(shape, np.float32), 16000, "bypass", channels_first=first).shape == shape


@pytest.mark.parametrize(
    ("shape", "first", "message"),
    [
        ((65, 65), None, "neither 65 nor 65 can be channels"),
        ((3000, 65), None, "neither 3000 nor 65"),
        ((3000, 2), True, "has 3000 channels with channels_first=True; 1 to 64"),
        ((2, 3000), False, "has 3000 channels with channels_first=False"),
        ((5, 0), None, "has no channels"),
        ((2, 3, 400), None, r"shape \(2, 3, 400\) cannot be read; .*one signal at a time"),
        ((2, 3, 400), True, "one signal at a time"),
    ],
)
def test_shapes_that_are_no_signal(shape, first, message):
    with pytest.raises(SignalError, match=message):
        rtdenoise.denoise(np.zeros(shape, np.float32), 16000, channels_first=first)


def test_a_stream_takes_either_layout_and_returns_it():
    expected = rtdenoise.denoise(STEREO, 16000)
    for asked in (None, True):
        stream = rtdenoise.stream(sample_rate=16000, channels=2, channels_first=asked)
        parts = [stream.process(part) for part in np.split(STEREO.T, [480, 482, 483], axis=1)]
        joined = np.concatenate([*parts, stream.flush()], axis=1)
        assert_array_equal(joined[:, stream.latency_samples :].T, expected)


def test_a_stream_does_not_change_its_layout():
    stream = rtdenoise.stream(sample_rate=16000, channels=2)
    stream.process(STEREO[:2])  # two samples of two channels: taken as documented
    with pytest.raises(SignalError, match="otherwise than the chunks before; say channels_first=True"):
        stream.process(STEREO[:480].T)
    stream.reset()
    stream.process(STEREO[:480].T)
    assert stream.process(STEREO[:2]).shape[0] == 2  # now it is (channels, n), as the chunk before
    with pytest.raises(SignalError, match="say channels_first=False"):
        stream.process(STEREO[:480])


@pytest.mark.parametrize(
    ("channels", "first", "shape", "message"),
    [
        (2, None, (5,), r"takes \(n, 2\) or \(2, n\); interleaved samples fit as chunk.reshape\(-1, 2\)"),
        (2, None, (5, 3), r"takes \(n, 2\) or \(2, n\)$"),
        (2, True, (5, 2), r"takes \(2, n\); it was made with channels_first=True"),
        (2, False, (2, 5), r"takes \(n, 2\); it was made with channels_first=False"),
        (1, None, (5, 2), r"takes \(n,\); for several channels give channels="),
        (1, None, (), "not one number"),
    ],
)
def test_chunks_that_do_not_fit(channels, first, shape, message):
    stream = rtdenoise.stream(sample_rate=16000, channels=channels, channels_first=first)
    with pytest.raises(SignalError, match=message):
        stream.process(np.zeros(shape, np.float32))


def test_a_mono_stream_takes_rows_and_columns():
    stream = rtdenoise.stream(sample_rate=16000)
    parts = [stream.process(SIGNAL[:1000]), stream.process(SIGNAL[None, 1000:2000])[0]]
    parts.append(stream.process(SIGNAL[2000:, None])[:, 0])
    joined = np.concatenate([*parts, stream.flush()[:, 0]])
    assert_array_equal(joined[stream.latency_samples :], clean())


@pytest.mark.parametrize(
    "rate",
    [float("nan"), float("inf"), -float("inf"), -16000, 0, True, "16000", None, 16000.5, 4000, 384000, 10**400, SIGNAL],
    ids=str,
)
@pytest.mark.parametrize("call", ["denoise", "stream", "build"])
def test_rates_that_cannot_be(rate, call):
    with pytest.raises(ConfigError, match=r"sample_rate=.* must be a whole number of Hz from 8000 to 192000") as caught:
        rtdenoise.denoise(SIGNAL, rate) if call == "denoise" else getattr(rtdenoise, call)(sample_rate=rate)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize(("rate", "nearest"), [(4000, 8000), (384000, 192000)])
def test_rates_beyond_the_range_name_the_remedy(rate, nearest):
    with pytest.raises(ConfigError, match=f"resample the signal first, to {nearest} Hz"):
        rtdenoise.stream(sample_rate=rate)


@pytest.mark.parametrize("rate", [16000.0, np.int32(16000), np.float32(16000), np.array(16000)])
def test_rates_of_other_types(rate):
    assert_array_equal(rtdenoise.denoise(SIGNAL, rate), clean())


@pytest.mark.parametrize("channels", [0, 65, -1, True, 2.0, None, "2", float("nan"), [2], SIGNAL], ids=str)
def test_numbers_of_channels_that_cannot_be(channels):
    with pytest.raises(ConfigError, match=r"channels=.* must be"):
        rtdenoise.stream(sample_rate=16000, channels=channels)


def test_how_channels_go_together_is_another_keyword():
    with pytest.raises(ConfigError, match=r"channels='each' must be a number; .*channel_mode='each'"):
        rtdenoise.stream(sample_rate=16000, channels="each")


def test_a_series_of_another_library_is_read_by_its_array():
    series = type("Series", (), {"__array__": lambda self, dtype=None, copy=None: SIGNAL})()
    assert_array_equal(rtdenoise.denoise(series, 16000), clean())
