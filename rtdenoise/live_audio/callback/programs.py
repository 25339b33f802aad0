"""What the audio process runs: a compiled callback and the record it starts from, kept on disk between runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rtdenoise.cache import kept_files, machine_code, sources
from rtdenoise.cache.machine_code import Loaded, MachineCode
from rtdenoise.config import Settings
from rtdenoise.disk.shipped import data_folder
from rtdenoise.live_audio.callback.start import USER, Callback, Network, Start
from rtdenoise.methods.can.models import SPEC, WEIGHTS, open_model


def start_of(settings: Settings, rate: int, channels: int, *, with_network: bool = False) -> Start:
    """What the callback of a stream starts from.

    Parameters
    ----------
    settings : Settings
        A method that is not a compiled hop gets an inaudible Wiener filter, so that the noise estimate is ready after a
        switch.
    rate : int
        Of the device, in Hz.
    channels : int
        They share one gain.
    with_network : bool
        Whether the network of the settings runs in the callback, too.

    Raises
    ------
    ModelError
        If that network is missing or damaged.
    """
    tables = sorted((data_folder("models") / "wf-prior").glob("*.npz"))
    weights = [(path.name, sources.content_of(path).hex()) for path in tables]
    keys = _keys(f"start {settings.method} {settings.spectral} {rate} {channels} {weights}")
    kept = kept_files.find(Start, *keys)
    if kept is None:
        from rtdenoise.live_audio.callback.first_state import first_state

        kept = first_state(settings, rate, channels)
        kept_files.keep(keys[0], kept)
    return replace(kept, network=network_of(settings, rate, channels)) if with_network else kept


def network_of(settings: Settings, rate: int, channels: int) -> Network:
    """The network of the settings, for the callback of a stream, each channel a stream of its own.

    Raises
    ------
    ModelError
        If that network is missing or damaged.
    """
    keys = _network_keys(settings, rate, channels)
    kept = kept_files.find(Network, *keys)
    if kept is None:
        from rtdenoise.live_audio.callback.first_state import first_network

        kept = first_network(settings, rate, channels)
        kept_files.keep(keys[0], kept)
    return kept


def network_is_kept(settings: Settings, rate: int, channels: int) -> bool:
    """Whether a network and its code are there, so that `network_of` and `process_callback` load no compiler.

    Raises
    ------
    ModelError
        If there is no such network.
    """
    kept = kept_files.find(Network, *_network_keys(settings, rate, channels))
    return kept is not None and machine_code.load_kept(f"network {kept.layout}") is not None


def _network_keys(settings: Settings, rate: int, channels: int) -> list[str]:
    return _keys(f"network {settings.can} {network_digest(settings)} {rate} {channels}")


def _keys(name: str) -> list[str]:
    """Names under which something is kept: as made here, and as made for processors that are like this one."""
    return [f"{stamp} {name}" for stamp in machine_code.stamps()]


def network_digest(settings: Settings) -> str:
    """A digest of the specification and the weights of a network.

    Raises
    ------
    ModelError
        If there is no such network, or its specification is damaged.
    """
    folder = open_model(settings.can.model).folder
    return " ".join(sources.content_of(folder / name).hex() for name in (SPEC, WEIGHTS) if (folder / name).is_file())


def process_callback(start: Start) -> Callback:
    """The callback of a stream that starts from `start`."""
    network = None if start.network is None else _code("network", start.network.layout, start.network)
    return Callback(_code("process", start.layout), network)


def playback_callback() -> Loaded:
    """The callback of an output stream beside an input stream; its user data is `playback_userdata`."""
    return _code("playback", "")


def playback_userdata(live_address: int) -> np.ndarray:
    """User data for `playback_callback`: one record with the address of `LIVE`."""
    user = np.zeros(1, USER)
    user["live"] = live_address
    return user


def _code(name: str, layout: str, *more: Any) -> Loaded:
    """What the audio thread runs, by its name and the layout of its records."""
    loaded = machine_code.load_kept(f"{name} {layout}")
    if loaded is not None:
        return loaded
    from rtdenoise.live_audio.callback import entry_points

    code: MachineCode = getattr(entry_points, f"compile_{name}")(*more)
    machine_code.keep(f"{name} {layout}", code)
    loaded = machine_code.load(code)
    if loaded is None:
        raise RuntimeError("the compiled callback misses a function of the system")
    return loaded
