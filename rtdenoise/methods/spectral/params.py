"""User parameters of SS and WF, in seconds and dB, validated on construction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rtdenoise.errors import ConfigError, require_choice

TRACKERS = ("presence", "minimum", "beginning")
SUBTRACTION_RULES = ("context", "band")
RULES = ("context", "fine", "decision-directed", "log-mmse")


def require_range(name: str, value: object, low: float, high: float, unit: str = "") -> None:
    """Raise `ConfigError` unless `value` is a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or not low <= value <= high:
        raise ConfigError(f"{name}={value!r} must be a number from {low:g} to {high:g}{unit and ' ' + unit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FramingParams:
    """Window lengths in seconds, so that one preset serves every sample rate."""

    frame_seconds: float = 0.032
    span_seconds: float = 0.016
    overlap: int = 2

    def __post_init__(self) -> None:
        require_range("framing.frame_seconds", self.frame_seconds, 0.004, 0.128, "s")
        require_range("framing.span_seconds", self.span_seconds, 0.002, 0.128, "s")
        require_choice("framing.overlap", self.overlap, (2, 4, 8))
        if self.span_seconds > self.frame_seconds:
            raise ConfigError(
                f"framing.span_seconds={self.span_seconds} must not exceed frame_seconds={self.frame_seconds}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseParams:
    """Noise PSD tracking; `smoothing_seconds` applies to the presence tracker."""

    tracker: str = "presence"
    smoothing_seconds: float = 0.22
    minimum_window_seconds: float = 1.536
    beginning_seconds: float = 0.25

    def __post_init__(self) -> None:
        require_choice("noise.tracker", self.tracker, TRACKERS)
        require_range("noise.smoothing_seconds", self.smoothing_seconds, 0.0, 10.0, "s")
        require_range("noise.minimum_window_seconds", self.minimum_window_seconds, 0.1, 10.0, "s")
        require_range("noise.beginning_seconds", self.beginning_seconds, 0.01, 60.0, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class WienerParams:
    """Wiener filter (WF): the rule for a priori SNR and gain, and the decision-directed smoothing.

    "decision-directed", "context" and "fine" are estimators of the a priori SNR for a Wiener gain: from the past of the
    bin, from 20 bands as well, and from the neighbourhood of the bin in addition, each a few times as expensive as the
    one before; "log-mmse" is the log-spectral amplitude gain with the decision-directed estimate.
    """

    rule: str = "context"
    prior_smoothing_seconds: float = 0.058

    def __post_init__(self) -> None:
        require_choice("wiener.rule", self.rule, RULES)
        require_range("wiener.prior_smoothing_seconds", self.prior_smoothing_seconds, 0.0, 10.0, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtractionParams:
    """Spectral subtraction (SS): `rule` selects the SNR that controls over-subtraction.

    "context": the fitted SNR of every bin; "band": the SNR of `n_bands` bands, one for Berouti's method, more for
    Kamath and Loizou's.
    """

    rule: str = "context"
    n_bands: int = 1
    smoothing_seconds: float = 0.03
    floor_db: float = -17.0

    def __post_init__(self) -> None:
        require_choice("subtraction.rule", self.rule, SUBTRACTION_RULES)
        if isinstance(self.n_bands, bool) or not isinstance(self.n_bands, int) or not 1 <= self.n_bands <= 16:
            raise ConfigError(f"subtraction.n_bands={self.n_bands!r} must be a whole number from 1 to 16")
        require_range("subtraction.smoothing_seconds", self.smoothing_seconds, 0.0, 1.0, "s")
        require_range("subtraction.floor_db", self.floor_db, -60.0, 0.0, "dB")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralParams:
    """All parameters of SS and WF.  `mix` is the enhanced share: 1 enhanced only, 0 the delayed input."""

    framing: FramingParams = field(default_factory=FramingParams)
    noise: NoiseParams = field(default_factory=NoiseParams)
    wiener: WienerParams = field(default_factory=WienerParams)
    subtraction: SubtractionParams = field(default_factory=SubtractionParams)
    attenuation_limit_db: float = 18.0
    mix: float = 1.0

    def __post_init__(self) -> None:
        require_range("attenuation_limit_db", self.attenuation_limit_db, 0.0, 100.0, "dB")
        require_range("mix", self.mix, 0.0, 1.0)
