"""Numba compilation of kernels, with one set of flags and an on-disk cache."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import rocket_fft  # registers its native library with numba
from numba.core.registry import cpu_target
from rocket_fft import lowlevel  # noqa: F401  # what kernels call is registered before anything is compiled
from rocket_fft._native import LIBRARY_PATH

from rtdenoise.cache.machine_code import MachineCode
from rtdenoise.cache.numba_cache import DiskCache, name_apart, object_of
from rtdenoise.kernels.compiling import eight_bits, elementary, product, sized  # noqa: F401  # as above


def quieten_numba() -> None:
    """Keep numba's compilation log, tens of thousands of lines, out of an application's debug log.

    A level set on numba's logger by the application is respected, whether set before or after.
    """
    logger = logging.getLogger("numba")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


name_apart()
quieten_numba()
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()


def dispatcher_of(function: Callable[..., Any], apart: bool) -> Any:
    """Return numba's dispatcher of a kernel; `apart`: its array arguments never share memory.

    ``nogil`` lets a worker run alongside Python; ``error_model="numpy"`` removes the division check that prevents
    vectorisation; ``fastmath`` stays off because it lets the compiler remove our NaN guards.  Compiled code is kept on
    disk (`rtdenoise.cache`), so compilation happens only at first use after installation.
    """
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = DiskCache(dispatcher.py_func)  # as numba's own enable_caching does
    if apart:
        dispatcher._compiler._customize_flags = _with_noalias  # numba has this flag, but no option that sets it
    return dispatcher


def _with_noalias(flags: Any) -> Any:
    flags.noalias = True
    return flags


def type_of(value: Any) -> Any:
    """Return the type of a dispatcher or an intrinsic function."""
    return cpu_target.typing_context.resolve_value_type(value)


def machine_code_for(dispatcher: Any, arguments: tuple[Any, ...]) -> MachineCode:
    """Compile a kernel for arguments like these, or read it from the disk; return what Python calls."""
    signature = tuple(map(numba.typeof, arguments))
    dispatcher.compile(signature)
    result = dispatcher.overloads[signature]
    environment = result.target_context.get_env_name(result.fndesc)
    return machine_code_of(result.library, result.fndesc.llvm_cpython_wrapper_name, environment)


def machine_code_of(library: Any, symbol: str, environment: str = "") -> MachineCode:
    """Return the machine code in one of numba's libraries; see `MachineCode`."""
    content, needed = object_of(library)
    return MachineCode(
        content=content,
        symbol=symbol,
        needed=needed,
        libraries=((rocket_fft.__name__, os.path.relpath(LIBRARY_PATH, Path(rocket_fft.__file__).parent)),),
        environment=environment,
    )
