"""Settings of a feature network's training run, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.spec import KINDS, FeatureSpec, feature_spec

NAME = "feature-network"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """Location and use of the labelled sounds of one task.

    Attributes
    ----------
    name : str
    kind : {"single", "multi"}
    data : str
        Folder or table; the run's own if empty.
    only : str
        Pattern of paths below the folder.
    exclude : list of str
        Labels to leave out.
    share : float
        Of the examples of a batch.
    mixing : float
        Probability that two clips sound together.
    """

    name: str
    kind: Literal["single", "multi"] = "single"
    data: str = ""
    only: str = "*"
    exclude: list[str] = field(default_factory=list)
    share: float = 1.0
    mixing: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind={self.kind!r} of task {self.name!r} must be one of {', '.join(KINDS)}")
        if self.share <= 0.0:
            raise ConfigError(f"share={self.share} of task {self.name!r} must be above 0")
        if not 0.0 <= self.mixing <= 1.0:
            raise ConfigError(f"mixing={self.mixing} of task {self.name!r} must be a probability between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSettings:
    """All settings that determine the result; names as in `rtdenoise.lab.training.settings.TrainSettings`.

    Attributes
    ----------
    classifier : FeatureSpec
    tasks : list of TaskSettings
    dropout : float
        Share of the averaged features dropped while training.
    smoothing : float
        Share of a single-label target that is spread over all classes.
    """

    classifier: FeatureSpec
    tasks: list[TaskSettings]
    data: str = ""
    batch_size: int = 32
    crop_seconds: float = 1.5
    steps: int = 10_000
    learning_rate: float = 2.0e-3
    weight_decay: float = 0.02
    clip_norm: float = 2.0
    ema: float = 0.99
    warmup_steps: int = 200
    decay_from: int = 0
    decay_steps: int = 0
    dropout: float = 0.0
    smoothing: float = 0.0
    seed: int = 1
    checkpoint_seconds: float = 240.0
    validate_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.type in ("int", "float")):
            value = getattr(self, name)
            if not isinstance(value, (int, float)):
                raise ConfigError(f"{name}={value!r} must be a number (YAML reads 1.0e-3, not 1e-3)")
        for name in ("batch_size", "crop_seconds", "steps", "learning_rate", "clip_norm", "checkpoint_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be above 0")
        for name in ("ema", "dropout", "smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 0 and below 1")
        if self.n_samples < self.classifier.shortest:
            raise ConfigError(
                f"crop_seconds={self.crop_seconds} must be at least "
                f"{self.classifier.shortest / self.classifier.sample_rate:.3f} s: {self.classifier.layers} layers "
                "halve it down to one row"
            )
        names = [task.name for task in self.tasks]
        if not names:
            raise ConfigError("tasks is empty: a feature network needs at least one list of labelled sounds")
        if len(set(names)) < len(names):
            raise ConfigError(f"tasks {', '.join(names)}: each needs a name of its own")

    @property
    def n_samples(self) -> int:
        """Samples of one example."""
        return round(self.crop_seconds * self.classifier.sample_rate)

    @property
    def audio_seconds_per_step(self) -> float:
        """Seconds of audio in one step."""
        return self.batch_size * self.crop_seconds


def classifier_settings(values: dict[str, Any]) -> ClassifierSettings:
    """Settings from parsed YAML.

    Raises
    ------
    ConfigError
        For unknown or missing keys and impossible values.
    """
    given = dict(values)
    _check_keys(given, ClassifierSettings, "a feature network's configuration")
    given["classifier"] = feature_spec(given.get("classifier") or {})
    tasks = given.get("tasks") or []
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ConfigError("tasks must be a list of mappings, each with name, kind and data")
    for task in tasks:
        _check_keys(task, TaskSettings, "a task")
    try:
        given["tasks"] = [TaskSettings(**task) for task in tasks]
        return ClassifierSettings(**given)
    except TypeError as error:
        raise ConfigError(f"configuration of a feature network: {error}") from error


def _check_keys(values: dict[str, Any], kind: Any, where: str) -> None:
    known = [f.name for f in fields(kind)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in {where}; known are {', '.join(known)}")
