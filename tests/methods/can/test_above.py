"""The head above the network's band: its file, its limits, and where it has nothing to decide."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ModelError
from rtdenoise.methods.can.compiled import shared
from rtdenoise.methods.can.compiled.above import spread
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.layers import above
from rtdenoise.methods.can.models import (
    ABOVE,
    SPEC,
    WEIGHTS,
    Model,
    models_folder,
    open_model,
    write_checksums,
    write_files,
)
from tests.methods.can import reference
from tests.methods.can.networks import lively, network_with_head, noise, random_network, stream
from tests.methods.can.tolerances import compiled_atol
from tests.tolerances import KERNEL_RTOL


@pytest.fixture
def folder(tmp_path):
    """A model of our own, with a head."""
    found = shutil.copytree(models_folder() / "can-small", tmp_path / "mine")
    spec = open_model(found).spec
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(0, 0.3, shape) for name, shape in above.shapes(spec.width).items()}
    (found / ABOVE).write_bytes(above.head_as_bytes(above.Head(**arrays)))
    write_checksums(found)
    return found


@given(n_bands=st.integers(1, 16), width=st.sampled_from([16, 32]), more=st.integers(-16, 200), seed=st.integers(0, 9))
def test_gains_are_interpolated_between_the_centres_of_bands(n_bands, width, more, seed):
    gains = np.random.default_rng(seed).uniform(0, 1, n_bands).astype(np.float32)
    bins = np.ones(max(1, n_bands * width + more), np.complex64)
    spread(gains, width, bins)
    expected = np.interp(1 + np.arange(bins.size), width * np.arange(n_bands) + width // 2, gains)
    assert_allclose(bins.real, expected, rtol=10 * KERNEL_RTOL, atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_where_the_rate_has_no_such_bins_a_head_changes_nothing(rate):
    with_head, without = (CompiledCan(make("fine"), sample_rate=rate) for make in (network_with_head, random_network))
    signal = noise(50 * with_head.hop)
    assert_array_equal(stream(with_head, signal), stream(without, signal))


def test_below_8_khz_a_head_changes_nothing_and_above_it_does():
    outs = []
    for make in (network_with_head, random_network):
        denoiser = CompiledCan(make("fine"), sample_rate=48000)
        denoiser.process(noise(denoiser.hop), np.empty(denoiser.hop, np.float32))
        outs.append(denoiser._frames[0]["spectrum"].copy())
    assert_array_equal(outs[0][:257], outs[1][:257])
    assert np.mean(outs[0][257:] != outs[1][257:]) > 0.99


@pytest.mark.parametrize("limit_db", [0.0, -12.0])
@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_the_attenuation_limit_holds_above_8_khz(rate, limit_db):
    """A head that takes all away leaves what the limit leaves."""
    network = network_with_head("fine")
    nothing = {each.name: np.zeros_like(getattr(network.above, each.name)) for each in fields(above.Head)}
    closed = above.Head(**(nothing | {"last_bias": np.full(1, -25.0, np.float32)}))
    denoiser = CompiledCan(replace(network, above=closed), limit_db, rate)
    out = stream(denoiser, noise(40 * denoiser.hop))
    assert np.all(np.isfinite(out))
    frame = denoiser._frames[0]
    masked = frame["spectrum"].copy()
    before = np.fft.rfft(frame["history"] * frame["analysis"])[257:]
    assert_allclose(np.abs(masked[257:]), 10 ** (limit_db / 20) * np.abs(before), rtol=1e-2, atol=1e-4)


def test_a_file_holds_a_head_exactly(folder):
    head = network_with_head("fine").above
    found = above.load_head(above.head_as_bytes(head), random_network("fine").spec, Path("x"))
    for each in fields(above.Head):
        assert_array_equal(getattr(found, each.name), getattr(head, each.name))


def test_a_folder_without_a_head_is_a_model_as_before(folder, monkeypatch):
    with_head = shared.packed_model(open_model(folder)).weights
    assert with_head["has_head"][0] == 1 and open_model(folder).network().above is not None
    (folder / ABOVE).unlink()
    write_checksums(folder)
    assert open_model(folder).network().above is None
    without = shared.packed_model(open_model(folder)).weights
    assert without is not with_head and without["has_head"][0] == 0
    monkeypatch.setattr(Model, "parts", None)  # files that have not changed are not read again
    assert shared.packed_model(open_model(folder)).weights is without
    assert_array_equal(without["first"], with_head["first"])


def test_another_head_behind_the_same_weights_is_another_network(folder):
    first = shared.packed_model(open_model(folder)).weights
    head = open_model(folder).network().above
    (folder / ABOVE).write_bytes(above.head_as_bytes(replace(head, last_bias=head.last_bias + 1)))
    write_checksums(folder)
    second = shared.packed_model(open_model(folder)).weights
    assert second["head_last_bias"][0] == pytest.approx(first["head_last_bias"][0] + 1, abs=1e-3)


def test_a_damaged_or_missing_head_is_refused(folder):
    content = (folder / ABOVE).read_bytes()
    (folder / ABOVE).write_bytes(b"?" + content[1:])
    with pytest.raises(ModelError, match=f"{ABOVE}: checksum differs"):
        shared.packed_model(open_model(folder))
    write_checksums(folder)
    with pytest.raises(ModelError, match=f"{ABOVE}: cannot be read as weights"):
        open_model(folder).network()
    (folder / ABOVE).unlink()
    with pytest.raises(ModelError, match=f"{ABOVE}: cannot be read"):
        shared.packed_model(open_model(folder))


def test_a_head_of_another_network_is_refused(folder):
    (folder / ABOVE).write_bytes(above.head_as_bytes(network_with_head("fine").above))
    write_checksums(folder)
    with pytest.raises(ModelError, match="does not fit the specification 'can-small'"):
        open_model(folder).network()


def test_new_weights_in_a_folder_take_the_head_of_the_old_ones_away(folder):
    contents = {name: (folder / name).read_bytes() for name in (SPEC, WEIGHTS)}
    write_files(folder, contents)
    assert not (folder / ABOVE).exists()
    assert open_model(folder).network().above is None


@pytest.mark.parametrize("name", ["can-live", "can-ultra", "can-small"])
def test_a_shipped_head_does_what_float64_does(name):
    network = open_model(name).network()
    denoiser = CompiledCan(network, sample_rate=48000)
    signal = lively(150 * denoiser.hop)
    assert network.above is not None
    expected = reference.whole_signal(network, signal, denoiser.framing)
    assert_allclose(stream(denoiser, signal), expected, rtol=0, atol=compiled_atol(network.spec))
    for each in fields(above.Head):
        values = getattr(network.above, each.name)
        assert_array_equal(values, values.astype(np.float16))
