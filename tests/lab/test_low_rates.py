"""Changes of a network's weights for low rates: what is trained is what the product reads, and it can learn."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch", reason="needs pip install 'rtdenoise[torch]'")
pytest.importorskip("keras", reason="needs pip install 'rtdenoise[torch]'")

from benchmarks import train_low_rates  # noqa: E402
from rtdenoise.lab.pytorch import low_rates, shipped  # noqa: E402
from rtdenoise.lab.pytorch.network import Forward  # noqa: E402
from rtdenoise.methods.can.compiled.band_end import (  # noqa: E402
    FOLD_LOW,
    SLOPE_LOW,
    band_fields,
    fill_above,
    fill_band,
)
from rtdenoise.methods.can.compiled.grid import framing_at  # noqa: E402
from rtdenoise.methods.can.layers.low_rates import load_changes  # noqa: E402
from rtdenoise.methods.can.models import models_folder, open_model  # noqa: E402
from rtdenoise.methods.can.weights import load_weights, weights_as_bytes  # noqa: E402
from tests.methods.can.networks import random_network  # noqa: E402
from tests.tolerances import TWIN_RTOL  # noqa: E402

DENSE = ["fine", "fine, complex", "complex", "no overlap"]
NAMES = [*DENSE, "banded", "banded, no gates", "beside"]
ENDS = [110, 123]
RANK = 2  # so that matrices of small networks are adapted, too


def noise(n: int = 8192) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, n)).astype(np.float32))


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_training_become_those_of_the_file_and_back(name):
    network = random_network(name)
    arrays = shipped.unfolded(network)
    with np.load(io.BytesIO(weights_as_bytes(network))) as file:
        stored = {key: file[key].astype(np.float32) for key in file.files}
    for key, array in shipped.folded(network.spec, arrays).items():
        assert_allclose(array, stored.pop(key), rtol=TWIN_RTOL, atol=1e-6, err_msg=key)
    assert not stored


@pytest.mark.parametrize("end", [90, 118])
def test_the_image_is_the_one_of_the_product(end):
    rng = np.random.default_rng(0)
    spectrum = (rng.normal(size=257) + 1j * rng.normal(size=257)).astype(np.complex64)
    source, gain = low_rates.image(end, 257)
    expected = spectrum.copy()
    fill_above(expected, end, FOLD_LOW, SLOPE_LOW)
    assert_allclose(spectrum[source] * gain, expected, rtol=1e-5)


def test_the_last_bin_at_a_low_rate_is_the_one_of_the_product():
    for name in NAMES:
        spec = random_network(name).spec
        record = np.zeros(1, np.dtype(band_fields(spec.n_bins)))
        fill_band(record, spec, framing_at(spec, 8000, spec.span))
        assert low_rates.top(spec) == record["band_top"][0] == 123


@pytest.mark.parametrize("name", ["complex", "banded"])
def test_it_begins_as_the_network_that_reads_the_image(name):
    network = random_network(name)
    adapted = low_rates.Adapted(network, RANK)
    arrays = [torch.from_numpy(a) for a in shipped.unfolded(network)]
    with torch.no_grad():
        plain = Forward(network.spec)(arrays, noise(), True)
        assert not torch.allclose(adapted(noise(), ENDS), plain, atol=1e-4)
        assert torch.equal(adapted(noise(), [256, 256]), plain)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_was_trained(name):
    network = random_network(name)
    adapted = low_rates.Adapted(network, RANK)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    content, path = weights_as_bytes(network), Path("low.npz")
    now = load_weights(content, network.spec, path, changes=load_changes(adapted.changes(), path))
    trained = [v.detach().numpy() for v in adapted.variables()]
    for key, a, b in zip(shipped.weight_names(network.spec), shipped.unfolded(now), trained, strict=True):
        assert_allclose(a, b, rtol=5e-3, atol=2e-2 if key == "first_bias" else 5e-3, err_msg=key)
    assert len(adapted.small) > 3 and any(key in adapted.left for key in "02") == (name in [*DENSE, "beside"])
    again = low_rates.Adapted(network, RANK, start=now, changes=load_changes(adapted.changes(), path)).variables()
    for a, b in zip(again, trained, strict=True):
        assert_allclose(a.detach().numpy(), b, rtol=5e-3, atol=2e-2)


def test_another_network_begins_with_the_same_changes():
    one, other = random_network("complex"), random_network("complex")
    other = replace(other, skip=2.0 * other.skip, kernels=tuple(0.5 * kernel for kernel in other.kernels))
    first, second = low_rates.Adapted(one, RANK), low_rates.Adapted(other, RANK)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    second.begin_like(first.state_dict(), one)
    changed = [[a - b for a, b in zip(x.variables(), x._base, strict=True)] for x in (first, second)]
    for a, b in zip(*changed, strict=True):
        assert torch.allclose(a, b, atol=1e-6) and a.abs().max() > 0.01


def test_trained_arrays_may_begin_as_those_of_another_network():
    network = random_network("complex")
    start = replace(network, skip=2.0 * network.skip)
    adapted = low_rates.Adapted(network, RANK, start=start)
    for a, b in zip(adapted.variables(), shipped.unfolded(start), strict=True):
        assert_array_equal(a.detach().numpy(), b)


@pytest.mark.parametrize("name", ["complex", "banded"])
def test_it_learns_and_the_network_itself_stays(name):
    network = random_network(name)
    before = [a.copy() for a in network.arrays()]
    adapted = low_rates.Adapted(network, RANK)
    optimiser = torch.optim.AdamW(adapted.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = torch.square(adapted(noise(), ENDS)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    for a, b in zip(network.arrays(), before, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["complex", "banded"])
def test_a_teacher_says_what_the_network_makes_of_it_aligned(name):
    network = random_network(name)
    arrays = [torch.from_numpy(a) for a in shipped.unfolded(network)]
    with torch.no_grad():
        expected = Forward(network.spec)(arrays, noise(), False)[:, network.spec.latency_samples :]
    taught = shipped.Teacher(network, "float32")(noise())
    assert torch.equal(taught, expected) and not taught.requires_grad
    late = network.spec.latency_samples
    assert shipped.Teacher(network, "float32")(noise()[:, :-1]).shape[1] == 8192 - network.spec.hop - late


def test_several_teachers_say_a_weighted_mean_as_long_as_the_shortest():
    heard = noise().numpy()
    mean = shipped.mean_of([(lambda noisy: noisy, 3.0), (lambda noisy: -noisy[:, :-10], 1.0)])(heard)
    assert_allclose(mean, 0.5 * heard[:, :-10], rtol=1e-6)
    assert mean.dtype == np.float32


def test_the_exponent_of_the_gain_is_stored_beside_the_changes():
    network, path = random_network("complex"), Path("low.npz")
    adapted = low_rates.Adapted(network, RANK)
    plain, other = (load_changes(adapted.changes(power), path) for power in (None, 0.5))
    assert (plain.specified(network.spec), other.specified(network.spec).mask_power) == (network.spec, 0.5)
    assert set(other.arrays) - set(plain.arrays) == {"mask_power"}


def test_changes_of_two_networks_can_be_blended(tmp_path, monkeypatch):
    folder = shutil.copytree(models_folder() / "can-ultra", tmp_path / "mine")
    before = open_model(folder).network(8000)
    monkeypatch.setattr("sys.argv", ["", "blend", str(folder), "can-live", "--shares", "1", "0", "--rank", "48"])
    train_low_rates.main()
    model = open_model(folder)
    assert model.network(8000).spec == before.spec != model.spec
    for a, b in zip(model.network(8000).arrays(), before.arrays(), strict=True):
        assert_allclose(a, b, atol=1e-2 * np.abs(b).max())  # a step of eight bits


@pytest.mark.skipif(not hasattr(torch.cpu, "get_capabilities"), reason="this PyTorch does not tell what there is")
def test_products_are_of_16_bits_only_where_the_processor_has_them():
    has = torch.cpu.get_capabilities()
    if has["architecture"] != "x86_64" or (has["avx512_bf16"] and not has["amx_bf16"]):
        pytest.skip("of these processors it is not known")
    assert shipped.fastest_dtype() == ("bfloat16" if has["amx_bf16"] else "float32")
