"""The user's stream: types, shapes, the end of a signal, the next one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.streaming.session import Stream

RNG_SIGNAL = np.random.default_rng(3).normal(0, 0.1, 5000).astype(np.float32)


@cache
def wiener():
    return rtdenoise.stream("WF", sample_rate=16000, preset="low")


@cache
def whole():
    return rtdenoise.denoise(RNG_SIGNAL, 16000, "WF", preset="low")


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 5000), max_size=30))
def test_output_does_not_depend_on_the_cuts(cuts):
    wiener().reset()
    parts = [wiener().process(part) for part in np.split(RNG_SIGNAL, sorted(cuts))]
    joined = np.concatenate([*parts, wiener().flush()])
    assert_array_equal(joined[wiener().latency_samples :], whole())


def test_output_comes_as_soon_as_a_hop_is_complete():
    stream = Stream(Bypass(16000, 64))
    assert [stream.process(np.ones(n, np.float32)).size for n in (63, 1, 128, 10, 53, 1)] == [0, 64, 128, 0, 0, 64]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_the_type_that_goes_in_comes_out(dtype):
    scale = 32767 if dtype == np.int16 else 1
    signal = (RNG_SIGNAL * scale).astype(dtype)
    stream = rtdenoise.stream("WF", sample_rate=16000)
    assert stream.process(signal).dtype == dtype
    assert stream.flush().dtype == dtype
    assert rtdenoise.denoise(signal, 16000).dtype == dtype


def test_int16_survives_the_identity_exactly():
    signal = np.arange(-32768, 32768, dtype=np.int16)
    assert_array_equal(rtdenoise.denoise(signal, 16000, "bypass"), signal)


def test_int16_is_limited_not_wrapped():
    class Louder(Bypass):
        def process(self, block, out):
            super().process(block, out)
            out *= 2

    loud = Stream(Louder(16000, 4)).process(np.array([30000, -30000, 5, -5], np.int16))
    assert_array_equal(loud, np.array([32767, -32768, 10, -10], np.int16))


def test_flush_ends_and_reset_starts_again():
    stream = rtdenoise.stream("WF", sample_rate=16000)
    first = np.concatenate([stream.process(RNG_SIGNAL), stream.flush()])
    stream.reset()
    again = np.concatenate([stream.process(RNG_SIGNAL), stream.flush()])
    assert_array_equal(first, again)
    assert first.size == RNG_SIGNAL.size + stream.latency_samples


def test_flush_of_nothing_is_only_the_latency():
    stream = rtdenoise.stream("WF", sample_rate=16000)
    assert_array_equal(stream.flush(), np.zeros(stream.latency_samples, np.float32))
    assert Stream(Bypass(16000, 64)).flush().size == 0


@pytest.mark.parametrize("n", [0, 1, 2, 127, 128, 129])
def test_short_signals_keep_their_length(n):
    assert rtdenoise.denoise(RNG_SIGNAL[:n], 16000).shape == (n,)
    assert rtdenoise.denoise(np.zeros((n, 2), np.float32), 16000).shape == (n, 2)


def test_bad_samples_count_as_zero_and_are_reported(caplog):
    bad = RNG_SIGNAL.copy()
    bad[100:110] = np.nan
    zeroed = RNG_SIGNAL.copy()
    zeroed[100:110] = 0
    assert_array_equal(rtdenoise.denoise(bad, 16000), rtdenoise.denoise(zeroed, 16000))
    assert "10 samples are NaN or infinite" in caplog.text


def test_other_shapes_are_refused():
    stream = rtdenoise.stream("WF", sample_rate=16000, channels=2)
    with pytest.raises(SignalError, match=r"shape \(5,\) does not fit this stream; it takes \(n, 2\) or \(2, n\)"):
        stream.process(np.zeros(5, np.float32))
    with pytest.raises(SignalError, match=r"shape \(5, 3\)"):
        stream.process(np.zeros((5, 3), np.float32))
    with pytest.raises(SignalError, match=r"shape \(2, 3, 4\)"):
        rtdenoise.denoise(np.zeros((2, 3, 4), np.float32), 16000)


def test_one_column_is_mono():
    column = RNG_SIGNAL[:, np.newaxis]
    assert_array_equal(rtdenoise.denoise(column, 16000)[:, 0], rtdenoise.denoise(RNG_SIGNAL, 16000))


def test_adapters_refuse_what_they_cannot_join():
    with pytest.raises(ConfigError, match="equal rate, hop and latency"):
        PerChannel([Bypass(16000, 64), Bypass(16000, 32)])
    with pytest.raises(ConfigError, match="2 or more channels"):
        Downmix(Bypass(16000, 64), 1)
    with pytest.raises(ConfigError, match="hop=0"):
        Rechunked(Bypass(16000, 64), 0)
    with pytest.raises(ConfigError, match="hop=0"):
        Bypass(16000, 0)


def test_linked_channels_share_one_gain():
    """A voice on the left only must not make the right-hand noise pump by itself: both get the same gain."""
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.02, (16000, 1)).astype(np.float32)
    both = np.repeat(noise, 2, axis=1)
    linked = rtdenoise.denoise(both, 16000, config={"channel_mode": "linked"})
    assert_array_equal(linked[:, 0], linked[:, 1])
    half = both * np.array([1.0, 0.25], np.float32)
    out = rtdenoise.denoise(half, 16000, config={"channel_mode": "linked"})
    np.testing.assert_allclose(out[:, 1], 0.25 * out[:, 0], atol=1e-6)
