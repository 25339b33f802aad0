"""Streams in lockstep by compiled code: each is bit for bit what it would be alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.many import CompiledStreams, hops_of_each
from rtdenoise.methods.can.compiled.shared import packed_model
from rtdenoise.methods.can.many import ManyStreams, build_many
from rtdenoise.methods.can.models import open_model
from tests.methods.can.networks import lively, random_network, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL

FORMS = ("complex", "no overlap", "fine, complex", "banded")  # with arithmetic of their own in a step of many


def together(many: CompiledStreams | ManyStreams, signals: np.ndarray) -> np.ndarray:
    out = np.zeros_like(signals)
    for start in range(0, signals.shape[1], many.hop):
        blocks = signals[:, start : start + many.hop].copy()
        many.process(blocks, blocks)
        out[:, start : start + many.hop] = blocks
    return out


def aligned(many: CompiledStreams | ManyStreams, signals: np.ndarray) -> np.ndarray:
    """What comes out for whole signals, without the delay: followed by zeros, as `rtdenoise.denoise` does it."""
    n = signals.shape[1]
    zeros = many.latency_samples + -(n + many.latency_samples) % many.hop
    out = together(many, np.pad(signals, ((0, 0), (0, zeros))))
    return out[:, many.latency_samples :][:, :n]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_streams_together_are_the_streams_alone(name, n):
    network = random_network(name)
    many, alone = CompiledStreams(network, n), CompiledCan(network)
    assert (many.hop, many.sample_rate, many.latency_samples) == (alone.hop, alone.sample_rate, alone.latency_samples)
    signals = np.stack([lively(20 * many.hop, seed) for seed in range(n)])
    for _ in range(2):
        for one, signal in zip(together(many, signals), signals, strict=True):
            alone.reset()
            assert_array_equal(one, stream(alone, signal))
        many.reset()


def test_stored_code_for_one_network_is_not_used_for_one_that_listens_apart():
    """Their records have equal types, but no listening records are contiguous and several are not."""
    CompiledStreams(packed_model(open_model("can-live")), 2)
    hops_of_each._ready.clear()  # as in a new process, which loads what is stored
    packed = packed_model(open_model("can-wave"))
    many, alone = CompiledStreams(packed, 2), CompiledCan(packed)
    signals = np.stack([lively(10 * many.hop, seed) for seed in range(2)])
    found = together(many, signals)
    for one, signal in zip(found, signals, strict=True):
        alone.reset()
        assert_array_equal(one, stream(alone, signal))


@pytest.mark.parametrize("name", ["complex", "banded"])
def test_streams_come_and_go_and_have_packets_of_their_own(name):
    """Three signals in two places; each gets what it would get alone, whoever else is there."""
    network = random_network(name)
    many, alone = CompiledStreams(network, 2), CompiledCan(network)
    signals = [lively(hops * many.hop, seed) for seed, hops in enumerate((24, 9, 13))]
    expected = []
    for signal in signals:
        alone.reset()
        expected.append(stream(alone, signal))
    found, at, place = [np.zeros_like(signal) for signal in signals], [0, 0, 0], {0: 0, 1: 1}

    def serve(who, hops):
        n = hops * many.hop
        blocks = np.stack([signals[k][at[k] : at[k] + n] for k in who])
        many.process(blocks, blocks, [place[k] for k in who])
        for k, block in zip(who, blocks, strict=True):
            found[k][at[k] : at[k] + n] = block
            at[k] += n

    for who, hops in (([0, 1], 2), ([1], 1), ([1, 0], 5), ([0], 3), ([1], 1)):
        serve(who, hops)
    place[2] = place[1]  # the second one has ended
    many.reset(1)
    for who, hops in (([2], 1), ([2, 0], 7), ([0, 2], 5), ([0], 2)):
        serve(who, hops)
    assert at == [signal.size for signal in signals]
    for one, signal in zip(found, expected, strict=True):
        assert_array_equal(one, signal)


def test_all_streams_take_packets_of_several_hops():
    network = random_network("complex")
    many, signals = CompiledStreams(network, 3), np.stack([lively(24 * 64, seed) for seed in range(3)])
    signals = signals[:, : signals.shape[1] // (4 * many.hop) * 4 * many.hop]
    one_by_one = together(many, signals)
    many.reset()
    out = np.zeros_like(signals)
    for start in range(0, signals.shape[1], 4 * many.hop):
        part = slice(start, start + 4 * many.hop)
        many.process(signals[:, part], out[:, part])
    assert_array_equal(out, one_by_one)


@pytest.mark.parametrize("streams", [np.arange(8)[::4], np.arange(5, 8)[::-1], np.array([[5, 0], [3, 0]])[:, 0]])
def test_streams_are_found_wherever_their_numbers_lie(streams):
    """Stored code takes their array as contiguous; code that was compiled in this process would take it as it is."""
    CompiledStreams(random_network("complex"), 8)
    hops_of_each._ready.clear()  # as in a new process, which loads what is stored
    many, alone = CompiledStreams(random_network("complex"), 8), CompiledCan(random_network("complex"))
    signals = np.stack([lively(6 * many.hop, seed) for seed in range(8)])
    found = signals.copy()
    for n in streams:
        many.process(found[n : n + 1], found[n : n + 1], [n])  # a past of its own
    found[streams] = signals[streams][:, ::-1]
    out = found[streams]
    many.process(out, out, streams)
    for n, one in zip(streams, out, strict=True):
        alone.reset()
        stream(alone, signals[n])
        assert_array_equal(one, stream(alone, np.ascontiguousarray(signals[n, ::-1])))


def test_tensorflow_takes_packets_of_several_hops():
    pytest.importorskip("tensorflow", reason="its engine is under test")
    many = build_many(2, "can-small", engine="tf")
    signals = np.stack([lively(8 * many.hop, seed) for seed in range(2)])
    one_by_one, out = together(many, signals), np.zeros_like(signals)
    many.reset()
    for part in (slice(0, 3 * many.hop), slice(3 * many.hop, None)):
        many.process(signals[:, part], out[:, part])
    assert_array_equal(out, one_by_one)
    with pytest.raises(SignalError, match=f"float32 of shape .2, {many.hop + 1}.; give .* multiple of {many.hop}"):
        many.process(np.zeros((2, many.hop + 1), np.float32), np.zeros((2, many.hop + 1), np.float32))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_shipped_network_serves_many_at_any_rate(rate):
    packed = packed_model(open_model("can-small"))
    many, alone = CompiledStreams(packed, 2, -12.0, rate), CompiledCan(packed, -12.0, rate)
    signals = np.stack([lively(30 * many.hop, seed) for seed in range(2)])
    many.gain_min[1] = 0.5
    found = together(many, signals)
    assert_array_equal(found[0], stream(alone, signals[0]))
    alone.reset()
    alone.gain_min[0] = 0.5
    assert_array_equal(found[1], stream(alone, signals[1]))


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("model", ["can-live", "can-small"])
def test_each_of_many_is_what_denoise_gives_at_every_rate(model, rate):
    """At 8 kHz that is a network with other weights."""
    many = build_many(5, model, sample_rate=rate)
    assert many.sample_rate == rate
    signals = np.stack([lively(int(0.3 * rate), seed) for seed in range(5)])
    for found, signal in zip(aligned(many, signals), signals, strict=True):
        assert_array_equal(found, rtdenoise.denoise(signal, rate, method="CAN", model=model))


@pytest.mark.parametrize("limit_db", [0, 9.0])
def test_the_attenuation_is_limited_as_denoise_limits_it(limit_db):
    many = build_many(2, "can-small", sample_rate=48000, attenuation_limit_db=limit_db)
    signals = np.stack([lively(12000, seed) for seed in range(2)])
    for _ in range(2):
        for found, signal in zip(aligned(many, signals), signals, strict=True):
            limited = rtdenoise.denoise(signal, 48000, model="can-small", attenuation_limit_db=limit_db)
            assert_array_equal(found, limited)
            assert np.abs(limited - rtdenoise.denoise(signal, 48000, model="can-small")).max() > 0.01
        many.reset()


def test_tensorflow_limits_the_attenuation_as_compiled_code_does():
    pytest.importorskip("tensorflow", reason="its engine is under test")
    signals = np.stack([lively(3200, seed) for seed in range(2)])
    by_engine = [
        aligned(build_many(2, "can-small", sample_rate=16000, engine=engine, attenuation_limit_db=6), signals)
        for engine in ("numba", "tf")
    ]
    assert_allclose(*by_engine, atol=CAN_EXACT_ATOL)


def test_what_many_streams_cannot_do_is_one_line():
    with pytest.raises(ConfigError, match=r"^sample_rate=8000: TensorFlow runs can-small at 16000 Hz only; .*numba"):
        build_many(2, "can-small", sample_rate=8000, engine="tf")
    for rate in (0, 4000, 16000.5):
        with pytest.raises(ConfigError, match="from 8000 to 192000"):
            build_many(2, "can-small", sample_rate=rate)
    for limit_db in (-1.0, 101.0, float("nan")):
        with pytest.raises(ConfigError, match="must be from 0 to 100 dB"):
            build_many(2, "can-small", attenuation_limit_db=limit_db)
    with pytest.raises(ConfigError, match=r"germain2018 is not over spectra"):
        build_many(2, "germain2018", attenuation_limit_db=12.0)


def test_compiled_code_is_what_many_streams_are_built_of_unless_asked_for_more():
    many = build_many(2, "can-small")
    assert isinstance(many, CompiledStreams) and many.streams == 2
    for engine in ("jax", "litert"):
        with pytest.raises(ConfigError, match="auto, numba, tf"):
            build_many(2, "can-small", engine=engine)
    with pytest.raises(ConfigError, match="streams=0"):
        build_many(0, "can-small")
    with pytest.raises(ConfigError, match="device='cpu'"):
        build_many(2, "can-small", engine="numba", device="gpu")


def test_blocks_of_another_shape_are_refused():
    many = CompiledStreams(random_network("magnitude"), 2)
    right = np.zeros((2, many.hop), np.float32)
    for wrong in (right[:1], right[:, 1:], right.astype(np.float64), right.T, right[0]):
        with pytest.raises(SignalError, match=r"float32 of shape|multiple of"):
            many.process(wrong, right)
    for streams in ([0, 0], [2, 0], [-1, 0], [True, False], [0.7, 1.0], [[0], [1]], "01"):
        with pytest.raises(SignalError, match=r"must be different whole numbers from 0 to 1$"):
            many.process(right, right, streams)
    for wrong in (2, 0.5, "a"):
        with pytest.raises(SignalError, match=r"streams \[.*\] must be"):
            many.reset(wrong)
    apart = np.zeros((2, 2 * many.hop), np.float32)[:, ::2]
    many.process(right, apart)  # copied, since compiled code takes neighbouring samples
