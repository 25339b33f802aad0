"""Memory of a process, and allocations per hop."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.bench.cases import NATIVE, Case
from rtdenoise.typing import F32, Denoiser

Run = Callable[[int, int, Any], None]


def allocations(case: Case, denoiser: Denoiser, blocks: F32, run: Run) -> dict[str, float | None]:
    """``compiled_per_hop``: arrays allocated by compiled code; ``python_bytes_per_hop``: bytes Python retains.

    Both are 0 for a hop that may run in an audio callback; the first is None for engines without a compiled hop.
    """
    hops, out = 200, np.empty(denoiser.hop, np.float32)
    tracemalloc.start()
    for block in blocks[:20]:
        denoiser.process(block, out)
    before = tracemalloc.get_traced_memory()[0]
    for i in range(hops):
        denoiser.process(blocks[i], out)
    kept = max(0, tracemalloc.get_traced_memory()[0] - before)
    tracemalloc.stop()
    return {
        "compiled_per_hop": _compiled_allocations(run, hops) if case.engine == NATIVE else None,
        "python_bytes_per_hop": kept / hops if kept > hops else 0.0,  # below a byte per hop: overhead of the counter
    }


def _compiled_allocations(run: Run, hops: int) -> float | None:
    """Per hop, from numba's counter (NUMBA_NRT_STATS); two run lengths cancel the overhead of the call."""
    from numba.core.runtime import rtsys

    counts = []
    for factor in (1, 2):
        times = np.zeros((factor * hops, 2), np.int64)
        try:
            before = int(rtsys.get_allocation_stats().alloc)
            run(0, 0, times)
            counts.append(int(rtsys.get_allocation_stats().alloc) - before)
        except RuntimeError:  # numba's counter is off in this process
            return None
    return (counts[1] - counts[0]) / hops


def resident_mb() -> float | None:
    """Resident memory of this process now; None where the system does not report it."""
    return _status_mb("VmRSS")


def peak_mb() -> float | None:
    """Peak resident memory."""
    return _status_mb("VmHWM")


def _status_mb(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith(field + ":")), None)
    return None if found is None else int(found) / 1024
