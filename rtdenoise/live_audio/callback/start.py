"""What a compiled hop in the audio callback starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.live_audio.record import expect_engine, hear_engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network in the callback: its records, as `rtdenoise.methods.can.compiled.hop.hops` takes them.

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

    `state` is (channels,) records with the field ``live`` at their end; `rules` the value of its field ``rule`` for
    each method that it can be switched to.  With a `network`, the addresses of its records are fields, too.
    """

    state: np.ndarray
    rules: dict[str, int]
    hop: int
    latency_samples: int
    network: Network | None = None

    def prepare_network(self, live: Any) -> None:
        """Let a new stream begin with the network's output; `live` is (1,) `LIVE`, written."""
        if self.network is None:
            return
        built: dict[str, float] = {
            "hop": self.network.block.size,
            "latency": self.network.latency_samples,
            "limits": True,
        }
        built |= {"rate": float(live["rate"][0]), "gain_min": self.network.gain_min}
        expect_engine(live, built, "low")
        live["engine_inside"] = 1
        hear_engine(live)

    def connect(self, live_address: int) -> None:
        """Write the addresses into the user data; the arrays must stay where they are from now on."""
        self.state["live"] = live_address
        if self.network is not None:
            for name in ("weights", "streams", "frames", "listening", "block"):
                self.state[f"network_{name}"] = getattr(self.network, name).ctypes.data
            self.state["network_n_listening"] = self.network.listening.size
