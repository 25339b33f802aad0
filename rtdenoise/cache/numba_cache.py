"""numba's compiled functions in our cache: what numba needs to know of `rtdenoise.cache`, and the reverse."""

from __future__ import annotations

import hashlib
import inspect
import logging
import pickle
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.bytecode import FunctionIdentity
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from rtdenoise.cache import entries, folders, sources

_log = logging.getLogger(__name__)


def name_apart() -> None:
    """Let no two processes give compiled code the same name.

    numba names it by two numbers, one for the function and one for each record type, and every process counts both
    from the start.  So code kept by one process for one record can have the name of code kept by another for another
    record; in a process that loads both, the first is called in place of the second (numba's issue 10486): a stream
    then reads the state of another layout, and its audio is wrong without an error.  Random numbers do not meet.
    """
    FunctionIdentity._unique_ids = iter(lambda: secrets.randbits(64), None)


class DiskCache(_Cache):  # type: ignore[misc]  # numba has no type hints
    """The compiled forms of one function, each an entry of `rtdenoise.cache.entries`.

    numba's own cache raises where an entry is damaged, reads what other users wrote, lies beside the sources and does
    not notice when a function of another file changes.

    Parameters
    ----------
    function : callable
        As it was written, in Python.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The folder, for numba's statistics."""
        return str(folders.chosen() or folders.temporary() or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled form for a signature, or None if it must be compiled."""
        target_context.refresh()
        if not self._enabled:
            return None
        try:
            content = entries.find(self._key(sig, target_context.codegen()))
            return None if content is None else CompileResult._rebuild(target_context, *pickle.loads(content))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an entry, compiling again is right
            _log.debug("compiled code was not read: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled form."""
        if not self._enabled or data.lifted or data.library.has_dynamic_globals:  # these hold addresses
            return
        try:
            key, content = self._key(sig, data.codegen), dumps(data._reduce())
        except Exception as error:  # noqa: BLE001 - what cannot be kept still runs
            _log.debug("compiled code was not kept: %s", error)
            return
        entries.keep(key, content)

    def enable(self) -> None:
        """Read and keep."""
        self._enabled = True

    def disable(self) -> None:
        """Neither read nor keep."""
        self._enabled = False

    def flush(self) -> None:
        """Nothing is held back."""

    def _key(self, sig: Any, codegen: Any) -> str:
        """Everything the code depends on: sources, function, types, processor, and what a closure holds."""
        function = self._function
        code, closure = function.__code__, function.__closure__ or ()
        held = hashlib.sha256(dumps(tuple(cell.cell_contents for cell in closure))).hexdigest() if closure else ""
        ours = function.__module__.startswith("rtdenoise.")
        file = "" if ours else sources.content_of(Path(inspect.getfile(function))).hex()
        place = f"{function.__module__} {function.__qualname__} {code.co_firstlineno}"
        return f"numba {sources.stamp()} {place} {file} {held} {sig!r} {codegen.magic_tuple()!r}"
