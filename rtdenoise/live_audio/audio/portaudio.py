"""Open a PortAudio stream on a compiled callback, and read its reported latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import Device, explain, load_portaudio_here, sane_latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What to open: a device, its channels, or None for a direction; `block` 0 leaves the length to the host."""

    rate: float
    source: Device | None
    target: Device | None
    channels_in: int
    channels_out: int
    block: int
    latency: str | float


def open_stream(opening: Opening, callback: Any, userdata: np.ndarray) -> Any:
    """An open, not yet started stream.

    Parameters
    ----------
    opening : Opening
    callback : Loaded
        Kept alive by the stream.
    userdata : structured array
        Its address is what the callback gets; kept alive by the stream.

    Raises
    ------
    DeviceError
        With the remedy, if PortAudio refuses.
    """
    sd = load_portaudio_here()
    both = opening.source is not None and opening.target is not None
    kind = "duplex" if both else "input" if opening.source is not None else "output"

    def pick(source: Any, target: Any) -> Any:
        return (source, target) if both else source if opening.source is not None else target

    try:
        stream = sd._StreamBase(
            kind=kind,
            samplerate=opening.rate,
            blocksize=opening.block,
            device=pick(opening.source and opening.source.index, opening.target and opening.target.index),
            channels=pick(opening.channels_in, opening.channels_out),
            dtype="float32",
            latency=opening.latency,
            clip_off=True,
            dither_off=True,
            callback=sd._ffi.cast("void*", callback.address),
            userdata=sd._ffi.cast("void*", userdata.ctypes.data),
            wrap_callback=None,
        )
    except (sd.PortAudioError, ValueError) as error:
        raise DeviceError(explain(error, _names(opening), one_system=_one_system(opening))) from error
    stream.rtdenoise_keeps = (callback, userdata)
    return stream


def start_stream(stream: Any, opening: Opening) -> None:
    """Start it.

    Raises
    ------
    DeviceError
        With the remedy, if PortAudio refuses.
    """
    sd = load_portaudio_here()
    try:
        stream.start()
    except sd.PortAudioError as error:
        raise DeviceError(explain(error, _names(opening), one_system=_one_system(opening))) from error


def _names(opening: Opening) -> str:
    return " and ".join(f"{d.name!r} ({d.host_api})" for d in dict.fromkeys((opening.source, opening.target)) if d)


def _one_system(opening: Opening) -> bool:
    return len({d.host_api for d in (opening.source, opening.target) if d}) == 1


def reported_latency(stream: Any, opening: Opening) -> tuple[float, float]:
    """Seconds in the device before and after the callback, as PortAudio reports them; 0 for a direction not open."""
    latency = stream.latency
    if opening.source is not None and opening.target is not None:
        return sane_latency(latency[0]), sane_latency(latency[1])
    return (sane_latency(latency), 0.0) if opening.source is not None else (0.0, sane_latency(latency))
