"""The C functions PortAudio calls, compiled by numba: no interpreter, no lock and no allocation in the audio thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from numba import carray, types
from numba.core import sigutils
from numba.core.ccallback import CFunc

from rtdenoise.kernels.cache import SharedCache
from rtdenoise.live.block import (
    begin,
    deliver,
    enhance,
    finish,
    hold_back,
    output_block,
    ring,
    take_device,
    take_source,
)
from rtdenoise.live.drift import PHASES, TAPS, play_block
from rtdenoise.live.native import floats_at, live_at, now_ns_at, wake
from rtdenoise.live.record import FLAGS

_FLOATS = types.CPointer(types.float32)
_TIMES = types.CPointer(types.float64)
_PHASES, _TAPS, _N_FLAGS = PHASES, TAPS, len(FLAGS)
_POINTER = np.dtype([("live", "i8")])


def userdata_dtype(state: np.dtype[Any]) -> np.dtype[Any]:
    """`state` with the address of the `LIVE` record beside it: what PortAudio's user data points to.

    Parameters
    ----------
    state : dtype
        Of a spectral stream, one record per channel.
    """
    fields: list[Any] = [(name, state[name]) for name in state.names or ()]
    return np.dtype([*fields, ("live", "i8")], align=True)


def _spectral(source: Any, target: Any, n_block: int, times: Any, flags: int, userdata: Any) -> int:
    """PortAudio's callback for SS and WF: the compiled hop runs right here."""
    live = carray(live_at(carray(userdata, (1,))[0].live), (1,))[0]
    states = carray(userdata, (live.channels,))
    noisy, wet, clean = ring(live.noisy, live), ring(live.wet_ring, live), ring(live.clean, live)
    n = types.int64(n_block)
    started = begin(live, carray(times, (3,)), flags, n)
    if live.channels_in > 0:
        take_device(live, carray(source, (n, live.channels_in)), noisy)
    else:
        take_source(live, n, ring(live.source, live), noisy)
    hold_back(live, n)
    enhance(live, states, noisy, wet)
    output_block(live, n, noisy, wet, clean)
    if live.channels_out > 0:
        deliver(live, clean, carray(target, (n, live.channels_out)))
    return finish(live, started, n)


def _engine(source: Any, target: Any, n_block: int, times: Any, flags: int, userdata: Any) -> int:
    """PortAudio's callback for every other method: samples to and from the rings that an engine process works on."""
    live = carray(live_at(carray(userdata, (1,))[0].live), (1,))[0]
    noisy, wet, clean = ring(live.noisy, live), ring(live.wet_ring, live), ring(live.clean, live)
    n = types.int64(n_block)
    started = begin(live, carray(times, (3,)), flags, n)
    if live.channels_in > 0:
        take_device(live, carray(source, (n, live.channels_in)), noisy)
    else:
        take_source(live, n, ring(live.source, live), noisy)
    wake(live)
    hold_back(live, n)
    output_block(live, n, noisy, wet, clean)
    if live.channels_out > 0:
        deliver(live, clean, carray(target, (n, live.channels_out)))
    return finish(live, started, n)


def _playback(source: Any, target: Any, n_block: int, times: Any, flags: int, userdata: Any) -> int:
    """PortAudio's callback of an output stream with a clock of its own: plays the clean ring at its own pace."""
    live = carray(live_at(carray(userdata, (1,))[0].live), (1,))[0]
    n = types.int64(n_block)
    for bit in range(_N_FLAGS):
        if flags & (1 << bit):
            live.play_flag_counts[bit] += 1
    table = carray(floats_at(live.play_table), (_PHASES + 1, _TAPS))
    out = carray(target, (n, live.play_channels))
    play_block(live, now_ns_at(live.play_scratch), table, ring(live.clean, live), out)
    return 0


def _compiled(function: Callable[..., int], userdata: np.dtype[Any]) -> Any:
    """A numba C callback for this user data, from the cache on disk if it is there.

    Returns
    -------
    numba.core.ccallback.CFunc
        Its ``address`` is what PortAudio gets; keep the object as long as the stream.
    """
    pointer = types.CPointer(numba.from_dtype(userdata))
    signature = types.int32(_FLOATS, _FLOATS, types.uint64, _TIMES, types.uint64, pointer)
    arguments, returned = sigutils.normalize_signature(signature)
    callback = CFunc(function, (arguments, returned), locals={}, options={"nopython": True, "error_model": "numpy"})
    with suppress(RuntimeError):  # no folder to write to: compiled in every process
        callback._cache = SharedCache(function)  # type: ignore[attr-defined]  # numba's own enable_caching sets it
    callback.compile()
    return callback


def spectral_callback(state: np.dtype[Any]) -> Any:
    """The callback for streams whose compiled hop works on records of dtype `state`."""
    return _compiled(_spectral, userdata_dtype(state))


def engine_callback() -> Any:
    """The callback for streams that an engine process enhances."""
    return _compiled(_engine, _POINTER)


def playback_callback() -> Any:
    """The callback of an output stream beside an input stream; its user data is `engine_userdata`."""
    return _compiled(_playback, _POINTER)


def spectral_userdata(state: np.ndarray, live_address: int) -> np.ndarray:
    """User data for `spectral_callback`: (channels,) records, copied from `state`, of `userdata_dtype`."""
    userdata = np.zeros(state.shape, userdata_dtype(state.dtype))
    for name in state.dtype.names or ():
        userdata[name] = state[name]
    userdata["live"] = live_address
    return userdata


def engine_userdata(live_address: int) -> np.ndarray:
    """User data for `engine_callback`: one record with the address of `LIVE`."""
    return np.array([(live_address,)], _POINTER)


__all__ = ["engine_callback", "engine_userdata", "playback_callback", "spectral_callback", "spectral_userdata"]
