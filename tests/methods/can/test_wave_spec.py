"""The published waveform network made causal, in its full size, with weights of no special value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.methods.can.engine import LiteRtEngine
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.streaming import WaveCan
from rtdenoise.methods.can.weights import Network, rounded
from rtdenoise.streaming.rechunk import Rechunked
from tests.methods.can import reference
from tests.methods.can.networks import lively, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL

pytest.importorskip("tensorflow", reason="random networks are converted with TensorFlow")
SPEC = SPECS["germain2018-causal"]


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(3)
    c = SPEC.channels
    widths = [1, *[c] * (len(SPEC.dilations) - 1)]
    kernels = tuple(rng.normal(0, 1 / np.sqrt(3 * w), (3, w, c)).astype(np.float32) for w in widths)
    biases = tuple(rng.normal(0, 0.02, c).astype(np.float32) for _ in widths)
    last = (rng.normal(0, 1 / np.sqrt(c), (c, 1)).astype(np.float32), np.zeros(1, np.float32))
    return rounded(Network(SPEC, None, kernels, biases, last, None))


@pytest.fixture(scope="module", params=["litert", "tf"])
def denoiser(request, network):
    if request.param == "tf":
        from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

        return WaveCan(SPEC, TensorFlowEngine(network))
    pytest.importorskip("ai_edge_litert")
    from rtdenoise.lab.export.model_folder import convert_litert

    return WaveCan(SPEC, LiteRtEngine(SPEC, convert_litert(network)))


def test_size_cost_and_delay():
    assert SPEC.receptive_field == 16385 and SPEC.causal
    assert SPEC.multiplications_per_second == pytest.approx(2.56e9, rel=0.01)
    assert SPEC.latency_samples == 0 and SPEC.hop == 128  # the block alone: 8 ms


def test_rings_equal_the_whole_signal_beyond_the_receptive_field(network, denoiser):
    denoiser.reset()
    signal = lively(160 * SPEC.hop)
    assert len(signal) > SPEC.receptive_field
    assert_allclose(stream(denoiser, signal), reference.whole_signal(network, signal), atol=CAN_EXACT_ATOL)


@pytest.mark.parametrize("chunk", [37, 160, 1000])
def test_any_block_length_gives_the_same_samples(denoiser, chunk):
    denoiser.reset()
    signal = lively(20 * SPEC.hop)
    whole = stream(denoiser, signal)
    denoiser.reset()
    adapter = Rechunked(denoiser, chunk)
    n = len(signal) // chunk * chunk
    out = stream(adapter, signal[:n])
    delay = adapter.latency_samples
    assert_array_equal(out[delay:], whole[: n - delay])


def test_a_poisoned_future_does_not_reach_the_past(denoiser):
    denoiser.reset()
    signal = lively(30 * SPEC.hop)
    whole = stream(denoiser, signal)
    poisoned = signal.copy()
    poisoned[20 * SPEC.hop :] = np.nan
    denoiser.reset()
    assert_array_equal(stream(denoiser, poisoned)[: 20 * SPEC.hop], whole[: 20 * SPEC.hop])
