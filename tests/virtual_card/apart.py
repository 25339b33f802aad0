"""Keep JACK servers of two test processes apart: a folder for shared memory of this process's own.

JACK's clients meet their server through sockets in that folder that bear the client's name only.  Where two servers run
and a client of each is called "PortAudio", they take each other's: one is refused, or waits for ever.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_FOLDER = b"/dev/shm"


@cache
def own_shared_memory() -> bool:
    """Give this process, and what it starts from now on, another /dev/shm; False where it may not have one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    libc = ctypes.CDLL(None)
    return (
        libc.unshare(_CLONE_NEWNS) == 0
        and libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) == 0
        and libc.mount(b"rtdenoise", _FOLDER, b"tmpfs", 0, None) == 0
    )


def shares_memory(process: Path) -> bool:
    """Whether a process, given by its folder in /proc, has the same one as this."""
    return (process / "ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
