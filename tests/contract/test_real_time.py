"""The seventh law: once constructed, a denoiser does not compile and its compiled hop does not allocate."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FIRST_BLOCK = """
import numpy as np
from numba.core import event
from tests.contract.builders import network, registered
denoiser = {denoiser}
shape = (denoiser.hop,) if denoiser.channels == 1 else (denoiser.hop, denoiser.channels)
block = np.zeros((4 * shape[0], *shape[1:]), np.float32)
with event.install_recorder("numba:compile") as recorder:
    denoiser.process(block[: denoiser.hop], block[: denoiser.hop])
    denoiser.process_hops(block, block)
    denoiser.reset()
assert not recorder.buffer, recorder.buffer
"""


@pytest.mark.parametrize(
    "denoiser", ['registered("WF", "low", 16000, 1)', 'registered("SS", "low", 48000, 2)', 'network("can-live")']
)
def test_first_block_does_not_compile(tmp_path, denoiser):
    """In a fresh process with an empty cache: other tests have compiled ours already."""
    script = FIRST_BLOCK.format(denoiser=denoiser)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


ALLOCATIONS = """
import numpy as np
from numba.core.runtime import rtsys
from tests.contract.builders import network, registered
denoisers = [registered(m, p, 16000) for m in ("WF", "SS") for p in ("quality", "balanced", "low", "ultra")]
denoisers += [registered("WF", "balanced", 16000, 2)]
denoisers += [network(name) for name in ("can-live", "can-small", "can-wave")]
for denoiser in denoisers:
    shape = (100 * denoiser.hop,) if denoiser.channels == 1 else (100 * denoiser.hop, denoiser.channels)
    block = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
    counts = []
    for n_hops in (1, 100):
        before = rtsys.get_allocation_stats().alloc
        denoiser.process_hops(block[: n_hops * denoiser.hop], block[: n_hops * denoiser.hop])
        counts.append(rtsys.get_allocation_stats().alloc - before)
    assert counts[0] == counts[1], (counts, denoiser)  # handing arrays over counts, once a call
"""


def test_compiled_hops_allocate_nothing():
    """Counted by numba's own runtime; the transform's are counted by ``benchmarks/allocations.py``."""
    environment = os.environ | {"NUMBA_NRT_STATS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", ALLOCATIONS], env=environment, check=True)
