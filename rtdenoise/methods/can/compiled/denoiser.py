"""Spectral network as a `Denoiser` with a compiled hop."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.compiled import hop as compiled
from rtdenoise.methods.can.compiled.state import initial_state
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.blocks import fit_blocks
from rtdenoise.streaming.presence.bands import n_present, pooling
from rtdenoise.streaming.presence.reading import Reading, reading_from, silence
from rtdenoise.typing import F32

_TINY, _LOG_MAX = np.float32(1e-12), np.float32(9.0)


class CompiledCan:
    """One stream of a network over spectra, 16-bit weights, 32-bit arithmetic; no framework other than numpy and numba.

    Parameters
    ----------
    network : Network
        Weights are rounded to 16-bit floats; those of shipped models already are.
    gain_min_db : float, optional
        Lowest gain; the specification's if not given.

    Attributes
    ----------
    state : (1,) record array
        The complete state, including weights.
    gain_min : (1,) float32
        Amplitude; may be written while audio runs.

    Raises
    ------
    ConfigError
        For a network over samples or learnt frames.
    """

    channels = 1

    def __init__(self, network: Network, gain_min_db: float | None = None) -> None:
        spec = network.spec
        if spec.domain != "spectral":
            raise ConfigError(f"{spec.name}: engine='numba' is for networks over spectra; use engine='litert'")
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples
        self._initial = initial_state(network, spec.gain_min_db if gain_min_db is None else gain_min_db)
        self.state, self._listening = (records.copy() for records in self._initial)
        self.gain_min: F32 = self.state["gain_min"]
        silence = np.zeros(self.hop, np.float32)
        self.process(silence, silence)  # compiles now, so that no later call has to
        self.reset()

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        block, target = fit_blocks(block, out, (self.hop,))
        compiled.hops(block, target, self.hop, self.state, self._listening)
        if target is not out:
            out[...] = target

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops, ``(n * hop,)`` float32 in and out, in one compiled call."""
        signal, target = fit_blocks(signal, out, (len(signal),))
        compiled.hops(signal, target, self.hop, self.state, self._listening)
        if target is not out:
            out[...] = target

    def reading(self) -> Reading:
        """Speech presence and SNR after the last hop, from the gain before its limit and the levels of the record."""
        return _reading(self.state[0], self.sample_rate)

    def reset(self) -> None:
        """Forget the signal."""
        self.state[...], self._listening[...] = self._initial


def _reading(state: np.void, sample_rate: int) -> Reading:
    n = n_present(sample_rate)
    return reading_from(presence_features(state, sample_rate), "networks", n) if state["history"].any() else silence(n)


def presence_features(state: np.void, sample_rate: int) -> F32:
    """What speech presence is computed from, after a hop.

    The gain is the one before its limit, so that an attenuation limit changes nothing; what the layers after the stack
    add to it is left out.

    Returns
    -------
    (40,) float32
        Logarithm of kept over removed power, and height above the floor, in each band.
    """
    n, outputs, heights = state["gain"].size, state["outputs"], state["heights"]
    logits = outputs[:n] + heights[0] * state["skip"][0] + heights[1] * state["skip"][1]
    gain = np.exp(-state["mask_power"] * np.logaddexp(np.float32(0.0), -logits))
    power, into = np.exp(state["inputs"][:n]), pooling(n, sample_rate)
    ratio = (power * gain * gain) @ into + _TINY
    ratio /= (power * np.square(1.0 - gain)) @ into + _TINY
    height = heights[1] @ into / np.maximum(into.sum(0), _TINY)
    return np.concatenate([np.clip(np.log(ratio), -_LOG_MAX, _LOG_MAX), height]).astype(np.float32)
