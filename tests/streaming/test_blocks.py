"""Blocks that do not fit a denoiser: one line, never a wrong sound and never a compiler."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import SignalError
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.rechunk import Rechunked
from tests.contract.builders import network, registered

BUILDERS = {
    "WF": lambda: registered("WF", "low", 16000),
    "WF stereo": lambda: registered("WF", "low", 16000, 2),
    "CAN": lambda: network("can-small"),
    "CAN in LiteRT": lambda: network("can-small", engine="litert"),
    "CAN over samples": lambda: network("can-wave", engine="litert"),
    "bypass": lambda: Bypass(16000, 32, channels=2),
    "each": lambda: PerChannel([Bypass(16000, 32), Bypass(16000, 32)]),
    "downmix": lambda: Downmix(Bypass(16000, 32), 2),
    "mixed": lambda: Mixed(Bypass(16000, 32), 0.5),
    "another rate": lambda: RateAdapter(Bypass(16000, 32), 48000),
    "rechunked": lambda: Rechunked(Bypass(16000, 32), 100),
}


@pytest.fixture(params=BUILDERS, scope="module")
def denoiser(request):
    return BUILDERS[request.param]()


def block_of(denoiser, dtype=np.float32):
    shape = (denoiser.hop,) if denoiser.channels == 1 else (denoiser.hop, denoiser.channels)
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(dtype)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x[:-1],
        lambda x: x[:1],
        lambda x: x[..., np.newaxis],
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.int16),
        lambda x: x.astype(">f4"),
        lambda x: x.tolist(),
        lambda x: None,
    ],
)
def test_a_wrong_block_is_one_line(denoiser, wrong):
    block = block_of(denoiser)
    for name, arguments in (("block", (wrong(block), block.copy())), ("out", (block, wrong(block)))):
        with pytest.raises(SignalError, match=f"^{name} is .*; this denoiser takes float32 of shape") as caught:
            denoiser.process(*arguments)
        assert "\n" not in str(caught.value)


def test_an_output_that_cannot_be_written_is_refused(denoiser):
    block, out = block_of(denoiser), block_of(denoiser)
    out.flags.writeable = False
    with pytest.raises(SignalError, match="out is read-only"):
        denoiser.process(block, out)


def test_odd_memory_changes_nothing(denoiser):
    """Read-only blocks and strided views are other types to a compiler, which would start in the middle of a stream."""
    block = block_of(denoiser)
    plain, odd = np.empty_like(block), np.zeros((*block.shape[:-1], 2 * block.shape[-1]), np.float32)[..., ::2]
    denoiser.reset()
    for _ in range(4):
        denoiser.process(block, plain)
    denoiser.reset()
    read_only = block.copy()
    read_only.flags.writeable = False
    signatures = _signatures(denoiser)
    for _ in range(2):
        denoiser.process(read_only, odd)
        denoiser.process(np.repeat(block, 2, axis=0)[::2], odd)
    assert_array_equal(odd, plain)
    assert _signatures(denoiser) == signatures


def _signatures(denoiser) -> int:
    return len(getattr(getattr(denoiser, "_hop", None), "signatures", ()))
