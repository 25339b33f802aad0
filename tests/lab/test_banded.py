"""The banded network in PyTorch: causal, as late as it says, and gradients through its gated means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

torch = pytest.importorskip("torch", reason="needs pip install 'rtdenoise[torch]'")
pytest.importorskip("keras", reason="needs pip install 'rtdenoise[torch]'")

from torch.nn import functional  # noqa: E402

from rtdenoise.errors import ConfigError  # noqa: E402
from rtdenoise.lab.pytorch import operations  # noqa: E402
from rtdenoise.lab.pytorch.banded import Banded, BandedSpec, as_network, grown  # noqa: E402
from rtdenoise.lab.pytorch.network import add_frames, cut_frames  # noqa: E402
from rtdenoise.methods.can.compiled.denoiser import CompiledCan  # noqa: E402
from tests.tolerances import GRADIENT_RTOL, TWIN_RTOL  # noqa: E402

SPEC = BandedSpec(channels=8, bands=16, layers=(1, -2, 4))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Banded(SPEC).eval()


def test_no_output_depends_on_later_input(network):
    x = torch.randn(2, 40 * SPEC.hop) * 0.1
    other = x.clone()
    other[:, 20 * SPEC.hop :] += torch.randn(2, 20 * SPEC.hop)
    with torch.no_grad():
        first, second = network(x), network(other)
    assert torch.equal(first[:, : 20 * SPEC.hop], second[:, : 20 * SPEC.hop])
    assert not torch.equal(first[:, 20 * SPEC.hop :], second[:, 20 * SPEC.hop :])


def test_it_remembers_longer_than_its_convolutions_reach(network):
    x = torch.randn(1, 80 * SPEC.hop) * 0.1
    other = x.clone()
    other[:, : 2 * SPEC.hop] = 0.0
    with torch.no_grad():
        late = (network(x) - network(other))[:, -8 * SPEC.hop :]
    assert late.abs().max() > 0.0


def test_an_open_mask_gives_the_input_as_late_as_it_says(network):
    whole = Banded(SPEC).eval()
    with torch.no_grad():
        whole.output_offset[0] = 50.0
        whole.decoder.weight.zero_()
        whole.skip.zero_()
        x = torch.randn(1, 60 * SPEC.hop) * 0.1
        out = whole(x)
    late, n = SPEC.latency_samples, 20 * SPEC.hop
    assert torch.allclose(out[:, late + n : late + 2 * n], x[:, n : 2 * n], atol=1e-4)


def plainly(network, noisy):
    """What a banded network computes, in PyTorch's own convolutions, ``(batch, channels, frames, bands)``."""
    spec = network.spec
    real, imag = operations.rfft(cut_frames(noisy, spec.frame, spec.hop) * network.analysis)
    image, heights = network._inputs(real, imag)
    image = image.transpose(0, 1) * network.input_scale[:, None] + network.input_offset[:, None]
    groups = functional.leaky_relu(network.encoder(functional.pad(image, (2, 1, 0, 0))), 0.2)
    rows = torch.matmul(groups, network.down)
    for layer in zip(network.convolutions, network.places, network.points, network.mixers, strict=True):
        rows = plain_layer(*layer, rows)
    merged = torch.cat([torch.matmul(rows, network.up), groups], 1)
    wide = network.decoder(functional.leaky_relu(network.merge(merged), 0.2))
    batch, _, frames, n = wide.shape
    halves = wide.view(batch, 3, 2, 4, frames, n).permute(0, 1, 2, 4, 5, 3).reshape(batch, 3, 2, frames, 4 * n)
    below, above = functional.pad(halves[:, :, 0], (0, 4)), functional.pad(halves[:, :, 1], (4, 0))
    out = (below + above)[..., :257] + network.output_offset[:, None]
    real, imag = network._masked(real, imag, out, heights)
    cut = operations.irfft((real, imag), spec.frame)[..., spec.frame - spec.span :]
    return add_frames(cut * network.synthesis, spec.hop)


def plain_layer(convolution, place, point, mixer, rows):
    found = convolution(functional.pad(rows, (0, 0, 2 * convolution.dilation[0], 0)))
    if found.shape[1] == rows.shape[1]:
        rows = rows + 0.3 * functional.leaky_relu(found + place, 0.2)
    else:
        values, gates = found.chunk(2, 1)
        values, keep = functional.leaky_relu(values + place, 0.2), torch.sigmoid(gates)
        means, mean = [], torch.zeros_like(values[:, :, 0])
        for t in range(values.shape[2]):
            mean = keep[:, :, t] * mean + (1 - keep[:, :, t]) * values[:, :, t]
            means.append(mean)
        rows = rows + 0.3 * torch.stack(means, 2)
    return rows + 0.3 * functional.leaky_relu(torch.matmul(point(rows), mixer), 0.2)


@pytest.mark.parametrize("n_frames", [1, 3, 42])
def test_outputs_and_gradients_are_those_of_plain_convolutions(n_frames):
    torch.manual_seed(1)
    network = Banded(BandedSpec(channels=8, bands=16, layers=(1, -2, 4, -8)))
    with torch.no_grad():
        for value in network.parameters():  # none stays zero or one
            value.add_(torch.randn(value.shape), alpha=0.1)
    noisy, target = torch.randn(2, 3, n_frames * SPEC.hop).mul(0.1).unbind(0)
    found = []
    for compute in (network, lambda x: plainly(network, x)):
        network.zero_grad()
        out = compute(noisy)
        (out - target).square().mean().backward()
        found.append((out.detach(), {name: value.grad for name, value in network.named_parameters()}))
    (out, gradients), (expected, plain) = found
    assert torch.linalg.norm(out - expected) <= TWIN_RTOL * torch.linalg.norm(expected)
    for name, gradient in plain.items():
        assert torch.linalg.norm(gradients[name] - gradient) <= GRADIENT_RTOL * torch.linalg.norm(gradient), name


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


def test_compiled_code_runs_the_trained_weights():
    torch.manual_seed(3)
    trained = Banded(BandedSpec(channels=16, bands=16, layers=(1, -2, 4))).eval()
    with torch.no_grad():
        for name, value in trained.named_parameters():
            if name.startswith(("places", "input", "output", "decoder")) or name.endswith("bias"):
                value.add_(0.1 * torch.randn_like(value))
            value.copy_(value.half().float())
    noisy = 0.1 * torch.randn(1, 80 * SPEC.hop)
    with torch.no_grad():
        expected = trained(noisy)[0].numpy()
    network = as_network(trained, "trained", 1.0)
    found = np.empty_like(expected)
    CompiledCan(network).process_hops(noisy[0].numpy(), found)
    assert np.abs(expected).max() > 0.05
    assert_allclose(found, expected, atol=5e-4)  # products of two 16-bit numbers are rounded to 16 bits


@pytest.mark.parametrize(
    "change", [{"channels": 12}, {"layers": (1, -2, 4, 8, -1)}, {"channels": 16, "layers": (1, -2, 4, 1)}]
)
def test_a_network_that_has_grown_gives_the_same_and_learns_with_what_is_new(network, change):
    bigger = grown(network, replace(SPEC, **change))
    noisy = 0.1 * torch.randn(1, 50 * SPEC.hop)
    with torch.no_grad():
        expected = network(noisy)
    found = bigger(noisy)
    assert torch.allclose(found, expected, atol=1e-6)
    optimiser = torch.optim.SGD(bigger.parameters(), lr=0.1)
    for _ in range(2):  # what is new is heard after the first step, and learns in the second
        optimiser.zero_grad()
        (bigger(noisy) ** 2).sum().backward()
        optimiser.step()
    if "channels" in change:
        assert bigger.encoder.weight.grad[SPEC.channels :].abs().max() > 0.0
    if "layers" in change:
        assert bigger.convolutions[3].weight.grad.abs().max() > 0.0


@pytest.mark.parametrize(
    "change", [{"channels": 4}, {"bands": 32}, {"layers": (1, 2, 4)}, {"layers": (1, -2)}, {"hop": 64}]
)
def test_what_does_not_grow_is_refused(network, change):
    with pytest.raises(ConfigError, match="does not grow from"):
        grown(network, replace(SPEC, **change))
