"""What a network changes of its weights at low rates: its file, where it applies, and where nothing changes."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.config import load_settings
from rtdenoise.errors import ModelError
from rtdenoise.kernels.eight_bits import rounded
from rtdenoise.live_audio.callback.programs import start_of
from rtdenoise.methods.can.compiled import shared
from rtdenoise.methods.can.compiled.state import packed_weights, stream_dtype, weights_dtype
from rtdenoise.methods.can.layers.low_rates import BELOW_HZ, changes_as_bytes
from rtdenoise.methods.can.models import (
    LOW_RATES,
    SPEC,
    WEIGHTS,
    models_folder,
    open_model,
    write_checksums,
    write_files,
)
from rtdenoise.methods.can.streaming import build_can
from tests.methods.can import reference
from tests.methods.can.networks import noise, stream
from tests.methods.can.tolerances import EIGHT_BITS_ATOL


def changes() -> tuple[dict[str, np.ndarray], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Of can-wave: some arrays replaced, to some matrices products of rank 2 added."""
    rng, network = np.random.default_rng(0), open_model("can-wave").network()
    replaced = {"skip": network.skip + rng.normal(0, 0.1, network.skip.shape), "bias0": network.biases[0] * 0.5}
    matrices = {"first_kernel": network.first[0], "kernel3": network.kernels[3]}
    added = {
        name: (rng.normal(0, 0.1, (a.size // a.shape[-1], 2)), rng.normal(0, 0.1, (2, a.shape[-1])))
        for name, a in matrices.items()
    }
    return replaced, added


@pytest.fixture
def folder(tmp_path):
    """A model with such changes."""
    found = shutil.copytree(models_folder() / "can-wave", tmp_path / "mine")
    (found / LOW_RATES).write_bytes(changes_as_bytes(*changes()))
    write_checksums(found)
    return found


def test_arrays_are_replaced_and_products_added_in_16_bits(folder):
    replaced, added = changes()
    base, low = open_model(folder).network(), open_model(folder).network(8000)
    assert_array_equal(low.skip, replaced["skip"].astype(np.float16))
    assert_array_equal(low.biases[0], replaced["bias0"].astype(np.float16))
    for name, before, now in (
        ("first_kernel", base.first[0], low.first[0]),
        ("kernel3", base.kernels[3], low.kernels[3]),
    ):
        left, right = (a.astype(np.float16).astype(np.float64) for a in added[name])
        changed = (before + (left @ right).reshape(before.shape)).astype(np.float16)
        assert_array_equal(now, rounded(changed.reshape(-1, before.shape[-1])).reshape(before.shape))
        assert not np.array_equal(now, before)
    assert_array_equal(low.kernels[2], base.kernels[2])
    assert low.above is not None and low.n_weights == base.n_weights


def test_at_a_low_rate_the_output_is_that_of_the_changed_weights(folder):
    denoiser = build_can(folder, sample_rate=8000)
    signal = noise(60 * denoiser.hop)
    expected = reference.whole_signal(open_model(folder).network(8000), signal, denoiser.framing)
    assert_allclose(stream(denoiser, signal), expected, atol=EIGHT_BITS_ATOL)
    unchanged = build_can("can-wave", sample_rate=8000)
    assert np.max(np.abs(stream(unchanged, signal) - expected)) > 10 * EIGHT_BITS_ATOL


def test_the_gain_may_have_an_exponent_of_its_own(folder):
    (folder / LOW_RATES).write_bytes(changes_as_bytes({}, {}, mask_power=0.5))
    write_checksums(folder)
    model = open_model(folder)
    assert (model.network(8000).spec.mask_power, model.network(16000).spec) == (0.5, model.spec)
    for dtype in (weights_dtype, stream_dtype):  # compiled functions take both without a comparison
        assert dtype(model.network(8000).spec) is dtype(model.spec)
        for channels in range(64, 64 + 64 * 17, 64):  # more than are remembered
            dtype(replace(model.spec, channels=channels)), dtype(model.spec)
        assert dtype(model.network(8000).spec) is dtype(model.spec)
    denoiser = build_can(folder, sample_rate=8000)
    signal = noise(60 * denoiser.hop)
    found = stream(denoiser, signal)
    assert_allclose(found, reference.whole_signal(model.network(8000), signal, denoiser.framing), atol=EIGHT_BITS_ATOL)
    changed = replace(model.network(), spec=replace(model.spec, mask_power=0.5))
    assert_allclose(found, reference.whole_signal(changed, signal, denoiser.framing), atol=EIGHT_BITS_ATOL)
    assert np.max(np.abs(found - reference.whole_signal(model.network(), signal, denoiser.framing))) > 1e-3


@pytest.mark.parametrize("rate", [BELOW_HZ, 16000, 48000, None])
def test_at_other_rates_nothing_changes(folder, rate):
    with_changes, without = build_can(folder, sample_rate=rate), build_can("can-wave", sample_rate=rate)
    signal = noise(20 * without.hop)
    assert_array_equal(stream(with_changes, signal), stream(without, signal))


def test_streams_of_either_kind_share_their_weights(folder):
    model = open_model(folder)
    low = shared.packed_model(model, 8000).weights
    high = shared.packed_model(model, 16000).weights
    assert shared.packed_model(model).weights is high is shared.packed_model(model, BELOW_HZ).weights
    assert shared.packed_model(model, BELOW_HZ - 1).weights is low is not high
    (folder / LOW_RATES).unlink()
    write_checksums(folder)
    without = open_model(folder)
    assert LOW_RATES not in without.parts(8000)
    assert shared.packed_model(without, 8000).weights is shared.packed_model(without, 16000).weights


def test_the_audio_callback_and_files_run_them_too(folder):
    settings = load_settings(method="CAN", overrides={"can": {"model": str(folder)}})
    for rate in (8000, 16000):
        weights = start_of(settings, rate, 1, with_network=True).network.weights
        assert_array_equal(weights, packed_weights(open_model(folder).network(rate)))
    signal = noise(8000)
    whole = rtdenoise.denoise(signal, 8000, method="CAN", model=str(folder))
    assert not np.allclose(whole, rtdenoise.denoise(signal, 8000, method="CAN", model="can-wave"), atol=1e-3)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"kernel99": np.zeros(3)}, "does not fit the weights beside it .*kernel99"),
        ({"skip": np.zeros(3)}, "does not fit the weights beside it .*reshape"),
        ({"first_kernel.left": np.zeros((3, 2))}, "does not fit the weights beside it .*first_kernel.right"),
        ({"mask_power": np.array(-1.0)}, "mask_power=-1.0 must be"),
        ({"mask_power": np.zeros(2)}, r"mask_power=\[0.0, 0.0\] must be"),
        (None, "cannot be read as weights"),
    ],
)
def test_what_does_not_fit_or_is_damaged_is_refused_where_it_would_be_used(folder, arrays, text):
    content = b"nothing" if arrays is None else changes_as_bytes(arrays, {})
    (folder / LOW_RATES).write_bytes(content)
    with pytest.raises(ModelError, match=f"{LOW_RATES}: checksum differs"):
        build_can(folder, sample_rate=8000)
    write_checksums(folder)
    with pytest.raises(ModelError, match=f"{LOW_RATES}: {text}") as caught:
        build_can(folder, sample_rate=8000)
    assert "\n" not in str(caught.value)
    build_can(folder, sample_rate=16000)


def test_a_model_that_replaces_another_does_not_keep_its_changes(folder):
    contents = {name: (folder / name).read_bytes() for name in (SPEC, WEIGHTS)}
    write_files(folder, contents)
    assert not (folder / LOW_RATES).exists() and list(open_model(folder).parts(8000)) == [WEIGHTS]
