"""Run Python code as an ordinary user who was granted real-time priority: ``python -m tests.live.lowered CODE``.

Root keeps its files but loses, with its children, what lets it set any priority and ignore permissions; others have
neither anyway.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_DAC_OVERRIDE, _DAC_READ_SEARCH, _SYS_NICE = 1, 2, 23
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24  # a child of root gets back what is not dropped there, too


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in such a process, with these environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "tests.live.lowered", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        cwd=Path(__file__).parents[2],
        env=os.environ | variables,
    )


def _drop(*capabilities: int) -> None:
    words = ctypes.c_uint32 * 6
    header, data = (ctypes.c_uint32 * 2)(_VERSION_3, 0), words()
    library = ctypes.CDLL(None, use_errno=True)
    library.capget(header, data)
    for number in capabilities:
        library.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
        data[0] &= ~(1 << number)
        data[1] &= ~(1 << number)
    if library.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    import resource

    priority = int(os.environ.get("LOWERED_RTPRIO", "95"))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (priority, priority))
    _drop(_DAC_OVERRIDE, _DAC_READ_SEARCH, _SYS_NICE)
    exec(sys.argv[1])
