"""The one place where compiler flags are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from rtdenoise.kernels.cache import SharedCache, name_apart

F = TypeVar("F", bound=Callable[..., Any])

name_apart()


def kernel(function: F) -> F:
    """Compile `function` with the flags every real-time kernel shares.

    ``nogil`` lets a worker run beside Python; ``error_model="numpy"`` removes the division check that stops the loop
    vectorising; ``fastmath`` stays off because it licenses the compiler to delete our NaN guards.  Compiled code is
    kept on disk, so only the first use after an installation compiles.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    if not numba.config.DISABLE_JIT:
        keep_compiled(dispatcher)
    return cast(F, dispatcher)


def keep_compiled(dispatcher: Any) -> None:
    """Give a numba dispatcher or C callback our cache; without a writable folder it compiles in every process."""
    try:
        dispatcher._cache = SharedCache(dispatcher.py_func)  # what numba's own enable_caching does
    except RuntimeError:  # numba: no locator available
        return
