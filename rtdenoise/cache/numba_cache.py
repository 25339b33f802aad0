"""Store numba's compiled functions in the cache: the adapter between numba and `rtdenoise.cache`."""

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

from rtdenoise.cache import entries, folders, processors, sources

_log = logging.getLogger(__name__)


def name_apart() -> None:
    """Make the names of compiled code unique across processes.

    numba builds names from two numbers, one per function and one per record type, and every process counts both from
    the start.  Code cached by two processes for different records can therefore have the same name; in a process that
    loads both, the first is called in place of the second (numba issue 10486): a stream then reads state with the
    wrong layout, and its audio is wrong without an error.  Random numbers do not collide.
    """
    FunctionIdentity._unique_ids = iter(lambda: secrets.randbits(64), None)


def object_of(library: Any) -> tuple[bytes, tuple[str, ...]]:
    """Return the object file of one of numba's libraries, and the names that it takes from elsewhere."""
    if not hasattr(library, "kept_object"):  # compiled here, not read from the disk
        module = library._final_module
        names = [f.name for f in (*module.functions, *module.global_variables) if f.is_declaration]
        needed = tuple(name for name in names if not name.startswith("llvm."))
        library.kept_object = library._get_compiled_object(), needed
    content, needed = library.kept_object
    return content, needed


class DiskCache(_Cache):  # type: ignore[misc]  # numba has no type hints
    """The compiled versions of one function, each an entry of `rtdenoise.cache.entries`.

    numba's own cache raises on damaged entries, reads entries written by other users, is stored next to the sources
    and does not notice changes to functions in other files.

    Parameters
    ----------
    function : callable
        The original Python function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """The cache folder, for numba's statistics."""
        return str(folders.chosen() or folders.temporary() or "")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled version for a signature, or None if it must be compiled."""
        target_context.refresh()
        if not self._enabled:
            return None
        try:
            codegen = target_context.codegen()
            triple, *_ = native = codegen.magic_tuple()
            portable = ((triple, name, "") for name in processors.runnable())
            content = entries.find(*(self._key(sig, processor) for processor in (native, *portable)))
            if content is None:
                return None
            reduced, needed = pickle.loads(content)
            result = CompileResult._rebuild(target_context, *reduced)
            result.library.kept_object = reduced[0][2][0], needed  # as in `serialize_using_object_code`
            return result
        except Exception as error:  # noqa: BLE001 - whatever is wrong with an entry, compiling again is right
            _log.debug("compiled code was not read: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled version."""
        if not self._enabled or data.lifted or data.library.has_dynamic_globals:  # these hold addresses
            return
        try:
            key, content = (
                self._key(sig, data.codegen.magic_tuple()),
                dumps((data._reduce(), object_of(data.library)[1])),
            )
        except Exception as error:  # noqa: BLE001 - what cannot be kept still runs
            _log.debug("compiled code was not kept: %s", error)
            return
        entries.keep(key, content)

    def enable(self) -> None:
        """Enable reading and storing."""
        self._enabled = True

    def disable(self) -> None:
        """Disable reading and storing."""
        self._enabled = False

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""

    def _key(self, sig: Any, processor: tuple[str, str, str]) -> str:
        """Return a key of everything the code depends on: sources, function, types, processor, closure contents.

        `processor`: triple, name and features, as numba's ``magic_tuple``.
        """
        function = self._function
        code, closure = function.__code__, function.__closure__ or ()
        held = hashlib.sha256(dumps(tuple(cell.cell_contents for cell in closure))).hexdigest() if closure else ""
        ours = function.__module__.startswith("rtdenoise.")
        file = "" if ours else sources.content_of(Path(inspect.getfile(function))).hex()
        place = f"{function.__module__} {function.__qualname__} {code.co_firstlineno}"
        return f"numba {sources.stamp()} {place} {file} {held} {sig!r} {processor!r}"
