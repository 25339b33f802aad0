"""CAN as a `Denoiser`: run a trained network on one stream, hop by hop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rtdenoise.errors import ConfigError, require_choice
from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.overlap_add import usable
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.shared import packed_model
from rtdenoise.methods.can.engine import LiteRtEngine, StepEngine
from rtdenoise.methods.can.models import Model, engine_for, open_model
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.spectra import Spectra
from rtdenoise.methods.can.whole import WholeNetwork
from rtdenoise.streaming.blocks import fit_blocks
from rtdenoise.typing import F32

ENGINES = ("auto", "numba", "litert", "tf")
PRECISIONS = ("float", "int8")
DEFAULT_MODEL = "can-live"


class SpectralCan:
    """A spectral network between overlap-add analysis and synthesis.

    Parameters
    ----------
    spec : CanSpec
    engine : StepEngine
        For one stream.
    gain_min_db : float, optional
        Lowest gain; the specification's if not given.

    Attributes
    ----------
    gain_min : (1,) float32
        Amplitude; may be written while audio runs.
    """

    channels = 1

    def __init__(self, spec: CanSpec, engine: StepEngine, gain_min_db: float | None = None) -> None:
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples
        self._spectra = Spectra(spec, 1, gain_min_db)
        self.gain_min = self._spectra.inputs["gain_min"]
        self._engine = engine
        _warm_up(self)

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        block, target = fit_blocks(block, out, (self.hop,))
        self._spectra.analyse(block.reshape(1, -1))
        self._spectra.synthesise(self._engine.step(self._spectra.inputs), target.reshape(1, -1))
        if target is not out:
            out[...] = target

    def reset(self) -> None:
        """Forget the signal."""
        self._spectra.reset()
        self._engine.reset()


class WaveCan:
    """A network that reads and writes samples; its delay comes from the block, learnt frames and lookahead only.

    Parameters
    ----------
    spec : CanSpec
    engine : StepEngine
        For one stream.
    """

    channels = 1

    def __init__(self, spec: CanSpec, engine: StepEngine) -> None:
        self.sample_rate, self.hop = spec.sample_rate, spec.hop
        self.latency_samples = spec.latency_samples + spec.lookahead_samples
        self._rows = np.zeros((spec.hop, 1), np.float32)
        self._inputs = {"rows": self._rows}
        self._engine = engine
        _warm_up(self)

    def process(self, block: F32, out: F32) -> None:
        """Enhance one hop; see `rtdenoise.typing.Denoiser`."""
        block, _ = fit_blocks(block, out, (self.hop,))
        copy_usable(block, self._rows[:, 0])
        out[:] = self._engine.step(self._inputs)["rows"][:, 0]

    def reset(self) -> None:
        """Forget the signal."""
        self._engine.reset()


class WholeFileCan(WaveCan):
    """A network that normalises whole files with their own statistics, and streams with stored ones.

    Parameters
    ----------
    network : WholeNetwork
    engine : StepEngine
        The same network with stored statistics folded in.
    """

    def __init__(self, network: WholeNetwork, engine: StepEngine) -> None:
        super().__init__(network.spec, engine)
        self._network = network

    def denoise_whole(self, signal: F32) -> F32:
        """Enhance a whole signal, ``(n,)`` in and out, aligned; see `rtdenoise.streaming.whole.whole_of`."""
        return self._network.run(np.where(np.isfinite(signal), signal, np.float32(0.0)))


@kernel
def copy_usable(block: F32, rows: F32) -> None:
    """Copy `block` ``(hop,)`` to `rows` ``(hop,)``; unusable samples (NaN, infinite) count as 0."""
    for n in range(block.size):
        rows[n] = usable(block[n])


def _warm_up(denoiser: SpectralCan | WaveCan) -> None:
    """Compile and allocate now, so that no later call has to."""
    silence = np.zeros(denoiser.hop, np.float32)
    denoiser.process(silence, np.empty_like(silence))
    denoiser.reset()


def build_can(
    model: str | Path = DEFAULT_MODEL,
    *,
    engine: str = "auto",
    precision: str = "float",
    device: str = "cpu",
    attenuation_limit_db: float | None = None,
    sample_rate: int | None = None,
) -> CompiledCan | SpectralCan | WaveCan:
    """Build a denoiser from a trained model.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, or the folder of a model.
    engine : {"auto", "numba", "litert", "tf"}
        See `rtdenoise.methods.can.models.engine_for` for "auto".
    precision : {"float", "int8"}
        Precision of the LiteRT engine; int8 halves the cost, with slightly different output from all other engines.
    device : {"cpu", "gpu", "auto"}
        Device of the TensorFlow engine.
    attenuation_limit_db : float, optional
        Maximum attenuation of a spectral network; the limit of the model if not given.
    sample_rate : int, optional
        Rate at which a spectral network in the compiled engine runs; the model's if not given.  All others run at the
        rate of the model.

    Raises
    ------
    ConfigError
        For an unknown engine or precision, or a limit below 0 dB.
    ModelError, MissingExtraError, DeviceError
        If the model, a package or a device is missing or unusable.
    """
    require_choice("engine", engine, ENGINES)
    require_choice("precision", precision, PRECISIONS)
    if precision == "int8" and engine not in ("auto", "litert"):
        raise ConfigError("precision='int8' needs engine='litert'")
    if attenuation_limit_db is not None and attenuation_limit_db < 0.0:
        raise ConfigError(f"attenuation_limit_db={attenuation_limit_db} must not be negative")
    found = open_model(model)
    spec = found.spec
    limit_db = None if attenuation_limit_db is None else -attenuation_limit_db
    engine = engine_for(spec, engine, precision)
    if device == "gpu" and engine != "tf":
        raise ConfigError(f"device='gpu' needs engine='tf' (--engine tf); {engine} runs on the CPU")
    if engine == "numba":
        return CompiledCan(packed_model(found, sample_rate), limit_db, sample_rate)
    runner = _engine(found, engine, precision, device)
    if spec.statistics == "file":
        return WholeFileCan(found.whole_network(), runner)
    if spec.domain != "spectral":
        return WaveCan(spec, runner)
    return SpectralCan(spec, runner, limit_db)


def _engine(model: Model, engine: str, precision: str, device: str) -> StepEngine:
    if engine == "litert":
        return LiteRtEngine(model.spec, model.litert() if precision == "float" else model.litert_int8())
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(model.network(), device=device)
