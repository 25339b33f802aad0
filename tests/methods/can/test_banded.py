"""Layers whose weights all bands share, alone and beside a stack, compiled: their twin, and the laws of a stream."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.grid import framing_at
from rtdenoise.methods.can.compiled.many import CompiledStreams
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.models import SPEC, WEIGHTS, open_model, write_files
from rtdenoise.methods.can.spec import load_spec, spec_from_mapping
from rtdenoise.methods.can.streaming import build_can
from rtdenoise.methods.can.weights import weights_as_bytes
from tests.methods.can import reference
from tests.methods.can.networks import ALL, BANDED, BESIDE, lively, network_with_head, random_network, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL, compiled_atol

RATE = 16000


@pytest.fixture(params=sorted(BANDED | BESIDE))
def network(request):
    return random_network(request.param)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_the_output_is_that_of_the_twin(network, rate):
    denoiser = CompiledCan(network, sample_rate=rate)
    signal = lively(60 * denoiser.hop)
    expected = reference.whole_signal(network, signal, framing_at(network.spec, rate, network.spec.span))
    found = stream(denoiser, signal)
    assert_allclose(found, expected, atol=compiled_atol(network.spec))
    assert np.abs(found - signal).max() > 0.01
    denoiser.reset()
    assert_array_equal(stream(denoiser, signal), found)


def test_a_head_reads_the_rows_of_all_bands():
    network = network_with_head("banded")
    denoiser = CompiledCan(network, sample_rate=48000)
    signal = lively(40 * denoiser.hop)
    expected = reference.whole_signal(network, signal, framing_at(network.spec, 48000, network.spec.span))
    assert_allclose(stream(denoiser, signal), expected, atol=CAN_EXACT_ATOL)


def test_many_hops_and_many_streams_give_the_same_bits(network):
    denoiser = CompiledCan(network)
    signals = np.stack([lively(23 * denoiser.hop, seed) for seed in range(5)])
    expected = []
    for signal in signals:
        denoiser.reset()
        expected.append(stream(denoiser, signal))
        found = np.empty_like(signal)
        denoiser.reset()
        denoiser.process_hops(signal, found)
        assert_array_equal(found, expected[-1])
    streams = CompiledStreams(network, len(signals))
    outs = np.empty_like(signals)
    for start in range(0, signals.shape[1], denoiser.hop):
        block = np.empty((len(signals), denoiser.hop), np.float32)
        streams.process(np.ascontiguousarray(signals[:, start : start + denoiser.hop]), block)
        outs[:, start : start + denoiser.hop] = block
    assert_array_equal(outs, np.stack(expected))


def test_each_output_depends_on_what_came_before_and_not_on_more(network):
    """Rings and gated means: a change long ago is heard, one in the future is not."""
    denoiser = CompiledCan(network)
    hop = denoiser.hop
    signal = lively(30 * hop)
    first = stream(denoiser, signal)
    other = signal.copy()
    other[20 * hop :] *= 0.5
    denoiser.reset()
    changed = stream(denoiser, other)
    assert_array_equal(changed[: 20 * hop], first[: 20 * hop])
    assert np.abs(changed[20 * hop :] - first[20 * hop :]).max() > 1e-4
    assert plan_rings(network.spec).n_slots == sum((network.spec.kernel - 1) * d for d in network.spec.dilations)


def test_a_model_folder_gives_the_network_back(network, tmp_path):
    write_files(tmp_path, {SPEC: network.spec.as_json().encode(), WEIGHTS: weights_as_bytes(network)})
    model = open_model(tmp_path)
    assert load_spec(tmp_path / SPEC) == network.spec
    for array, expected in zip(model.network().arrays(), network.arrays(), strict=True):
        assert_array_equal(array, expected)
    signal = lively(10 * network.spec.hop)
    assert_array_equal(stream(build_can(tmp_path), signal), stream(CompiledCan(network), signal))
    for choice, missing in (({"engine": "litert"}, "no model.tflite.*'numba'"), ({"precision": "int8"}, "float only")):
        with pytest.raises(ModelError, match=missing):
            build_can(tmp_path, **choice)
    write_files(tmp_path, {SPEC: network.spec.as_json().encode(), WEIGHTS: weights_as_bytes(random_network("complex"))})
    with pytest.raises(ModelError, match="does not fit the specification"):
        open_model(tmp_path).network()


def test_layers_beside_a_stack_are_heard():
    """Without them, and with all of the stack's outputs kept, it is the stack's network."""
    network = random_network("beside")
    alone = replace(network, spec=replace(network.spec, beside=None), share=None, beside=None)
    none = {"decoder", "output_offset"}
    silent = {n: a * 0 if n in none else a for n, a in network.beside.banded.arrays().items()}
    beside = replace(network.beside, banded=replace(network.beside.banded, **silent), skip=network.beside.skip * 0)
    signal = lively(40 * network.spec.hop)
    expected = stream(CompiledCan(alone), signal)
    nothing = replace(network, share=np.ones_like(network.share), beside=beside)
    assert_array_equal(stream(CompiledCan(nothing), signal), expected)
    assert np.abs(stream(CompiledCan(network), signal) - expected).max() > 0.01
    for part in (replace(network, share=np.ones_like(network.share)), replace(network, beside=beside)):
        assert np.abs(stream(CompiledCan(part), signal) - stream(CompiledCan(network), signal)).max() > 1e-3


def test_speech_presence_is_told_from_what_both_found():
    """The gain of the record is the one that was applied, but for the layers after the stack."""
    network = random_network("beside, no overlap")
    denoiser = CompiledCan(network)
    signal = lively(30 * denoiser.hop)
    stream(denoiser, signal)
    found, kept = denoiser.presence_features(), denoiser._stream[0]["gain"]
    weights, state = denoiser._weights[0], denoiser._stream[0]
    newest, n = state["newest"], kept.size
    heights = state["heights"][newest]
    logits = state["outputs"][newest, :n] + (heights * network.skip).sum(0)
    logits = network.share[:n] * logits + state["banded_outputs"][newest, :n] + (heights * network.beside.skip).sum(0)
    expected = np.maximum((1 / (1 + np.exp(-logits))) ** weights["mask_power"], state["gain_min"])
    assert_allclose(kept, expected, rtol=1e-3)
    with_share = replace(network, share=np.zeros_like(network.share))
    other = CompiledCan(with_share)
    stream(other, signal)
    assert not np.allclose(other.presence_features(), found)


def test_the_cost_of_both_is_the_sum():
    spec = BESIDE["beside"]
    alone = replace(spec, beside=None)
    assert alone.apart is None and spec.apart.width == 8 * 16
    both = alone.multiplications_per_second + spec.apart.multiplications_per_second
    assert spec.multiplications_per_second == both


LAYERS = {"channels": 16, "bands": 8, "dilations": [1]}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("banded", {"bands": 0}, "of layers over bands"),
        ("banded", {"bands": 6}, "multiples of 4, 16, 32"),
        ("banded", {"channels": 24}, "multiples of 4, 16, 32"),
        ("banded", {"bands": -4}, "bands=-4"),
        ("banded", {"mask": "magnitude"}, "needs domain='spectral', mask='complex'"),
        ("banded", {"residual": False}, "residual=True"),
        ("banded", {"gates": [3]}, "must be layers from 0 to 2, in order"),
        ("banded", {"gates": [1, 0]}, "must be layers from 0 to 2, in order"),
        ("banded", {"gates": ["a"]}, "must be whole numbers"),
        ("banded", {"beside": LAYERS}, "beside needs a dense stack"),
        ("beside", {"beside": 3}, "beside must be a mapping of keys to values, not 3"),
        ("beside", {"beside": {"channels": 16, "bands": 8}}, r"beside: dilations=\(\) must be one or more"),
        ("beside", {"beside": {"bands": 8, "dilations": [1]}}, "incomplete .* 'channels'"),
        ("beside", {"beside": LAYERS | {"bands": 0}}, "beside: bands=0 must be at least 1"),
        ("beside", {"beside": LAYERS | {"bands": 6}}, "beside: bands=6, channels=16"),
        ("beside", {"beside": LAYERS | {"dilations": ["a"]}}, "must be whole numbers"),
        ("beside", {"beside": LAYERS | {"gates": [1]}}, "beside: gates=.* must be layers from 0 to 0"),
        (
            "beside",
            {"beside": LAYERS | {"depth": 1}},
            "unknown key 'depth' in beside; known are channels, bands, dilations, gates",
        ),
        ("beside", {"mean_rows": 2}, "beside needs a dense stack: .* mean_rows=1"),
        ("beside", {"mask": "magnitude"}, "beside needs a dense stack"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name, change, message):
    values = json.loads(ALL[name].as_json())
    with pytest.raises(ConfigError, match=message) as error:
        spec_from_mapping(values | change)
    assert "\n" not in str(error.value)


def test_the_cost_is_that_of_the_products():
    spec = replace(BANDED["banded"], channels=32, bands=32, dilations=(1, 2, 4, 8), gates=(1, 3))
    entry, down, up = 64 * 40 * 32, 32 * 64 * 32, 64 * 32 * 32
    layers = 6 * 32 * 96 * 32 + 4 * (32 * 32 * 32 + 32 * 32 * 32)
    leave = 64 * 64 * 32 + 64 * 96 * 24
    assert spec.multiplications_per_second == (entry + down + up + layers + leave) * 125
