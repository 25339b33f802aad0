"""Streams in lockstep by compiled code: each is bit for bit what it would be alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ConfigError, SignalError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.many import CompiledStreams, hop_of_each
from rtdenoise.methods.can.compiled.shared import packed_model
from rtdenoise.methods.can.many import build_many
from rtdenoise.methods.can.models import open_model
from tests.methods.can.networks import ALL, lively, random_network, stream

SPECTRAL = [name for name, spec in ALL.items() if spec.domain == "spectral"]


def together(many: CompiledStreams, signals: np.ndarray) -> np.ndarray:
    out = np.zeros_like(signals)
    for start in range(0, signals.shape[1], many.hop):
        blocks = signals[:, start : start + many.hop].copy()
        many.process(blocks, blocks)
        out[:, start : start + many.hop] = blocks
    return out


@pytest.mark.parametrize("name", SPECTRAL)
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
    hop_of_each._ready.clear()  # as in a new process, which loads what is stored
    packed = packed_model(open_model("can-wave"))
    many, alone = CompiledStreams(packed, 2), CompiledCan(packed)
    signals = np.stack([lively(10 * many.hop, seed) for seed in range(2)])
    found = together(many, signals)
    for one, signal in zip(found, signals, strict=True):
        alone.reset()
        assert_array_equal(one, stream(alone, signal))


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
    for wrong in (right[:1], right[:, 1:], right.astype(np.float64), right.T):
        with pytest.raises(SignalError, match="float32 of shape"):
            many.process(wrong, right)
    apart = np.zeros((2, 2 * many.hop), np.float32)[:, ::2]
    many.process(right, apart)  # copied, since compiled code takes neighbouring samples
