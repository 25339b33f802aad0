"""Compiled functions and audio callbacks kept on disk as plain machine code, which runs without the compiler.

numba alone takes longer to import than everything else that is done before the first sample.  Its compiled code needs
little of it to run: a handful of C functions, found in extension modules that can be loaded on their own.
"""

from __future__ import annotations

import builtins
import ctypes
import hashlib
import importlib.util
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.cache import kept_files, processors, sources

_HELPERS = {"numba_": "numba._helperlib", "NRT_": "numba.core.runtime._nrt_python"}
"""Extension modules with numba's C functions, by their prefix in compiled code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCode:
    """What the compiler made of one function or callback.

    `content`: object file; `symbol`: the name in it of what is called; `needed`: names it takes from elsewhere;
    `libraries`: the shared libraries that have some of them, as package and file name, since a package may be elsewhere
    at its use; `environment`: the name in it of a pointer to Python objects, for what Python calls.
    """

    content: bytes
    symbol: str
    needed: tuple[str, ...]
    libraries: tuple[tuple[str, str], ...]
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Machine code in memory: `address` is valid as long as this object lives."""

    address: int
    engine: Any


@lru_cache(maxsize=1)
def stamps() -> tuple[str, ...]:
    """Digests of everything compiled code depends on: our sources, the compiler, the interpreter, the processor.

    The first is of code made here, the others of code for portable processors that runs here, too.
    """
    portable = ((name, "") for name in processors.runnable())
    return tuple(_digest_for(processor) for processor in (processors.native()[1:], *portable))


def _digest_for(processor: tuple[str, str]) -> str:
    return hashlib.sha256(f"{sources.stamp()} {processor}".encode()).hexdigest()


def keep(name: str, code: MachineCode) -> None:
    """Write `code` to disk under a name; if that fails, only the next start is slower."""
    kept_files.keep(f"code {stamps()[0]} {name}", code)


def load_kept(name: str) -> Loaded | None:
    """The machine code of that name, or None if it must be compiled."""
    code = _find(name)
    return None if code is None else load(code)


def _find(name: str) -> MachineCode | None:
    return kept_files.find(MachineCode, *(f"code {stamp} {name}" for stamp in stamps()))


def load_function(name: str) -> Callable[..., Any] | None:
    """The kernel of that name as Python calls it, or None if it must be compiled."""
    code, functions = _find(name), _extension("numba._dynfunc")
    loaded = None if code is None or functions is None else load(code)
    place = 0 if loaded is None or code is None else loaded.engine.get_global_value_address(code.environment)
    if not place or loaded is None:
        return None
    environment = functions.Environment({})  # empty: no kernel has objects
    ctypes.c_void_p.from_address(place).value = id(environment)  # as numba does; the function keeps it alive
    made: Callable[..., Any] = functions.make_function(builtins, "kernel", "", loaded.address, environment, (loaded,))
    return made


@lru_cache(maxsize=64)
def layout(*dtypes: np.dtype[Any]) -> str:
    """A digest of the layout of record types."""
    return hashlib.sha256(repr([(dtype.descr, dtype.itemsize) for dtype in dtypes]).encode()).hexdigest()


def load(code: MachineCode) -> Loaded | None:
    """Load machine code into memory; None if a dependency is missing."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for package, name in code.libraries:
        path = _folder_of(package) / name
        if not path.is_file() or ("avx2" in name and "avx2" not in processors.features()):  # made on another machine
            return None
        llvm.load_library_permanently(str(path))
    if not all(_provide(name) for name in code.needed):
        return None
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    return Loaded(address, engine) if address else None


def _provide(name: str) -> bool:
    """Make sure that the linker finds a name; the same things numba gives it."""
    import llvmlite.binding as llvm

    address = _address_of(name)
    if address is not None:
        llvm.add_symbol(name, address)
        return True
    return llvm.address_of_symbol(name) is not None or _of_the_system(name)


def _address_of(name: str) -> int | None:
    """The address of one of numba's or Python's own, or None."""
    if name.startswith("PyExc_"):
        return id(getattr(builtins, name.removeprefix("PyExc_"), None))
    if name == "_Py_NoneStruct":
        return id(None)
    for prefix, module in _HELPERS.items():
        if name.startswith(prefix):
            found = _helpers(module).get(name.removeprefix(prefix))
            return None if found is None else int(found)
    found = _helpers(_HELPERS["numba_"]).get(name)  # the C library's mathematics, as numba binds it
    return None if found is None else int(found)


def _of_the_system(name: str) -> bool:
    """Look a name up as the running program itself would."""
    import llvmlite.binding as llvm

    for library in (ctypes.pythonapi, None):  # on Windows, Python's functions are in a library of their own
        with suppress(AttributeError, OSError, TypeError):
            address = ctypes.cast(getattr(library or ctypes.CDLL(None), name), ctypes.c_void_p).value
            if address:
                llvm.add_symbol(name, address)
                return True
    return False


@lru_cache(maxsize=2)
def _helpers(module: str) -> dict[str, int]:
    """The C functions of one of numba's extension modules."""
    loaded = _extension(module)
    return {} if loaded is None else dict(loaded.c_helpers)


@lru_cache(maxsize=4)
def _extension(module: str) -> Any:
    """One of numba's extension modules, loaded without the package around it; None if it is not there."""
    *parents, name = module.split(".")[1:]
    for suffix in EXTENSION_SUFFIXES:
        path = _folder_of("numba").joinpath(*parents, name + suffix)
        spec = importlib.util.spec_from_file_location(module, path) if path.is_file() else None
        if spec is not None and spec.loader is not None:
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
            return loaded
    return None


def _folder_of(package: str) -> Path:
    """Where a package is, found without importing it."""
    spec = importlib.util.find_spec(package)
    return Path((spec.submodule_search_locations or [""])[0]) if spec is not None else Path()
