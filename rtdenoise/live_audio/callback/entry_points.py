"""The C functions PortAudio calls, compiled by numba: no interpreter, no lock and no allocation in the audio thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba import carray, types
from numba.core import sigutils
from numba.core.ccallback import CFunc

from rtdenoise.cache.machine_code import MachineCode
from rtdenoise.kernels.compiling.compiler import machine_code_of
from rtdenoise.live_audio.callback.block import (
    begin,
    deliver,
    enhance,
    finish,
    hold_back,
    output_block,
    records_at,
    ring,
    take_device,
    take_source,
)
from rtdenoise.live_audio.callback.drift import play_block
from rtdenoise.live_audio.callback.interpolator import PHASES, TAPS
from rtdenoise.live_audio.callback.native import call_network, floats_at, live_at, now_ns_at, pointer_to, wake
from rtdenoise.live_audio.callback.network import answer
from rtdenoise.live_audio.callback.start import USER, Network
from rtdenoise.live_audio.record import FLAGS

_FLOATS = types.CPointer(types.float32)
_TIMES = types.CPointer(types.float64)
_PHASES, _TAPS, _N_FLAGS = PHASES, TAPS, len(FLAGS)


def _process(source: Any, target: Any, n_block: int, times: Any, flags: int, userdata: Any) -> int:
    """PortAudio's callback: the compiled hop runs right here, so does a network, or an engine process is woken."""
    user = carray(userdata, (1,))[0]
    live = carray(live_at(user.live), (1,))[0]
    states = records_at(user.states, live.channels, user.state_bytes)
    noisy, wet, clean = ring(live.noisy, live), ring(live.wet_ring, live), ring(live.clean, live)
    n = types.int64(n_block)
    started = begin(live, carray(times, (3,)), flags, n)
    if live.channels_in > 0:
        take_device(live, carray(source, (n, live.channels_in)), noisy)
    else:
        take_source(live, n, ring(live.source, live), noisy)
    if live.engine_on != 0 and live.engine_inside == 0:
        wake(live)
    hold_back(live, n)
    enhance(live, states, noisy, wet)
    if live.engine_on != 0 and live.engine_inside != 0:
        call_network(user.network, userdata, n)
    output_block(live, n, noisy, wet, ring(live.answers, live), clean)
    if live.channels_out > 0:
        deliver(live, clean, carray(target, (n, live.channels_out)))
    return finish(live, started, n)


def _answer_with(network: Network) -> Callable[..., int]:
    """What the callback calls to run a network, whose records lie at the addresses in the user data."""
    weights_at, streams_at = (pointer_to(numba.from_dtype(array.dtype)) for array in (network.weights, network.streams))

    def answer_block(userdata: Any, n_block: int) -> int:
        user = carray(userdata, (1,))[0]
        live = carray(live_at(user.live), (1,))[0]
        answer(
            live,
            n_block,
            ring(live.noisy, live),
            ring(live.answers, live),
            carray(floats_at(user.network_block), (live.engine_hop,)),
            carray(weights_at(user.network_weights), (1,)),
            carray(streams_at(user.network_streams), (live.channels,)),
            (user.network_frames, user.network_frame_bytes),
            (user.network_listening, user.network_listening_bytes, user.network_n_listening),
        )
        return 0

    return answer_block


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


_USERDATA = types.CPointer(numba.from_dtype(USER))
_CALLBACK = types.int32(_FLOATS, _FLOATS, types.uint64, _TIMES, types.uint64, _USERDATA)
_NETWORK = types.int32(_USERDATA, types.int64)


def _compiled(function: Callable[..., int], signature: Any) -> MachineCode:
    """The machine code of a C function."""
    arguments, returned = sigutils.normalize_signature(signature)
    callback = CFunc(function, (arguments, returned), locals={}, options={"nopython": True, "error_model": "numpy"})
    callback.compile()
    library = callback._library  # type: ignore[attr-defined]  # where numba keeps what it made
    return machine_code_of(library, callback.native_name)


def compile_process() -> MachineCode:
    """The callback of a stream."""
    return _compiled(_process, _CALLBACK)


def compile_network(network: Network) -> MachineCode:
    """What that callback calls to run a network with weights and streams of these dtypes."""
    return _compiled(_answer_with(network), _NETWORK)


def compile_playback() -> MachineCode:
    """The callback of an output stream beside an input stream; of its user data it reads the field ``live``."""
    return _compiled(_playback, _CALLBACK)
