"""What a compiled hop in the audio callback starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.cache.machine_code import Loaded
from rtdenoise.live_audio.record import expect_engine, hear_engine

USER = np.dtype(
    [
        (name, "i8")
        for name in (
            "live",
            "states",
            "state_bytes",
            "network",
            "network_weights",
            "network_streams",
            "network_frames",
            "network_frame_bytes",
            "network_listening",
            "network_listening_bytes",
            "network_n_listening",
            "network_block",
        )
    ]
)
"""Addresses of all records, with the sizes of those that code is not compiled for.

``network`` is that of the compiled function that runs a network; ``engine_inside`` of `LIVE` says whether it is there.
"""


@dataclass(frozen=True, slots=True)
class Callback:
    """The machine code of a callback, and of the network that it calls, if it starts with one."""

    process: Loaded
    network: Loaded | None = None

    @property
    def address(self) -> int:
        """What PortAudio calls; valid as long as this object lives."""
        return self.process.address


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network in the callback: its records, whose types `rtdenoise.methods.can.compiled.hop.hops` is compiled for.

    `weights` is (1,), `streams` and `frames` (channels,), `listening` (channels,) or (0,), `block` a hop of scratch;
    `layout` says what the code depends on.
    """

    weights: np.ndarray
    streams: np.ndarray
    frames: np.ndarray
    listening: np.ndarray
    block: np.ndarray
    layout: str
    latency_samples: int
    gain_min: float

    def expect(self, live: Any) -> None:
        """Say what the callback calls once ``engine_on`` is set, not before; `live` is (1,) `LIVE`, written."""
        from rtdenoise.live_audio.messages import Built  # compiled code is made of none of what it imports

        built = Built(
            hop=self.block.size,
            latency=self.latency_samples,
            rate_hz=float(live["rate"][0]),
            limits=True,
            gain_min=self.gain_min,
        )
        expect_engine(live, built, "low")
        live["engine_inside"] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a compiled hop starts from.

    `state` is (channels,) records; `user` (1,) record of `USER`, what PortAudio's user data points to; `layout` says
    what the code depends on; `rules` is the value of the state's field ``rule`` for each method that it can be switched
    to.
    """

    state: np.ndarray
    user: np.ndarray
    layout: str
    rules: dict[str, int]
    hop: int
    latency_samples: int
    network: Network | None = None

    def prepare_network(self, live: Any) -> None:
        """Let a new stream begin with the network's output; `live` is (1,) `LIVE`, written."""
        if self.network is not None:
            self.network.expect(live)
            hear_engine(live)

    def connect(self, live_address: int, callback: Callback) -> None:
        """Write the addresses into the user data; the arrays and the code must stay where they are from now on."""
        self.user["live"] = live_address
        self.user["states"], self.user["state_bytes"] = self.state.ctypes.data, self.state.itemsize
        if self.network is not None and callback.network is not None:
            self.connect_network(self.network, callback.network)

    def connect_network(self, network: Network, code: Loaded) -> None:
        """Write a network's addresses into the user data, as `connect` does; also while the callback runs without."""
        for name in ("weights", "streams", "frames", "listening", "block"):
            self.user[f"network_{name}"] = getattr(network, name).ctypes.data
        self.user["network_frame_bytes"] = network.frames.itemsize
        self.user["network_listening_bytes"] = network.listening.itemsize
        self.user["network_n_listening"] = network.listening.size
        self.user["network"] = code.address
