"""Request real-time priority and locked memory from the system, and report what it granted."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass

from rtdenoise.child.lines import message

PRIORITY_AUDIO = 70
PRIORITY_ENGINE = 65
_RTKIT_PRIORITY = 15
_RTKIT_CPU_MICROSECONDS = 200_000
_MCL_CURRENT_FUTURE_ON_FAULT = 7  # untouched pages (most of the region) take no memory
_LIMITS = "/etc/security/limits.d/audio.conf, be in the group audio, and log in again"
HOW_PRIORITY = f"install rtkit, or add `@audio - rtprio 80` to {_LIMITS}"
HOW_MEMORY = f"add `@audio - memlock unlimited` to {_LIMITS}"


@message
@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One request: its name, whether it was granted, and how, or how to obtain it."""

    name: str
    granted: bool
    detail: str


def request_priority(thread: int, priority: int) -> Grant:
    """Real-time priority for a thread of this process.

    Parameters
    ----------
    thread : int
        The system's thread ID; 0 is the caller.
    priority : int
        1 to 99; higher runs first.
    """
    name = "real-time priority"
    if not hasattr(os, "sched_setscheduler"):
        return Grant(name=name, granted=True, detail="left to the sound system's own threads")
    with suppress(OSError):
        if os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK in (os.SCHED_FIFO, os.SCHED_RR):
            return Grant(name=name, granted=True, detail="the sound server's threads have it")
    try:
        os.sched_setscheduler(thread, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError:
        return _ask_rtkit(name, thread)
    except OSError as error:
        return Grant(name=name, granted=False, detail=str(error.strerror))
    return Grant(name=name, granted=True, detail=f"SCHED_FIFO {priority}")


def _ask_rtkit(name: str, thread: int) -> Grant:
    """The desktop's service that grants real-time priority to ordinary users."""
    busctl = shutil.which("busctl")
    if busctl:
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_RTTIME, (_RTKIT_CPU_MICROSECONDS, _RTKIT_CPU_MICROSECONDS))
        target = ["org.freedesktop.RealtimeKit1", "/org/freedesktop/RealtimeKit1", "org.freedesktop.RealtimeKit1"]
        call = ["MakeThreadRealtimeWithPID", "ttu", str(os.getpid()), str(thread or os.getpid()), str(_RTKIT_PRIORITY)]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([busctl, "--system", "call", *target, *call], check=True, capture_output=True, timeout=2.0)
            return Grant(name=name, granted=True, detail=f"rtkit, priority {_RTKIT_PRIORITY}")
    return Grant(name=name, granted=False, detail=HOW_PRIORITY)


def lock_memory() -> Grant:
    """Keep this process's memory from being swapped out."""
    name = "memory lock"
    if sys.platform != "linux":
        return Grant(name=name, granted=False, detail="not offered by this system")
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_MCL_CURRENT_FUTURE_ON_FAULT) == 0:
        return Grant(name=name, granted=True, detail="all of it")
    return Grant(name=name, granted=False, detail=f"{os.strerror(ctypes.get_errno())}; {HOW_MEMORY}")


def unlock_memory() -> None:
    """Undo `lock_memory`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).munlockall()


def freeze_garbage() -> Grant:
    """Disable garbage collection from now on, and exempt existing objects for good."""
    gc.collect()
    gc.freeze()
    gc.disable()
    return Grant(name="garbage collection", granted=True, detail="off")


def end_with_parent() -> None:
    """On Linux, end this process when its parent ends, for whatever reason; elsewhere the closed pipe does."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
