"""The Keras form: size, causality, and equality with the stored form after folding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.lab.network.keras_network import add_frames, build_network, learnt_window
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.weights import from_keras
from tests.methods.can import reference
from tests.methods.can.networks import ALL, SMALL, lively
from tests.methods.can.tolerances import CAN_EXACT_ATOL

keras = pytest.importorskip("keras", reason="the Keras form is under test")

CAUSAL = ALL | {
    "adaptive": replace(SMALL["wave"], name="adaptive", normalisation="adaptive"),
    "residual wave": replace(SMALL["wave"], name="residual wave", residual=True),
}


def shaken(spec):
    """A network none of whose weights has a special value."""
    keras.utils.set_random_seed(4)
    model = build_network(spec)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        value = variable.numpy()
        spread = rng.normal(0, 0.05, value.shape) if "variance" not in variable.path else rng.uniform(0, 2, value.shape)
        variable.assign(value + spread.astype(np.float32))
    return model


def run(model, signal):
    return np.array(keras.ops.convert_to_numpy(model(signal[None], training=False)))[0]


@pytest.mark.parametrize("name", CAUSAL)
def test_keras_equals_the_folded_network_in_float64(name):
    spec = CAUSAL[name]
    model = shaken(spec)
    network = from_keras(replace(spec, mask_power=1.0, gain_min_db=-200.0), model)
    signal = lively(spec.hop * 40)
    expected = reference.whole_signal(network, signal)
    assert_allclose(run(model, signal), expected, atol=CAN_EXACT_ATOL * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name", CAUSAL)
def test_causality_a_changed_future_does_not_reach_the_past(name):
    spec = CAUSAL[name]
    model = shaken(spec)
    signal = lively(spec.hop * 40)
    changed = signal.copy()
    known = spec.hop * 20
    changed[known:] += 0.3
    assert_array_equal(run(model, signal)[:known], run(model, changed)[:known])
    assert not np.array_equal(run(model, signal)[known:], run(model, changed)[known:])


def test_published_network_has_the_published_size_and_looks_as_far_ahead_as_back():
    spec = SPECS["germain2018"]
    assert sum(int(np.prod(v.shape)) for v in build_network(spec).trainable_variables) == 160925
    small = replace(spec, channels=4, dilations=(1, 2, 4, 1))
    model = shaken(small)
    n, reach = 64, (small.receptive_field - 1) // 2
    plain, changed = np.zeros(n, np.float32), np.zeros(n, np.float32)
    changed[n // 2] = 1.0
    touched = np.flatnonzero(run(model, plain) != run(model, changed))
    assert (touched[0], touched[-1]) == (n // 2 - reach, n // 2 + reach)


@pytest.mark.parametrize("name", ["germain2018", "germain2018-causal"])
def test_waveform_networks_start_as_the_identity(name):
    keras.utils.set_random_seed(0)
    spec = replace(SPECS[name], channels=16, dilations=(1, 2, 4))
    model = build_network(spec)
    last = model.get_layer("output")
    last.kernel.assign(np.full((16, 1), 1 / 16, np.float32))
    signal = np.abs(lively(4096))  # the rectifier passes it
    estimate = run(model, signal)
    assert np.corrcoef(estimate, signal)[0, 1] > 0.9


def test_compute_dtype_changes_speed_not_sound():
    spec = SMALL["magnitude"]
    exact = shaken(spec)
    fast = build_network(spec, compute_dtype="bfloat16")
    for one, other in zip(fast.weights, exact.weights, strict=True):
        assert one.dtype == "float32"
        one.assign(other.numpy())
    signal = lively(spec.hop * 40)
    assert_allclose(run(fast, signal), run(exact, signal), atol=0.02 * np.abs(signal).max())


@pytest.mark.parametrize("name", ["framed", "framed 4 ms"])
def test_a_learnt_analysis_starts_as_one_that_its_synthesis_inverts(name):
    spec = replace(SMALL[name], channels=SMALL[name].frame)
    analysis, synthesis = learnt_window(spec)
    signal = lively(spec.hop * 20)
    frames = keras.ops.convert_to_tensor(reference_frames(signal, spec) @ (analysis @ synthesis))
    out = np.array(add_frames(keras, frames[None], spec.stride))[0]
    late = spec.latency_samples
    assert_allclose(out[late + spec.frame :], signal[spec.frame : -late], atol=1e-6)


def reference_frames(signal, spec):
    padded = np.concatenate([np.zeros(spec.frame - spec.stride, np.float32), signal])
    return np.stack([padded[t : t + spec.frame] for t in range(0, len(signal), spec.stride)])
