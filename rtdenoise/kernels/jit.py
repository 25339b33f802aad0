"""Numba compilation of kernels, with one set of flags and an on-disk cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from rtdenoise.cache.numba_cache import DiskCache, name_apart

F = TypeVar("F", bound=Callable[..., Any])


def quieten_numba() -> None:
    """Keep numba's compilation log, tens of thousands of lines, out of an application's debug log.

    A level set on numba's logger by the application is respected, whether set before or after.
    """
    logger = logging.getLogger("numba")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


name_apart()
quieten_numba()


def kernel(function: F) -> F:
    """Compile `function` with the flags every real-time kernel shares.

    ``nogil`` lets a worker run alongside Python; ``error_model="numpy"`` removes the division check that prevents
    vectorisation; ``fastmath`` stays off because it lets the compiler remove our NaN guards.  Compiled code is kept on
    disk (`rtdenoise.cache`), so compilation happens only at first use after installation.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._cache = DiskCache(dispatcher.py_func)  # as numba's own enable_caching does
    return cast(F, dispatcher)


def kernel_apart(function: F) -> F:
    """Compile like `kernel` a function whose array arguments never share memory, so that its loops vectorise.

    Without this the compiler checks at every call whether they do, and gives up where there are many arrays.
    """
    dispatcher: Any = kernel(function)
    if not numba.config.DISABLE_JIT:
        dispatcher._compiler._customize_flags = _with_noalias  # numba has this flag, but no option that sets it
    return cast(F, dispatcher)


def _with_noalias(flags: Any) -> Any:
    flags.noalias = True
    return flags
