"""A training run as its YAML file describes it, validated before anything else starts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rtdenoise.can.spec import CanSpec, shipped_spec, spec_from_mapping
from rtdenoise.can.training.mixtures import MixParams
from rtdenoise.errors import ConfigError

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything that decides what a run computes.

    Attributes
    ----------
    network : CanSpec
    loss : list of dict
        See `rtdenoise.can.training.losses.build_loss`.
    mixtures : MixParams
    data : str
        Folder of recordings, where none is named on the command line.
    pairs : bool
        Train on noisy and clean files of equal names as they are (VoiceBank-DEMAND); `mixtures` is not used then.
    workers : int
        Processes that make mixtures; 0: a thread, enough for one processor.
    devices : int
        Processors of one kind the batch is divided among: GPUs, or logical CPUs where there are none.
    batch_size : int
    crop_seconds : float
        Length of one training pair.
    steps : int
        Where the run ends.
    learning_rate, weight_decay, clip_norm, ema : float
        AdamW at its highest rate; global gradient norm; momentum of the averaged weights that are exported.
    warmup_steps : int
        Linear rise of the learning rate.
    decay_from, decay_steps : int
        Linear fall of the learning rate to a fiftieth, from this step on; 0 steps: constant to the end.
    compute_dtype : {"float32", "bfloat16", "float16"}
        Of the convolutions' inputs and kernels.
    seed : int
    checkpoint_seconds, validate_seconds : float
        Wall-clock intervals.
    patience : int
        Validations without a better SI-SDR + 4 * PESQ after which the run stops; 0: never.
    validation_clips : int
    validation_seconds : float
        Size of the fixed validation set.
    """

    network: CanSpec
    loss: list[dict[str, Any]]
    mixtures: MixParams = field(default_factory=MixParams)
    data: str = ""
    pairs: bool = False
    workers: int = 0
    devices: int = 1
    batch_size: int = 8
    crop_seconds: float = 2.5
    steps: int = 100_000
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999
    warmup_steps: int = 500
    decay_from: int = 0
    decay_steps: int = 0
    compute_dtype: str = "float32"
    seed: int = 1
    checkpoint_seconds: float = 240.0
    validate_seconds: float = 900.0
    patience: int = 0
    validation_clips: int = 40
    validation_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.type in ("int", "float")):
            if not isinstance(getattr(self, name), (int, float)):
                raise ConfigError(f"{name}={getattr(self, name)!r} must be a number (YAML reads 1.0e-3, not 1e-3)")
        positive = (
            "devices",
            "batch_size",
            "crop_seconds",
            "steps",
            "learning_rate",
            "clip_norm",
            "checkpoint_seconds",
        )
        for name in positive:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be above 0")
        if self.workers < 0:
            raise ConfigError(f"workers={self.workers} must not be negative")
        if self.batch_size % self.devices:
            raise ConfigError(f"batch_size={self.batch_size} must be a multiple of devices={self.devices}")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema={self.ema} must be at least 0 and below 1")
        if self.compute_dtype not in _DTYPES:
            raise ConfigError(f"compute_dtype={self.compute_dtype!r} must be one of {', '.join(_DTYPES)}")

    @property
    def n_samples(self) -> int:
        """Samples of one training pair: whole hops, and the network's latency on top."""
        hop = self.network.hop
        hops = round(self.crop_seconds * self.network.sample_rate / hop)
        return hops * hop + self.network.latency_samples

    @property
    def audio_seconds_per_step(self) -> float:
        """Sound that one step trains on."""
        return self.batch_size * (self.n_samples - self.network.latency_samples) / self.network.sample_rate


def settings_from_mapping(values: dict[str, Any]) -> TrainSettings:
    """Settings from parsed YAML; ``network`` is the name of a shipped specification or a mapping.

    Raises
    ------
    ConfigError
        For unknown or missing keys and impossible values.
    """
    known = [f.name for f in fields(TrainSettings)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in a training configuration; known are {', '.join(known)}")
    given = dict(values)
    network = given.get("network")
    if isinstance(network, str):
        given["network"] = shipped_spec(network)
    elif isinstance(network, dict):
        given["network"] = spec_from_mapping(network)
    else:
        raise ConfigError("a training configuration needs network: a specification's name or a mapping")
    mixtures = given.get("mixtures", {})
    unknown = sorted(set(mixtures) - set(MixParams.__dataclass_fields__))
    if unknown:
        raise ConfigError(
            f"unknown key {unknown[0]!r} in mixtures; known are {', '.join(MixParams.__dataclass_fields__)}"
        )
    given["mixtures"] = MixParams(**mixtures)
    try:
        return TrainSettings(**given)
    except TypeError as error:
        raise ConfigError(f"training configuration: {error}") from error


def load_settings(path: Path, changes: list[str] | None = None) -> TrainSettings:
    """Settings from a YAML file, with ``key=value`` (or ``mixtures.key=value``) changes on top.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or describes a run that cannot work.
    """
    return settings_from_mapping(read_configuration(path, changes))


def read_configuration(path: Path, changes: list[str] | None = None) -> dict[str, Any]:
    """The mapping in a YAML file, with ``key=value`` changes on top; not validated yet.

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML or no mapping, or a change is not written as one.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a training configuration is a mapping of keys to values")
    for change in changes or []:
        key, separator, text = change.partition("=")
        if not separator:
            raise ConfigError(f"{change!r}: changes are written key=value")
        *parents, last = key.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.safe_load(text)
    return values
