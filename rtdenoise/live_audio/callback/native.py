"""System functions for the audio thread: clock, wake-up, memory fence, records and arrays by address."""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import Any

import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from rtdenoise.live_audio.record import LIVE

_LIVE_TYPE = numba.from_dtype(LIVE)
_WINDOWS = sys.platform == "win32"
_X86 = platform.machine().lower() in ("x86_64", "amd64")


def _symbol(name: str) -> None:
    """Tell the compiler's linker where a function of the system is, so that code from the cache finds it too."""
    library = ctypes.windll.kernel32 if _WINDOWS else ctypes.CDLL(None)  # type: ignore[attr-defined,unused-ignore]  # per platform
    llvm.add_symbol(name, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)


if _WINDOWS:  # pragma: no cover - reached on Windows only
    for _name in ("QueryPerformanceCounter", "QueryPerformanceFrequency", "GetCurrentThreadId", "Sleep"):
        _symbol(_name)
    _counter = types.ExternalFunction("QueryPerformanceCounter", types.int32(types.CPointer(types.int64)))
    _frequency = types.ExternalFunction("QueryPerformanceFrequency", types.int32(types.CPointer(types.int64)))
    _thread = types.ExternalFunction("GetCurrentThreadId", types.uint32())
    _sleep = types.ExternalFunction("Sleep", types.void(types.uint32))
else:
    for _name in ("clock_gettime", "write", "usleep"):
        _symbol(_name)
    _gettime = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.CPointer(types.int64)))
    _write = types.ExternalFunction("write", types.intp(types.int32, types.CPointer(types.int64), types.uintp))
    _sleep = types.ExternalFunction("usleep", types.int32(types.uint32))
    if sys.platform == "linux":
        _symbol("gettid")
        _thread = types.ExternalFunction("gettid", types.int32())
_MONOTONIC = 6 if sys.platform == "darwin" else 1


def _now_windows(scratch: Any) -> int:  # pragma: no cover - compiled, on Windows only
    """Time of a clock that never goes back, in ns; `scratch` is (2,) int64 for the calling thread alone."""
    _frequency(scratch.ctypes)
    ticks = scratch[0]
    _counter(scratch.ctypes)
    return int(scratch[0] // ticks * 1_000_000_000 + scratch[0] % ticks * 1_000_000_000 // ticks)


def _now_posix(scratch: Any) -> int:  # pragma: no cover - compiled
    """Time of Python's `time.monotonic_ns`; `scratch` is (2,) int64 for the calling thread alone."""
    _gettime(_MONOTONIC, scratch.ctypes)
    return int(scratch[0] * 1_000_000_000 + scratch[1])


def _wake_nobody(live: Any) -> None:  # pragma: no cover - compiled, on Windows only
    """The engine looks by itself where there is no eventfd."""


def _wake_posix(live: Any) -> None:  # pragma: no cover - compiled
    """Wake the engine that waits for `wake_fd`, if one does."""
    if live.wake_fd >= 0:
        live.scratch[0] = 1
        _write(live.wake_fd, live.scratch.ctypes, 8)


def _thread_number(live: Any) -> int:  # pragma: no cover - compiled
    """The system's number of the calling thread."""
    return int(_thread())


def _thread_unknown(live: Any) -> int:  # pragma: no cover - compiled, on macOS only
    """0: there is no such number here."""
    return 0


def _pause_posix(nanoseconds: int) -> None:  # pragma: no cover - compiled
    """Sleep, for benchmarks that keep a pace."""
    _sleep(nanoseconds // 1000)


def _pause_windows(nanoseconds: int) -> None:  # pragma: no cover - compiled, on Windows only
    """Sleep, for benchmarks that keep a pace."""
    _sleep(nanoseconds // 1_000_000)


_compile = numba.njit(nogil=True, error_model="numpy")
now_ns_at = _compile(_now_windows if _WINDOWS else _now_posix)
wake = _compile(_wake_nobody if _WINDOWS else _wake_posix)
thread_id = _compile(_thread_unknown if sys.platform == "darwin" else _thread_number)
pause = _compile(_pause_windows if _WINDOWS else _pause_posix)


def pointer_to(kind: Any) -> Any:
    """The nopython function that turns an address into a pointer to values of a numba type."""
    pointer = types.CPointer(kind)

    @intrinsic  # type: ignore[untyped-decorator]  # numba has no type hints
    def at(_typing_context: Any, _address: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(pointer))

        return pointer(types.int64), generate

    return at


live_at = pointer_to(_LIVE_TYPE)
floats_at = pointer_to(types.float32)


@intrinsic  # type: ignore[untyped-decorator]  # numba has no type hints
def call_network(_typing_context: Any, _address: Any, userdata: Any, _n_block: Any) -> Any:
    """Call the C function at an address with the user data of the callback and the samples of its block."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        address, *rest = arguments
        kind = ir.FunctionType(ir.IntType(32), [each.type for each in rest])
        return builder.call(builder.inttoptr(address, kind.as_pointer()), rest)

    return types.int32(types.int64, userdata, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no type hints
def fence(_typing_context: Any) -> Any:
    """Everything written before is seen by other processors before anything written after."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]  # numba has no type hints
def flush_denormals(_typing_context: Any) -> Any:
    """Numbers too small to hear count as 0 in the calling thread from now on (x86; elsewhere they cost nothing)."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if _X86:
            word = ir.IntType(32)
            place = builder.alloca(word)
            kind = ir.FunctionType(ir.VoidType(), [place.type])
            module = builder.module
            store = module.globals.get("llvm.x86.sse.stmxcsr") or ir.Function(module, kind, "llvm.x86.sse.stmxcsr")
            load = module.globals.get("llvm.x86.sse.ldmxcsr") or ir.Function(module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(store, [place])
            flushed = builder.or_(builder.load(place), ir.Constant(word, 0x8040))  # flush to zero, denormals are zero
            builder.store(flushed, place)
            builder.call(load, [place])
        return context.get_dummy_value()

    return types.void(), generate
