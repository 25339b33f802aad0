"""Spectral network as a `Denoiser` with a compiled hop."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import ready
from rtdenoise.kernels.sized import headers
from rtdenoise.methods.can.compiled import hop as compiled
from rtdenoise.methods.can.compiled.records import initial_records
from rtdenoise.methods.can.compiled.shared import Packed, pack
from rtdenoise.methods.can.weights import Network
from rtdenoise.streaming.blocks import fit_blocks
from rtdenoise.streaming.presence.bands import n_present, pooling
from rtdenoise.streaming.presence.reading import Reading, reading_from, silence
from rtdenoise.typing import F32

_TINY, _LOG_MAX = np.float32(1e-12), np.float32(9.0)


class CompiledCan:
    """One stream of a network over spectra, without a framework; see `rtdenoise.kernels.eight_bits` for its products.

    Runs natively at any rate: frames last as long as at the network's own, which reads and masks the bins that it knows
    (`rtdenoise.methods.can.compiled.grid`).

    Parameters
    ----------
    network : Network or Packed
        Weights are rounded as they are stored; those of shipped models already are.  Streams share those of a `Packed`.
    gain_min_db : float, optional
        Lowest gain; the specification's if not given.
    sample_rate : int, optional
        8 to 192 kHz; the specification's if not given.

    Attributes
    ----------
    framing : Framing
    gain_min : (1,) float32
        Amplitude; may be written while audio runs.

    Raises
    ------
    ConfigError
        For a network over samples or learnt frames, or a rate out of range.
    """

    channels = 1

    def __init__(
        self, network: Network | Packed, gain_min_db: float | None = None, sample_rate: int | None = None
    ) -> None:
        packed = network if isinstance(network, Packed) else pack(network)
        spec = packed.spec
        records = initial_records(spec, sample_rate or spec.sample_rate, gain_min_db)
        self.framing, self._initial = records.framing, (records.stream, records.frames, records.listening)
        self.sample_rate, self.hop = self.framing.sample_rate, self.framing.hop
        self.latency_samples = self.framing.latency_samples
        self._network_rate, self._weights = spec.sample_rate, packed.weights
        self._stream, self._frames, self._listening = (array.copy() for array in self._initial)
        self._headers = headers(self._frames), headers(self._listening)
        self.gain_min: F32 = self._stream["gain_min"]
        silence = np.zeros(self.hop, np.float32)
        self._records = self._weights, self._stream, *self._headers
        self._hops = ready(compiled.hops, silence, silence, self.hop, *self._records)  # compiles now, if it has to
        self.process(silence, silence)  # the transform makes its plans
        self.reset()

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        block, target = fit_blocks(block, out, (self.hop,))
        self._hops(block, target, self.hop, *self._records)
        if target is not out:
            out[...] = target

    def process_hops(self, signal: F32, out: F32) -> None:
        """Enhance a whole number of hops, ``(n * hop,)`` float32 in and out, in one compiled call."""
        signal, target = fit_blocks(signal, out, (len(signal),))
        self._hops(signal, target, self.hop, *self._records)
        if target is not out:
            out[...] = target

    def reading(self) -> Reading:
        """Speech presence and SNR after the last hop, from the gain before its limit and the levels of the record."""
        n = n_present(min(self.sample_rate, self._network_rate))
        if not self._frames[0]["history"].any():
            return silence(n)
        return reading_from(self.presence_features(), "networks", n)

    def presence_features(self) -> F32:
        """Return what speech presence is computed from, after a hop.

        The gain is the one before its limit, so that an attenuation limit changes nothing; what the layers after the
        stack add to it is left out.

        Returns
        -------
        (40,) float32
            Logarithm of kept over removed power, and height above the floor, in each band.
        """
        weights, stream = self._weights[0], self._stream[0]
        n, newest = stream["gain"].size, stream["newest"]
        outputs, heights = stream["outputs"][newest], stream["heights"][newest]
        logits = outputs[:n] + heights[0] * weights["skip"][0] + heights[1] * weights["skip"][1]
        if weights["share"].size:
            beside, skip = stream["banded_outputs"][newest], weights["banded_skip"]
            logits = weights["share"][:n] * logits + beside[:n] + heights[0] * skip[0] + heights[1] * skip[1]
        gain = np.exp(-weights["mask_power"] * np.logaddexp(np.float32(0.0), -logits))
        power, into = np.exp(stream["inputs"][newest, :n]), pooling(n, self._network_rate)
        ratio = (power * gain * gain) @ into + _TINY
        ratio /= (power * np.square(1.0 - gain)) @ into + _TINY
        height = heights[1] @ into / np.maximum(into.sum(0), _TINY)
        return np.concatenate([np.clip(np.log(ratio), -_LOG_MAX, _LOG_MAX), height]).astype(np.float32)

    def reset(self) -> None:
        """Forget the signal."""
        self._stream[...], self._frames[...], self._listening[...] = self._initial
