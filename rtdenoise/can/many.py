"""Many independent streams through one network in one step: for files, servers and GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.can.engine import StepEngine
from rtdenoise.can.models import open_model
from rtdenoise.can.spec import CanSpec
from rtdenoise.can.streaming import DEFAULT_MODEL, copy_usable
from rtdenoise.errors import ConfigError
from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.overlap_add import analyse, synthesise
from rtdenoise.streaming.overlap_add import Framing, fill_windows, overlap_add_fields
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db


@kernel
def analyse_each(blocks: F32, states: np.ndarray) -> None:
    """`analyse` for each of (n_streams, hop) float32 blocks with its own record."""
    for stream in range(states.size):
        analyse(blocks[stream], states[stream])


@kernel
def synthesise_each(outs: F32, states: np.ndarray) -> None:
    """`synthesise` for each of (n_streams, hop) float32 outputs with its own record."""
    for stream in range(states.size):
        synthesise(outs[stream], states[stream])


class ManyStreams:
    """As many streams as the engine was built for, in step with each other.

    Parameters
    ----------
    spec : CanSpec
    engine : StepEngine
    streams : int

    Attributes
    ----------
    sample_rate, hop, latency_samples : int
        As for one stream.
    """

    def __init__(self, spec: CanSpec, engine: StepEngine, streams: int) -> None:
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples + spec.lookahead_samples
        self.streams = streams
        self._spec, self._engine = spec, engine
        if spec.domain != "spectral":
            self._inputs: dict[str, F32] = {"rows": np.zeros((streams * spec.hop, 1), np.float32)}
        else:
            framing = Framing(sample_rate=spec.sample_rate, frame=spec.frame, span=spec.span, hop=spec.hop)
            self._initial = np.zeros(streams, np.dtype(overlap_add_fields(framing), align=True))
            for record in self._initial:
                fill_windows(record, framing)
            self._states: Any = self._initial.copy()
            shape = (streams, spec.n_bins)
            self._inputs = {"real": np.zeros(shape, np.float32), "imag": np.zeros(shape, np.float32)}
            self._inputs["gain_min"] = np.full(1, amplitude_from_db(spec.gain_min_db), np.float32)
        silence = np.zeros((streams, spec.hop), np.float32)
        self.process(silence, np.empty_like(silence))
        self.reset()

    def process(self, blocks: F32, outs: F32) -> None:
        """Enhance one hop of every stream.

        Parameters
        ----------
        blocks : (streams, hop) float32, read
        outs : (streams, hop) float32, written
            May be `blocks` itself.

        Raises
        ------
        ValueError
            For arrays of another shape or type.
        """
        shape = (self.streams, self.hop)
        for array in (blocks, outs):
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{array.dtype} {array.shape} where {shape} float32 is needed: a hop of each stream")
        if self._spec.domain != "spectral":
            copy_usable(blocks.reshape(-1), self._inputs["rows"][:, 0])
            outs[...] = self._engine.step(self._inputs)["rows"].reshape(outs.shape)
            return
        analyse_each(blocks, self._states)
        spectra = self._states["spectrum"]
        self._inputs["real"][...] = spectra.real
        self._inputs["imag"][...] = spectra.imag
        answer = self._engine.step(self._inputs)
        spectra.real = answer["real"]
        spectra.imag = answer["imag"]
        synthesise_each(outs, self._states)

    def reset(self) -> None:
        """Forget all signals."""
        if self._spec.domain == "spectral":
            self._states[...] = self._initial
        self._engine.reset()


def build_many(streams: int, model: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> ManyStreams:
    """Streams through a trained model, computed by TensorFlow.

    Raises
    ------
    ConfigError
        For less than one stream.
    ModelError, MissingExtraError, DeviceError
        If the model, TensorFlow or the device is not there.
    """
    if streams < 1:
        raise ConfigError(f"streams={streams} must be at least 1")
    from rtdenoise.can.tensorflow_engine import TensorFlowEngine

    found = open_model(model)
    return ManyStreams(found.spec, TensorFlowEngine(found.network(), streams=streams, device=device), streams)
