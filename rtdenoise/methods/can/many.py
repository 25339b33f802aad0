"""Batched inference: many independent streams per network step, for files, servers and GPUs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.compiled.many import CompiledStreams
from rtdenoise.methods.can.compiled.shared import packed_model
from rtdenoise.methods.can.engine import StepEngine
from rtdenoise.methods.can.models import open_model
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.spectra import Spectra
from rtdenoise.methods.can.streaming import DEFAULT_MODEL, copy_usable
from rtdenoise.typing import F32

ENGINES = ("auto", "numba", "tf")


class ManyStreams:
    """Processes a fixed number of streams in lockstep.

    Attributes
    ----------
    sample_rate, hop, latency_samples : int
        As for one stream.
    """

    def __init__(self, spec: CanSpec, engine: StepEngine, streams: int) -> None:
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples + spec.lookahead_samples
        self.streams = streams
        self._engine = engine
        self._spectra = Spectra(spec, streams) if spec.domain == "spectral" else None
        self._rows = {"rows": np.zeros((streams * spec.hop, 1), np.float32)}
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
            If an array has another shape or dtype.
        """
        shape = (self.streams, self.hop)
        for array in (blocks, outs):
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{array.dtype} {array.shape} where {shape} float32 is needed: a hop of each stream")
        if self._spectra is None:
            copy_usable(blocks.reshape(-1), self._rows["rows"][:, 0])
            outs[...] = self._engine.step(self._rows)["rows"].reshape(outs.shape)
            return
        self._spectra.analyse(blocks)
        self._spectra.synthesise(self._engine.step(self._spectra.inputs), outs)

    def reset(self) -> None:
        """Forget all signals."""
        if self._spectra is not None:
            self._spectra.reset()
        self._engine.reset()


def build_many(
    streams: int, model: str | Path = DEFAULT_MODEL, *, engine: str = "auto", device: str = "cpu"
) -> ManyStreams | CompiledStreams:
    """Build many streams through a trained model.

    Parameters
    ----------
    streams : int
    model : str or path
    engine : "auto", "numba" or "tf"
        Compiled code, for networks over spectra on the processor, or TensorFlow; "auto" takes the first where it can.
    device : "cpu", "gpu" or "auto"
        For TensorFlow.

    Raises
    ------
    ConfigError
        For fewer than one stream, or an engine that cannot.
    ModelError, MissingExtraError, DeviceError
        If the model, TensorFlow or the device is missing.
    """
    if streams < 1:
        raise ConfigError(f"streams={streams} must be at least 1")
    if engine not in ENGINES:
        raise ConfigError(f"engine={engine!r}: many streams are computed by one of {', '.join(ENGINES)}")
    found = open_model(model)
    if engine == "numba" and device != "cpu":
        raise ConfigError(f"engine='numba' runs on device='cpu', not on {device!r}; use engine='tf'")
    if engine == "numba" or (engine == "auto" and device == "cpu" and found.spec.domain == "spectral"):
        return CompiledStreams(packed_model(found), streams)
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    return ManyStreams(found.spec, TensorFlowEngine(found.network(), streams=streams, device=device), streams)
