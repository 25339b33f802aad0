"""The banded network in PyTorch: causal, as late as it says, and gradients through its gated means."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'rtdenoise[torch]'")
pytest.importorskip("keras", reason="needs pip install 'rtdenoise[torch]'")

from rtdenoise.lab.pytorch.banded import Banded, BandedSpec, gated_mean  # noqa: E402

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


def test_the_gradient_of_a_gated_mean_is_that_of_the_recursion():
    torch.manual_seed(0)
    values = torch.randn(2, 3, 7, 4, dtype=torch.float64, requires_grad=True)
    keep = torch.rand(2, 3, 7, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(gated_mean, (values, keep))
    expected, mean = [], torch.zeros(2, 3, 4, dtype=torch.float64)
    for t in range(7):
        mean = keep[:, :, t] * mean + (1 - keep[:, :, t]) * values[:, :, t]
        expected.append(mean)
    assert torch.allclose(gated_mean(values, keep), torch.stack(expected, 2))
