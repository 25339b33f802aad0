"""The seventh law: once constructed, a denoiser does not compile and its compiled hop does not allocate."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FIRST_CHUNKS = """
import numpy as np
from numba.core import event
import rtdenoise
from rtdenoise.cache.numba_cache import DiskCache
method, options = {method!r}, {options!r}
stream, bare = rtdenoise.stream(method, **options), rtdenoise.build(method, **options)
DiskCache.load_overload = lambda *_: None  # what would come from the disk now comes too late as well
tail = () if stream.channels == 1 else (stream.channels,)
block = np.zeros((bare.hop, *tail), np.float32)
with event.install_recorder("numba:compile") as recorder:
    for dtype in (np.float32, np.int16, np.float64):
        for n in (1, 3 * stream.hop + 1):
            stream.process(np.zeros((n, *tail), dtype))
        stream.flush()
        stream.reset()
    frozen = np.zeros((2 * stream.hop, *tail), np.float32)
    frozen.flags.writeable = False  # as np.frombuffer gives them
    stream.process(frozen)
    stream.process(np.zeros((4 * stream.hop, *tail), np.float32)[::2])
    for _ in range(3):
        bare.process(block, block)
    bare.process(block, np.empty_like(block))
    if hasattr(bare, "process_hops"):
        for n in (1, 4):
            whole = np.zeros((n * bare.hop, *tail), np.float32)
            bare.process_hops(whole, whole)
            bare.process_hops(whole, np.empty_like(whole))
    bare.reset()
assert not recorder.buffer, [str(recorded.data["dispatcher"]) for _, recorded in recorder.buffer]
"""

_LESS = {"preset": "ultra"}
_AT_16_KHZ = {"config": {"processing_rate_hz": 16000}}


def _can(**chosen: str) -> dict[str, object]:
    return {"config": {"can": {"model": "can-small", **chosen}}}


MATRIX = {
    "WF": ("WF", {"sample_rate": 16000, **_LESS}),
    "SS linked": ("SS", {"sample_rate": 16000, "channels": 2, **_LESS}),
    "SS linked at 48 kHz": ("SS", {"sample_rate": 48000, "channels": 2, "preset": "low"}),
    "WF each": ("WF", {"sample_rate": 16000, "channels": 2, **_LESS, "config": {"channel_mode": "each"}}),
    "WF downmix": ("WF", {"sample_rate": 16000, "channels": 3, **_LESS, "config": {"channel_mode": "downmix"}}),
    "WF inside 48 kHz": ("WF", {"sample_rate": 48000, **_LESS, **_AT_16_KHZ}),
    "SS inside 44.1 kHz, two channels": ("SS", {"sample_rate": 44100, "channels": 2, **_LESS, **_AT_16_KHZ}),
    "WF inside 8 kHz": ("WF", {"sample_rate": 8000, **_LESS, **_AT_16_KHZ}),
    "WF mixed": ("WF", {"sample_rate": 16000, **_LESS, "config": {"mix": 0.5}}),
    "CAN": ("CAN", {"sample_rate": 16000, **_can()}),
    "CAN at 48 kHz": ("CAN", {"sample_rate": 48000, **_can()}),
    "CAN at 44.1 kHz, two channels": ("CAN", {"sample_rate": 44100, "channels": 2, **_can()}),
    "CAN at 96 kHz, downmix": (
        "CAN",
        {"sample_rate": 96000, "channels": 2, "config": {"channel_mode": "downmix", "can": {"model": "can-small"}}},
    ),
    "CAN at 22.05 kHz, mixed": (
        "CAN",
        {"sample_rate": 22050, "config": {"mix": 0.5, "can": {"model": "can-small"}}},
    ),
    "CAN in LiteRT at 8 kHz": ("CAN", {"sample_rate": 8000, **_can(engine="litert")}),
    "CAN over samples at 48 kHz": ("CAN", {"sample_rate": 48000, "config": {"can": {"model": "germain2018-causal"}}}),
    "bypass at 48 kHz": ("bypass", {"sample_rate": 48000, "channels": 2, **_LESS}),
}


@pytest.mark.parametrize("case", MATRIX)
def test_nothing_compiles_after_construction(case):
    """In a process of its own; whatever the constructor had in the cache is of no use later."""
    method, options = MATRIX[case]
    if case in ("CAN in LiteRT at 8 kHz", "CAN over samples at 48 kHz"):
        pytest.importorskip(
            "ai_edge_litert", reason="ai-edge-litert is not installed: there is no build for this system"
        )
    script = FIRST_CHUNKS.format(method=method, options=options)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]


ALLOCATIONS = """
import numpy as np
from numba.core.runtime import _nrt_python
from tests.contract.builders import network, registered
denoisers = [registered(m, p, 16000) for m in ("WF", "SS") for p in ("quality", "balanced", "low", "ultra")]
denoisers += [registered("WF", "balanced", 16000, 2)]
denoisers += [network(name) for name in ("can-live", "can-small", "can-wave")]
_nrt_python.memsys_enable_stats()
for denoiser in denoisers:
    shape = (100 * denoiser.hop,) if denoiser.channels == 1 else (100 * denoiser.hop, denoiser.channels)
    block = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
    counts = []
    for n_hops in (1, 100):
        before = _nrt_python.memsys_get_stats_alloc()
        denoiser.process_hops(block[: n_hops * denoiser.hop], block[: n_hops * denoiser.hop])
        counts.append(_nrt_python.memsys_get_stats_alloc() - before)
    assert counts[0] == counts[1] > 0, (counts, denoiser)  # handing arrays over counts, once a call
"""


def test_compiled_hops_allocate_nothing():
    """Counted by numba's own runtime; the transform's are counted by ``benchmarks/allocations.py``."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", ALLOCATIONS], env=environment, check=True)
