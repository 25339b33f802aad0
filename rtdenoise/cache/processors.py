"""Processors whose compiled code this machine can run: itself, and the levels of its family that it reaches.

Source: x86-64 psABI, section 3.1.1, micro-architecture levels.
"""

from __future__ import annotations

import os
from functools import lru_cache

NAME_VARIABLE, FEATURES_VARIABLE = "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"
"""Environment variables by which numba compiles for another processor."""

_V2 = frozenset(("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3"))
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"}
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
_LEVELS = {"x86-64-v4": _V4, "x86-64-v3": _V3, "x86-64-v2": _V2}
_PORTABLE = {"x86_64": ("x86-64-v3", "x86-64-v2"), "amd64": ("x86-64-v3", "x86-64-v2")}


def portable_names(machine: str) -> tuple[str, ...]:
    """Names of the processors to compile for so that every machine of a kind runs the code; `platform.machine`."""
    return _PORTABLE.get(machine.lower(), ("generic",))


def environment(name: str) -> dict[str, str]:
    """Variables that make numba compile for a named processor."""
    return {NAME_VARIABLE: name, FEATURES_VARIABLE: ""}


def native() -> tuple[str, str, str]:
    """Triple, name and features of the processor that numba compiles for: the environment's or this one."""
    import llvmlite.binding as llvm

    name, given = os.environ.get(NAME_VARIABLE), os.environ.get(FEATURES_VARIABLE)
    flattened = llvm.get_host_cpu_features().flatten() if given is None else given
    return llvm.get_process_triple(), name or llvm.get_host_cpu_name(), flattened


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """Return what this processor has, in LLVM's words; empty if LLVM does not know it."""
    import llvmlite.binding as llvm

    try:
        return frozenset(name for name, there in llvm.get_host_cpu_features().items() if there)
    except RuntimeError:
        return frozenset()


@lru_cache(maxsize=1)
def runnable() -> tuple[str, ...]:
    """Names of portable processors whose code this machine can run, the best first.

    Empty if the environment names a processor: then that one's code is wanted and no other.
    """
    if os.environ.get(NAME_VARIABLE):
        return ()
    return (*(name for name, needed in _LEVELS.items() if needed <= features()), "generic")
