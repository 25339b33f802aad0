"""What the audio process runs: a compiled callback and the record it starts from, kept on disk between runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.cache import kept_files, machine_code, sources
from rtdenoise.cache.machine_code import Loaded, MachineCode
from rtdenoise.config import Settings
from rtdenoise.disk.shipped import data_folder
from rtdenoise.live_audio.callback.start import USER, Start
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
    rest = f"{settings.method} {settings.spectral} {rate} {channels} {weights}"
    if with_network:
        rest += f" {settings.can} {network_digest(settings)}"
    keys = [f"start {stamp} {rest}" for stamp in machine_code.stamps()]
    kept = kept_files.find(Start, *keys)
    if kept is None:
        from rtdenoise.live_audio.callback.first_state import first_state

        kept = first_state(settings, rate, channels, with_network=with_network)
        kept_files.keep(keys[0], kept)
    return kept


def network_digest(settings: Settings) -> str:
    """A digest of the specification and the weights of a network.

    Raises
    ------
    ModelError
        If there is no such network, or its specification is damaged.
    """
    folder = open_model(settings.can.model).folder
    return " ".join(sources.content_of(folder / name).hex() for name in (SPEC, WEIGHTS) if (folder / name).is_file())


def process_callback(start: Start) -> Loaded:
    """The callback of a stream that starts from `start`."""
    if start.network is None:
        return _callback("process", start.layout)
    return _callback("network", start.layout, start.network)


def playback_callback() -> Loaded:
    """The callback of an output stream beside an input stream; its user data is `playback_userdata`."""
    return _callback("playback", "")


def playback_userdata(live_address: int) -> np.ndarray:
    """User data for `playback_callback`: one record with the address of `LIVE`."""
    user = np.zeros(1, USER)
    user["live"] = live_address
    return user


def _callback(name: str, layout: str, *more: Any) -> Loaded:
    """A callback by its name and the layout of its records."""
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
