"""What a compiled hop in the audio callback starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.live_audio.record import expect_engine, hear_engine

USER = np.dtype(
    [
        (name, "i8")
        for name in (
            "live",
            "states",
            "state_bytes",
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
"""Addresses of all records, with the sizes of those that code is not compiled for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network in the callback: its records, whose types `rtdenoise.methods.can.compiled.hop.hops` is compiled for.

    `weights` is (1,), `streams` and `frames` (channels,), `listening` (channels,) or (0,), `block` a hop of scratch.
    """

    weights: np.ndarray
    streams: np.ndarray
    frames: np.ndarray
    listening: np.ndarray
    block: np.ndarray
    latency_samples: int
    gain_min: float


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
        if self.network is None:
            return
        from rtdenoise.live_audio.messages import Built  # compiled code is made of none of what it imports

        built = Built(
            hop=self.network.block.size,
            latency=self.network.latency_samples,
            rate_hz=float(live["rate"][0]),
            limits=True,
            gain_min=self.network.gain_min,
        )
        expect_engine(live, built, "low")
        live["engine_inside"] = 1
        hear_engine(live)

    def connect(self, live_address: int) -> None:
        """Write the addresses into the user data; the arrays must stay where they are from now on."""
        self.user["live"] = live_address
        self.user["states"], self.user["state_bytes"] = self.state.ctypes.data, self.state.itemsize
        if self.network is not None:
            for name in ("weights", "streams", "frames", "listening", "block"):
                self.user[f"network_{name}"] = getattr(self.network, name).ctypes.data
            self.user["network_frame_bytes"] = self.network.frames.itemsize
            self.user["network_listening_bytes"] = self.network.listening.itemsize
            self.user["network_n_listening"] = self.network.listening.size
