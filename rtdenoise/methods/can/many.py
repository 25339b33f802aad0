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
from rtdenoise.rates import check_rate
from rtdenoise.streaming.blocks import check_block, check_hops
from rtdenoise.typing import F32

ENGINES = ("auto", "numba", "tf")
_LIMIT_MAX_DB = 100.0


class ManyStreams:
    """Processes a fixed number of streams in lockstep, by an engine's steps.

    Parameters
    ----------
    spec : CanSpec
    engine : StepEngine
        For so many streams.
    streams : int
    gain_min_db : float, optional
        Lowest gain of a network over spectra; the specification's if not given.

    Attributes
    ----------
    sample_rate, hop, latency_samples : int
        As for one stream.
    """

    def __init__(self, spec: CanSpec, engine: StepEngine, streams: int, gain_min_db: float | None = None) -> None:
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples + spec.lookahead_samples
        self.streams = streams
        self._engine = engine
        self._spectra = Spectra(spec, streams, gain_min_db) if spec.domain == "spectral" else None
        self._rows = {"rows": np.zeros((streams * spec.hop, 1), np.float32)}
        silence = np.zeros((streams, spec.hop), np.float32)
        self.process(silence, np.empty_like(silence))
        self.reset()

    def process(self, blocks: F32, outs: F32) -> None:
        """As `rtdenoise.methods.can.compiled.many.CompiledStreams.process`, of all streams."""
        n = check_hops(blocks, self.hop)
        check_block(blocks, outs, (self.streams, n))
        for start in range(0, n, self.hop):
            part = slice(start, start + self.hop)
            outs[:, part] = self._step(np.ascontiguousarray(blocks[:, part]))

    def _step(self, blocks: F32) -> F32:
        """The output for one hop of every stream, (streams, hop)."""
        if self._spectra is None:
            copy_usable(blocks.reshape(-1), self._rows["rows"][:, 0])
            return self._engine.step(self._rows)["rows"].reshape(blocks.shape)
        self._spectra.analyse(blocks)
        outs = np.empty_like(blocks)
        self._spectra.synthesise(self._engine.step(self._spectra.inputs), outs)
        return outs

    def reset(self) -> None:
        """Forget all signals."""
        if self._spectra is not None:
            self._spectra.reset()
        self._engine.reset()


def build_many(
    streams: int,
    model: str | Path = DEFAULT_MODEL,
    *,
    sample_rate: int | None = None,
    engine: str = "auto",
    device: str = "cpu",
    attenuation_limit_db: float | None = None,
) -> ManyStreams | CompiledStreams:
    """Build many streams through a trained model.

    Parameters
    ----------
    streams : int
    model : str or path
    sample_rate : int, optional
        8 to 192 kHz in compiled code, in TensorFlow that of the model; the model's if not given.
    engine : "auto", "numba" or "tf"
        Compiled code, for networks over spectra on the processor, or TensorFlow; "auto" takes the first where it can.
    device : "cpu", "gpu" or "auto"
        For TensorFlow.
    attenuation_limit_db : float, optional
        Maximum attenuation of a network over spectra, 0 to 100 dB; the limit of the model if not given.

    Raises
    ------
    ConfigError
        For fewer than one stream, an engine that cannot, or a rate or a limit out of range or not for this network.
    ModelError, MissingExtraError, DeviceError
        If the model, TensorFlow or the device is missing.
    """
    if streams < 1:
        raise ConfigError(f"streams={streams} must be at least 1")
    if engine not in ENGINES:
        raise ConfigError(f"engine={engine!r}: many streams are computed by one of {', '.join(ENGINES)}")
    if engine == "numba" and device != "cpu":
        raise ConfigError(f"engine='numba' runs on device='cpu', not on {device!r}; use engine='tf'")
    rate = None if sample_rate is None else check_rate(sample_rate)
    found = open_model(model)
    gain_min_db = _gain_min_db(attenuation_limit_db, found.spec)
    if engine == "numba" or (engine == "auto" and device == "cpu" and found.spec.domain == "spectral"):
        return CompiledStreams(packed_model(found, rate), streams, gain_min_db, rate)
    if rate not in (None, found.spec.sample_rate):
        raise ConfigError(
            f"sample_rate={rate}: TensorFlow runs {found.spec.name} at {found.spec.sample_rate} Hz only; resample the "
            "streams, or use engine='numba' for a network over spectra"
        )
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    runner = TensorFlowEngine(found.network(), streams=streams, device=device)
    return ManyStreams(found.spec, runner, streams, gain_min_db)


def _gain_min_db(attenuation_limit_db: float | None, spec: CanSpec) -> float | None:
    """Lowest gain for a limit, or None for the specification's."""
    if attenuation_limit_db is None:
        return None
    if not 0.0 <= attenuation_limit_db <= _LIMIT_MAX_DB:
        raise ConfigError(f"attenuation_limit_db={attenuation_limit_db} must be from 0 to {_LIMIT_MAX_DB:g} dB")
    if spec.domain != "spectral":
        raise ConfigError(
            f"attenuation_limit_db={attenuation_limit_db}: {spec.name} is not over spectra and has no gain to limit"
        )
    return -attenuation_limit_db
