"""Kernels: compiled functions, which run without the compiler if their machine code is on disk."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

import numpy as np

from rtdenoise.cache import machine_code

F = TypeVar("F", bound=Callable[..., Any])

COMPILES = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
"""Whether kernels are compiled; if not, they are the Python functions that they are written as."""


class Deferred:  # pragma: no cover - the session that measures coverage has no compiler
    """Stands for an object of the compiler that kernels use, and imports it when the first kernel is compiled.

    Importing numba takes longer than denoising a file, and as much memory.
    """

    def __init__(self, module: str, name: str) -> None:
        self._where = module, name

    @functools.cached_property
    def made(self) -> Any:
        """The object itself."""
        module, name = self._where
        return getattr(import_module(module), name)

    @property
    def _numba_type_(self) -> Any:
        """Its numba type: that of the object."""
        from rtdenoise.kernels.compiling.compiler import type_of

        return type_of(self.made)


def deferred(module: str, name: str) -> Any:
    """Return a `Deferred`; kernels use it like the object itself."""
    return Deferred(module, name)


class Kernel(Deferred):  # pragma: no cover - as above
    """A compiled function, called from Python and from other kernels; has the attributes of numba's dispatcher."""

    def __init__(self, function: Callable[..., Any], apart: bool) -> None:
        functools.update_wrapper(self, function)
        self._function, self._apart = function, apart
        self._ready: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @functools.cached_property
    def made(self) -> Any:
        """The dispatcher of numba."""
        from rtdenoise.kernels.compiling.compiler import dispatcher_of

        return dispatcher_of(self._function, self._apart)

    def __call__(self, *arguments: Any) -> Any:
        """Run it, for arguments of any types."""
        return self.made(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.made, name)

    def __reduce__(self) -> str:
        return str(self.__qualname__)

    def ready(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """See `ready`."""
        kinds = tuple(
            (a.dtype, a.ndim, a.flags.c_contiguous) if isinstance(a, np.ndarray) else type(a) for a in arguments
        )
        found = self._ready.get(kinds)
        if found is None:
            arrays = [a for a in arguments if isinstance(a, np.ndarray)]
            layout = machine_code.layout(*(a.dtype for a in arrays))
            name = f"{self._function.__module__} {self._function.__qualname__} {[a.ndim for a in arrays]} {layout}"
            if not all(a.flags.c_contiguous for a in arrays):  # code for another order reads other addresses
                name += f" {[a.flags.c_contiguous for a in arrays]}"
            found = machine_code.load_function(name) or self._compiled(arguments, name)
            self._ready[kinds] = found
        return found

    def _compiled(self, arguments: tuple[Any, ...], name: str) -> Callable[..., Any]:
        from rtdenoise.kernels.compiling.compiler import machine_code_for

        machine_code.keep(name, machine_code_for(self.made, arguments))
        return cast(Callable[..., Any], self.made)


def ready(function: F, *arguments: Any) -> F:
    """Return a kernel compiled for arguments like these, without the compiler where its machine code is on disk.

    It runs nothing.  What is returned takes arguments of exactly these types: whole numbers, and aligned, writable
    arrays, each contiguous where the one given here is.
    """
    return cast(F, function.ready(arguments)) if isinstance(function, Kernel) else function


def kernel(function: F) -> F:
    """Compile `function` with the flags every real-time kernel shares (`rtdenoise.kernels.compiling.compiler`)."""
    return cast(F, Kernel(function, apart=False)) if COMPILES else function


def kernel_apart(function: F) -> F:
    """Compile like `kernel` a function whose array arguments never share memory, so that its loops vectorise.

    Without this the compiler checks at every call whether they do, and gives up where there are many arrays.
    """
    return cast(F, Kernel(function, apart=True)) if COMPILES else function
