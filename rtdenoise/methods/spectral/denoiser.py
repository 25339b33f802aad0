"""SS and WF as a `Denoiser`: any sample rate, full band, one channel or several linked ones."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.kernels.jit import ready
from rtdenoise.kernels.sized import headers
from rtdenoise.methods.spectral import hop as compiled
from rtdenoise.methods.spectral.params import SpectralParams
from rtdenoise.methods.spectral.state import (
    BYPASS,
    CONTEXT,
    CONTEXT_SUBTRACTION,
    DECISION_DIRECTED,
    FINE,
    LOG_MMSE,
    SUBTRACTION,
    initial_state,
)
from rtdenoise.streaming.blocks import fit_blocks
from rtdenoise.streaming.overlap_add import Framing, scaled_framing
from rtdenoise.streaming.presence.bands import n_present
from rtdenoise.streaming.presence.reading import Reading, highest, reading_from, silence
from rtdenoise.typing import F32


class SpectralDenoiser:
    """One stream through SS or WF.

    Runs natively at `sample_rate`: window lengths are constant in seconds, and every bin is enhanced.

    Parameters
    ----------
    method : "SS", "WF" or "bypass"
        "bypass" runs the same transforms with the same latency and a gain of one.
    params : SpectralParams
    sample_rate : int
        8 to 192 kHz.
    channels : int
        If more than one, coherent channels share one gain, which preserves the direction of sources.

    Attributes
    ----------
    framing : Framing
    state : (channels,) record array
        The complete state; scalar fields may be written while audio runs.

    Raises
    ------
    ConfigError
        For an unsupported sample rate or number of channels.
    """

    def __init__(self, method: str, params: SpectralParams, sample_rate: int, channels: int = 1) -> None:
        if channels < 1:
            raise ConfigError(f"channels={channels} must be at least 1")
        times = params.framing
        self.framing: Framing = scaled_framing(
            sample_rate, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
        )
        self.sample_rate = self.framing.sample_rate
        self.hop = self.framing.hop
        self.channels = channels
        self.latency_samples = self.framing.latency_samples
        self._initial = np.repeat(initial_state(self.framing, params, rule_of(method, params), channels), channels)
        self.state = self._initial.copy()
        self._headers = headers(self.state)
        self._shape = (self.hop,) if channels == 1 else (self.hop, channels)
        silence = np.zeros(self._shape, np.float32)
        hops = compiled.hops if channels == 1 else compiled.hops_linked
        self._hops = ready(
            hops, silence, silence, self.hop, self._headers
        )  # compiles now, so that no later call has to
        self.process(silence, silence)  # the transform makes its plans
        self.reset()

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        block, target = fit_blocks(block, out, self._shape)
        self._hops(block, target, self.hop, self._headers)
        if target is not out:
            out[...] = target

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops in one compiled call.

        Parameters
        ----------
        signal : (n * hop,) or (n * hop, channels) float32, read
        out : same shape, float32, written; may be `signal`
        """
        signal, target = fit_blocks(signal, out, (len(signal), *self._shape[1:]))
        self._hops(signal, target, self.hop, self._headers)
        if target is not out:
            out[...] = target

    def reading(self) -> Reading | None:
        """Speech presence and SNR after the last hop, from the features of the contextual a priori SNR.

        Returns
        -------
        Reading or None
            None for rules that compute no such features.
        """
        if self.state["rule"][0] not in (CONTEXT, FINE, CONTEXT_SUBTRACTION):
            return None
        return highest([_reading(state, self.sample_rate) for state in self.state])

    def reset(self) -> None:
        """Forget the signal and restore every parameter."""
        self.state[...] = self._initial


def _reading(state: np.ndarray, sample_rate: int) -> Reading:
    """Reading of one channel; before the first sound, and in digital silence, there is no speech."""
    n = n_present(sample_rate)
    if state["n_frames"] == 0 or state["n_silent"] >= state["history"].size:
        return silence(n)
    return reading_from(presence_features(state), "spectral", n)


def presence_features(state: np.ndarray) -> F32:
    """What speech presence is computed from, after a hop: the features of all bands; (140,) float32."""
    features: F32 = state["band_features"].reshape(-1)
    return features


def rule_of(method: str, params: SpectralParams) -> int:
    """Return the value of the record field ``rule`` for a method and its parameters."""
    if method == "WF":
        rules = {"context": CONTEXT, "fine": FINE, "decision-directed": DECISION_DIRECTED, "log-mmse": LOG_MMSE}
        return rules[params.wiener.rule]
    if method == "SS":
        return CONTEXT_SUBTRACTION if params.subtraction.rule == "context" else SUBTRACTION
    return BYPASS
