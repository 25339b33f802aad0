"""Cost of each system on this machine: CPU time over a whole signal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rtdenoise.evaluate.compared.systems import NOISY, WIDE_HZ, System
from rtdenoise.evaluate.scoring import enhance
from rtdenoise.typing import F32

_ROUNDS = 3


def costs(systems: Sequence[System], signal: F32) -> dict[str, dict[str, float]]:
    """``us_per_10ms`` (CPU microseconds for 10 ms of audio) and ``rtf`` of every system that can run.

    Best of three interleaved rounds after a warm-up.  The cost of a program includes its start, and reading and writing
    two files; that of RNNoise includes resampling to 48 kHz and back.

    Parameters
    ----------
    systems
    signal : (n,) float32 at 16 kHz
    """
    spent: dict[str, list[float]] = {}
    for turn in range(_ROUNDS + 1):
        for system in systems:
            if system.name == NOISY:
                continue
            seconds = _cpu_seconds(system, signal)
            if turn and seconds is not None:
                spent.setdefault(system.name, []).append(seconds)
    length = signal.size / WIDE_HZ
    return {
        name: {"us_per_10ms": 1e4 * min(values) / length, "rtf": min(values) / length} for name, values in spent.items()
    }


def _cpu_seconds(system: System, signal: F32) -> float | None:
    """CPU time of this process and the children it waited for; None if the system fails."""
    before = time.process_time() + _children_seconds()
    try:
        enhance(system, signal, WIDE_HZ)
    except Exception:  # noqa: BLE001  # any error of a peer; failures are reported with the scores
        return None
    return time.process_time() + _children_seconds() - before


def _children_seconds() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
