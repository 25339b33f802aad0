"""Architecture of a feature network, and its classification tasks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from rtdenoise.errors import ConfigError

KINDS = ("single", "multi")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """Strided convolutions over samples, averaged over time; Germain et al. (2018), section 2.2 and table 1.

    Attributes
    ----------
    layers : int
        Convolutions; every one halves the number of rows, the last one does not.
    channels : int
        Of the first layers.
    double_every : int
        Layers after which the channels double.
    kernel : int
        Taps of each convolution.
    slope : float
        Of the leaky rectifier, for negative input.
    sample_rate : int
        In Hz.
    """

    layers: int = 14
    channels: int = 32
    double_every: int = 5
    kernel: int = 3
    slope: float = 0.2
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        for key in ("layers", "channels", "double_every", "kernel", "sample_rate"):
            value = getattr(self, key)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"{key}={value!r} must be a whole number of at least 1")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel={self.kernel} must be odd: taps lie around each row")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every layer."""
        return tuple(self.channels * 2 ** (n // self.double_every) for n in range(self.layers))

    @property
    def strides(self) -> tuple[int, ...]:
        """Rows of its input per row of each layer."""
        return (2,) * (self.layers - 1) + (1,)

    @property
    def shortest(self) -> int:
        """Minimum number of samples for every layer to have at least one row."""
        return int(2 ** (self.layers - 1))

    @property
    def receptive_field(self) -> int:
        """Samples that one row of the last layer depends on."""
        reach, step = 1, 1
        for stride in self.strides:
            reach += (self.kernel - 1) * step
            step *= stride
        return reach

    def as_json(self) -> str:
        """The specification as readable JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def feature_spec(values: dict[str, Any]) -> FeatureSpec:
    """A specification from parsed JSON or YAML.

    Raises
    ------
    ConfigError
        For an unknown key or an impossible value.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"classifier={values!r} must be a mapping")
    known = [f.name for f in fields(FeatureSpec)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in a feature network; known are {', '.join(known)}")
    return FeatureSpec(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One classification task, with a separate linear head.

    Attributes
    ----------
    name : str
    kind : {"single", "multi"}
        Exactly one label, or any number of them.
    classes : tuple of str
        Labels, in the order of the head's outputs.
    """

    name: str
    kind: Literal["single", "multi"]
    classes: tuple[str, ...]
