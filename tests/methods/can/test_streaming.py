"""Whole signal == hop by hop, for every engine; and the laws of a Denoiser, for small networks of every kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import SignalError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.engine import LiteRtEngine
from rtdenoise.methods.can.streaming import SpectralCan, WaveCan
from rtdenoise.streaming.rechunk import Rechunked
from tests.methods.can import reference
from tests.methods.can.networks import ALL, lively, random_network, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL, compiled_atol

pytest.importorskip("tensorflow", reason="random networks are converted with TensorFlow")
pytest.importorskip("ai_edge_litert", reason="the LiteRT engine is under test")


RUN = [(n, e) for n in ALL for e in ("numba", "litert", "tf") if e != "numba" or ALL[n].domain == "spectral"]


@pytest.fixture(scope="module", params=RUN, ids=" ".join)
def shared(request):
    name, kind = request.param
    network = random_network(name)
    if kind == "numba":
        return CompiledCan(network), network
    if kind == "tf":
        from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

        engine = TensorFlowEngine(network)
    else:
        from rtdenoise.lab.export.model_folder import convert_litert

        engine = LiteRtEngine(network.spec, convert_litert(network))
    return (SpectralCan if network.spec.domain == "spectral" else WaveCan)(network.spec, engine), network


@pytest.fixture
def denoiser(shared):
    shared[0].reset()
    return shared[0]


def test_hop_by_hop_equals_the_whole_signal_in_float64(shared, denoiser):
    network = shared[1]
    signal = lively(60 * denoiser.hop)
    atol = compiled_atol(network.spec) if isinstance(denoiser, CompiledCan) else CAN_EXACT_ATOL
    assert_allclose(stream(denoiser, signal), reference.whole_signal(network, signal), atol=atol)


def test_causality_a_poisoned_future_does_not_reach_the_past(denoiser):
    signal = lively(40 * denoiser.hop)
    whole = stream(denoiser, signal)
    known = 20 * denoiser.hop
    poisoned = signal.copy()
    poisoned[known:] = np.nan
    denoiser.reset()
    assert_array_equal(stream(denoiser, poisoned)[:known], whole[:known])


def test_reset_forgets_everything_even_nan(denoiser):
    signal = lively(40 * denoiser.hop)
    first = stream(denoiser, signal)
    stream(denoiser, np.full(20 * denoiser.hop, np.nan, np.float32))
    denoiser.reset()
    assert_array_equal(stream(denoiser, signal), first)


def test_out_may_be_the_block(denoiser):
    signal = lively(20 * denoiser.hop)
    expected = stream(denoiser, signal)
    denoiser.reset()
    inplace = signal.copy()
    for start in range(0, len(signal), denoiser.hop):
        part = inplace[start : start + denoiser.hop]
        denoiser.process(part, part)
    assert_array_equal(inplace, expected)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 1e-42, np.nan, np.inf, 3e38])
def test_finite_whatever_comes_in(denoiser, value):
    assert np.all(np.isfinite(stream(denoiser, np.full(30 * denoiser.hop, value, np.float32))))


def test_any_cuts_give_the_same_signal(denoiser):
    signal = lively(30 * denoiser.hop)
    whole = stream(denoiser, signal)
    denoiser.reset()
    chunk = 100
    adapter = Rechunked(denoiser, chunk)
    n = len(signal) // chunk * chunk
    out = np.empty(n, np.float32)
    for start in range(0, n, chunk):
        adapter.process(signal[start : start + chunk], out[start : start + chunk])
    extra = adapter.latency_samples - denoiser.latency_samples
    assert_array_equal(out[extra:], whole[: n - extra])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["litert", "tf"])
def test_streams_computed_together_are_the_streams_alone(name, kind):
    from rtdenoise.lab.export.model_folder import convert_litert
    from rtdenoise.methods.can.many import ManyStreams
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    network = random_network(name)
    spec, n = network.spec, 3
    if kind == "tf":
        many = ManyStreams(spec, TensorFlowEngine(network, streams=n), n)
    else:
        many = ManyStreams(spec, LiteRtEngine(spec, convert_litert(network, streams=n), streams=n), n)
    signals = np.stack([lively(20 * spec.hop, seed) for seed in range(n)])
    for _ in range(2):
        out = np.zeros_like(signals)
        for start in range(0, signals.shape[1], spec.hop):
            blocks = np.ascontiguousarray(signals[:, start : start + spec.hop])
            many.process(blocks, blocks)
            out[:, start : start + spec.hop] = blocks
        for signal, one in zip(signals, out, strict=True):
            assert_allclose(one, reference.whole_signal(network, signal), atol=CAN_EXACT_ATOL)
        many.reset()


def test_streams_of_another_shape_are_refused_and_a_look_ahead_counts_as_delay():
    from rtdenoise.methods.can.many import ManyStreams
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    network = random_network("wave")
    many = ManyStreams(network.spec, TensorFlowEngine(network, streams=2), 2)
    right = np.zeros((2, network.spec.hop), np.float32)
    for wrong in (right[:1], right[:, 1:], right.astype(np.float64), right.T):
        with pytest.raises(SignalError, match=r"float32 of shape|multiple of"):
            many.process(wrong, right)
        with pytest.raises(SignalError, match=r"float32 of shape|multiple of"):
            many.process(right, wrong)
    ahead = replace(network.spec, causal=False)
    assert ManyStreams(ahead, TensorFlowEngine(network, streams=2), 2).latency_samples == ahead.lookahead_samples > 0
