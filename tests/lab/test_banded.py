"""The layers of banded networks in PyTorch: loops of a processor against plain operations, and networks that grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

torch = pytest.importorskip("torch", reason="needs pip install 'rtdenoise[torch]'")
pytest.importorskip("keras", reason="needs pip install 'rtdenoise[torch]'")

from rtdenoise.lab.network import banded_form  # noqa: E402
from rtdenoise.lab.pytorch import banded_on_cpu, operations  # noqa: E402
from rtdenoise.methods.can.specs import SPECS  # noqa: E402
from tests.tolerances import GRADIENT_RTOL, TWIN_RTOL  # noqa: E402

SPEC = replace(SPECS["can-small"], channels=16, bands=8, dilations=(1, 2, 4), gates=(1,))


def weights(spec, seed=0):
    """None of which is zero or one."""
    rng = np.random.default_rng(seed)
    found = banded_form.starts(spec, rng)
    return {name: (a + 0.1 * rng.standard_normal(a.shape)).astype(np.float32) for name, a in found.items()}


def rows(n_hops, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((3, n_hops, SPEC.n_inputs)).astype(np.float32))


def run(spec, arrays, heard):
    named = {name: torch.from_numpy(np.asarray(a)) for name, a in arrays.items()}
    with torch.no_grad():
        return banded_form.outputs(operations, spec, named, heard)


@pytest.mark.parametrize("n_hops", [1, 3, 42])
@pytest.mark.parametrize("gates", [(), (1,), (0, 1, 2)])
def test_loops_and_their_gradients_are_those_of_plain_operations(n_hops, gates):
    spec = replace(SPEC, gates=gates)
    heard, wanted = rows(n_hops), torch.randn(3, n_hops, spec.n_outputs)
    found = []
    for compute in (banded_on_cpu.outputs, lambda *given: banded_form.outputs(operations, *given)):
        named = {name: torch.from_numpy(a).requires_grad_() for name, a in weights(spec).items()}
        out = compute(spec, named, heard)
        gradients = torch.autograd.grad((out - wanted).square().mean(), list(named.values()))
        found.append((out.detach(), dict(zip(named, gradients, strict=True))))
    (out, gradients), (expected, plain) = found
    assert torch.linalg.norm(out - expected) <= TWIN_RTOL * torch.linalg.norm(expected)
    for name, gradient in plain.items():
        assert torch.linalg.norm(gradients[name] - gradient) <= GRADIENT_RTOL * torch.linalg.norm(gradient), name


def test_networks_with_other_constants_are_left_to_plain_operations():
    assert banded_on_cpu.fits(SPEC)
    for change in ({"kernel": 2}, {"slope": 0.1}, {"frame": 1024, "span": 512, "hop": 256}):
        assert not banded_on_cpu.fits(replace(SPEC, **change))


@pytest.mark.parametrize("n_hops", [1, 2, 37])
def test_a_gated_mean_is_the_recursion(n_hops):
    rng = np.random.default_rng(0)
    values, keep = rng.standard_normal((2, n_hops, 5)), rng.uniform(0.0, 1.0, (2, n_hops, 5))
    mean, expected = np.zeros((2, 5)), []
    for t in range(n_hops):
        mean = keep[:, t] * mean + (1.0 - keep[:, t]) * values[:, t]
        expected.append(mean)
    found = banded_form.gated_mean(operations, torch.from_numpy(values), torch.from_numpy(keep))
    np.testing.assert_allclose(found.numpy(), np.stack(expected, 1), rtol=1e-12, atol=1e-12)


def test_it_remembers_longer_than_its_convolutions_reach():
    heard = rows(SPEC.receptive_rows + 40)
    other = heard.clone()
    other[:, 0] = 0.0
    assert (run(SPEC, weights(SPEC), heard) - run(SPEC, weights(SPEC), other))[:, -1].abs().max() > 0.0


@pytest.mark.parametrize(("channels", "bands"), [(16, 0), (32, 0), (48, 0), (16, 4), (16, 12), (32, 8)])
def test_a_network_that_has_grown_gives_the_same_and_learns_with_what_is_new(channels, bands):
    bigger, former = replace(SPEC, channels=channels, bands=SPEC.bands + bands), weights(SPEC)
    skip = np.ones((2, SPEC.n_bins), np.float32)
    *grown, kept = banded_form.grown(bigger, [*former.values(), skip], np.random.default_rng(2))
    arrays = dict(zip(former, grown, strict=True))
    assert_array_equal(
        arrays["down"][SPEC.bands :], banded_form.starts(bigger, np.random.default_rng(0))["down"][:bands]
    )
    assert kept is skip and {n: a.shape for n, a in arrays.items()} == banded_form.shapes(bigger)
    expected = run(SPEC, former, rows(30))
    assert torch.allclose(run(bigger, arrays, rows(30)), expected, atol=2e-5)
    named = {name: torch.from_numpy(a).requires_grad_() for name, a in arrays.items()}
    optimiser = torch.optim.SGD(list(named.values()), lr=0.1)
    for _ in range(2):  # what is new is heard after the first step, and learns in the second
        optimiser.zero_grad()
        banded_form.outputs(operations, bigger, named, rows(30)).square().mean().backward()
        optimiser.step()
    if channels > SPEC.channels:
        assert named["entry"].grad[:, SPEC.channels :].abs().max() > 0.0
    if bands:
        assert named["down"].grad[SPEC.bands :].abs().max() > 0.0


@pytest.mark.parametrize("change", [{}, {"channels": 32}, {"bands": SPEC.bands + 4}])
def test_new_layers_add_nothing_at_first_and_learn(change):
    deeper, former = replace(SPEC, dilations=(1, 2, 4, 8, 1), gates=(1, 3), **change), weights(SPEC)
    skip = np.ones((2, SPEC.n_bins), np.float32)
    *found, kept = banded_form.grown(deeper, [*former.values(), skip], np.random.default_rng(2))
    arrays = dict(zip(banded_form.shapes(deeper), found, strict=True))
    assert kept is skip and {n: a.shape for n, a in arrays.items()} == banded_form.shapes(deeper)
    assert torch.allclose(run(deeper, arrays, rows(30)), run(SPEC, former, rows(30)), atol=2e-5)
    named = {name: torch.from_numpy(a).requires_grad_() for name, a in arrays.items()}
    optimiser = torch.optim.SGD(list(named.values()), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        banded_form.outputs(operations, deeper, named, rows(30)).square().mean().backward()
        optimiser.step()
    for name in ("values3", "gates3", "points3", "mixers3", "mixed_offsets4", "values4"):
        assert named[name].grad.abs().max() > 0.0, name


def test_arrays_of_another_kind_of_network_stay_as_they_are():
    given = [np.zeros(())] * (len(banded_form.shapes(SPEC)) + 1)
    assert all(a is b for a, b in zip(banded_form.grown(SPEC, given, np.random.default_rng(0)), given, strict=True))


@pytest.mark.parametrize(
    "change", [{"channels": 16}, {"bands": 4}, {"kernel": 2}, {"dilations": (1, 2)}, {"gates": (0, 1)}]
)
def test_what_does_not_grow_stays_as_it_is(change):
    given = [*weights(replace(SPEC, channels=32)).values(), np.ones((2, SPEC.n_bins), np.float32)]
    found = banded_form.grown(replace(SPEC, **{"channels": 64, **change}), given, np.random.default_rng(0))
    assert all(a is b for a, b in zip(found, given, strict=True))


@pytest.mark.parametrize(("length", "size"), [(12, 12), (9, 9), (10, 16), (16, 10), (1, 1)])
def test_the_gradient_of_a_transform_is_that_of_its_sums(length, size):
    torch.manual_seed(0)
    frames = torch.randn(2, length, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: operations.rfft(x, size), (frames,))


@pytest.mark.parametrize(("length", "frame", "hop"), [(64, 16, 8), (70, 16, 4), (16, 16, 8)])
def test_windowed_frames_are_those_joined_from_slices(length, frame, hop):
    torch.manual_seed(0)
    signal = torch.randn(2, length, dtype=torch.float64, requires_grad=True)
    window = torch.rand(frame, dtype=torch.float64)
    found = operations.windowed_frames(signal, window, hop)
    count = (length // hop * hop - frame) // hop + 1
    assert torch.equal(found, torch.stack([signal[:, k * hop : k * hop + frame] * window for k in range(count)], 1))
    assert torch.autograd.gradcheck(lambda x: operations.windowed_frames(x, window, hop), (signal,))
