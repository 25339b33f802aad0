"""Shipped networks in every engine: at full scale, until every ring has come round, and for any chunks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.layers.rings import plan_rings
from rtdenoise.methods.can.models import model_names, open_model
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.streaming import build_can
from tests.methods.can import reference
from tests.methods.can.networks import lively, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL, compiled_atol

pytest.importorskip("ai_edge_litert", reason="networks run in LiteRT")
N_HOPS = 300


@cache
def whole(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A signal that reaches full scale, and what float64 makes of all of it."""
    model = open_model(name)
    signal = lively(N_HOPS * model.spec.hop)
    signal /= np.abs(signal).max()
    return signal, reference.whole_signal(model.network(), signal)


@pytest.mark.parametrize("name", sorted(set(SPECS) & set(model_names())))
def test_a_shipped_network_is_the_one_its_name_specifies(name):
    """But for how its mask is used."""
    of_use = {"mask_power": 1.0, "gain_min_db": -60.0}
    assert replace(open_model(name).spec, **of_use) == replace(SPECS[name], **of_use)


def engines(name: str) -> list[str]:
    return ["numba", "litert", "tf"] if open_model(name).spec.domain == "spectral" else ["litert", "tf"]


@pytest.fixture(params=[(name, engine) for name in model_names() for engine in engines(name)], ids=" ".join)
def shipped(request):
    name, engine = request.param
    if engine == "tf":
        pytest.importorskip("tensorflow", reason="the TensorFlow engine is under test")
    return name, build_can(name, engine=engine)


def test_hop_by_hop_is_the_whole_signal(shipped):
    name, denoiser = shipped
    plan = plan_rings(open_model(name).spec)
    assert max(plan.lengths) < N_HOPS, "every ring came round"
    signal, expected = whole(name)
    atol = compiled_atol(open_model(name).spec) if isinstance(denoiser, CompiledCan) else CAN_EXACT_ATOL
    assert_allclose(stream(denoiser, signal), expected, rtol=0, atol=atol)


def test_chunks_of_any_length_give_the_same_samples(shipped, request):
    name, denoiser = shipped
    signal = whole(name)[0][: 60 * denoiser.hop]
    expected = stream(denoiser, signal)
    engine = request.node.callspec.id.split()[-1]
    chunks = rtdenoise.stream("CAN", sample_rate=16000, config={"can": {"model": name, "engine": engine}})
    rng, out, start = np.random.default_rng(1), [], 0
    while start < len(signal):
        stop = start + int(rng.integers(1, 4 * denoiser.hop))
        out.append(chunks.process(signal[start:stop]))
        start = stop
    found = np.concatenate(out)
    assert len(found) > 50 * denoiser.hop
    assert_array_equal(found, expected[: len(found)])
