"""Parse YAML files and mappings into validated settings; an unknown key is an error that lists the valid ones."""

from __future__ import annotations

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from rtdenoise.disk.shipped import data_folder
from rtdenoise.disk.yamltext import NotYamlError, load_yaml
from rtdenoise.errors import ConfigError, require_choice, shortened
from rtdenoise.methods.spectral.params import SpectralParams, require_range
from rtdenoise.rates import check_rate

T = TypeVar("T")

METHODS = ("SS", "WF", "CAN", "bypass")
CHANNEL_MODES = ("linked", "each", "downmix")
_ALIASES = {"ML": "CAN"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CanParams:
    """Context aggregation network (CAN): the name or folder of the model, its engine, precision and device.

    `attenuation_limit_db`: maximum attenuation; None uses the limit of the model.
    """

    model: str = "can-live"
    engine: str = "auto"
    precision: str = "float"
    device: str = "cpu"
    attenuation_limit_db: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError(f"can.model={self.model!r} must be the name or the folder of a network")
        require_choice("can.engine", self.engine, ("auto", "numba", "litert", "tf"))
        require_choice("can.precision", self.precision, ("float", "int8"))
        require_choice("can.device", self.device, ("cpu", "gpu", "auto"))
        if self.attenuation_limit_db is not None:
            require_range("can.attenuation_limit_db", self.attenuation_limit_db, 0.0, 100.0, "dB")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Complete settings of a denoiser; `preset` is the name of the preset they are based on.

    `channel_mode`: "linked": coherent channels share one gain (SS and WF; a network processes each separately),
    "each": every channel is processed separately, "downmix": the mean of all channels is enhanced and written to each.
    `processing_rate_hz`: resample to this rate and back; None: the rate of the stream, for networks over samples and
    those in LiteRT and TensorFlow the rate of the network.
    """

    method: str = "WF"
    preset: str = "balanced"
    channel_mode: str = "linked"
    processing_rate_hz: int | None = None
    spectral: SpectralParams = dataclasses.field(default_factory=SpectralParams)
    can: CanParams = dataclasses.field(default_factory=CanParams)

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_choice("channel_mode", self.channel_mode, CHANNEL_MODES)
        if self.processing_rate_hz is not None:
            check_rate(self.processing_rate_hz, "processing_rate_hz")

    @property
    def title(self) -> str:
        """The method with its preset, or with its network."""
        return f"{self.method} {self.can.model if self.method == 'CAN' else self.preset}"


def preset_names() -> list[str]:
    """Return the names of the shipped presets for SS and WF, longest delay first, then for ears before other uses."""
    found = {path.stem: _read(path) for path in data_folder("configs").glob("*.yaml")}
    presets = {name: given for name, given in found.items() if "framing" in given}
    order = {name: (-float(given["framing"]["span_seconds"]), "can" in given) for name, given in presets.items()}
    return sorted(order, key=lambda name: order[name])


def method_name(name: str) -> str:
    """Return the canonical name of a method given in any case or as an alias ("wf", "ML").

    Raises
    ------
    ConfigError
        For an unknown method.
    """
    known = {method.upper(): method for method in METHODS} | _ALIASES
    found = known.get(str(name).upper())
    if found is None:
        hint = f"; {network_hint(name)}" if is_network(name) else ""
        raise ConfigError(f"unknown method {shortened(name)}; valid: {', '.join(METHODS)} (ML is CAN){hint}")
    return found


def is_network(name: object) -> bool:
    """Whether `name` is a shipped network."""
    return name in {path.parent.name for path in data_folder("models").glob("*/spec.json")}


def network_hint(name: object) -> str:
    """Return a hint on how to select a network, for both Python and the command line."""
    return f"for the network give method='CAN', model={name!r} (--method CAN --model {name})"


def method_with(model: str | Path | None, method: str | None) -> str | None:
    """Return `method`, or "CAN" if only a network is given.

    Raises
    ------
    ConfigError
        If `model` is combined with another method.
    """
    if model is None or (method is not None and method_name(method) == "CAN"):
        return method
    if method is not None:
        raise ConfigError(f"model={shortened(model)} is a network: method='CAN', not {method!r}")
    return "CAN"


def load_settings(
    *,
    method: str | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    default_preset: str = "balanced",
) -> Settings:
    """Load a preset, then apply a configuration and the overrides, in that order.

    Parameters
    ----------
    method : str, optional
        Wins over the one in `config`.
    preset : str, optional
        Wins over the one in `config`.
    config : path or mapping, optional
        Path of a YAML file, or a mapping: any keys of a preset, plus ``method`` and ``preset``.
    overrides : mapping, optional
        Nested like a configuration.
    default_preset : str
        Used if neither `preset` nor `config` names one.

    Raises
    ------
    ConfigError
        For an unknown key, preset or method, a bad value or an unreadable file.
    """
    merged_given = merge(_given(config), overrides or {})
    if "network" in merged_given:
        what = "this mapping" if isinstance(config, Mapping) else str(config)
        raise ConfigError(
            f"{what} is a training configuration (rtdenoise train), which has no settings of a method; "
            "a trained network is chosen by model= (--model)"
        )
    name = preset or merged_given.pop("preset", None) or default_preset
    merged_given.pop("preset", None)
    merged = merge(_read(_preset_path(str(name))), merged_given)
    merged.pop("description", None)
    chosen = method_name(method or merged.pop("method", "WF"))
    merged.pop("method", None)
    network = merged.pop("can", {})
    top = {f.name for f in dataclasses.fields(Settings)} - {"spectral", "method", "preset", "can"}
    own = {key: merged.pop(key) for key in list(merged) if key in top}
    spectral = from_mapping(SpectralParams, merged, also_valid=["method", "preset", "can", *sorted(top)])
    can = from_mapping(CanParams, network, "can")
    if can.attenuation_limit_db is None and "attenuation_limit_db" in merged_given:  # explicit, not from a preset
        can = dataclasses.replace(can, attenuation_limit_db=merged_given["attenuation_limit_db"])
    return Settings(method=chosen, preset=str(name), spectral=spectral, can=can, **own)


def _given(config: object) -> dict[str, Any]:
    """Return the configuration given by the caller as a new dict."""
    if config is None:
        return {}
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, (str, os.PathLike)):
        return _read(Path(config))
    raise ConfigError(f"config={shortened(config)} must be the path of a YAML file or a mapping of keys to values")


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `base` updated with `change`; nested sections are merged key by key."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Parse ``("noise.tracker=minimum", "mix=.5")`` into nested mappings; values are YAML.

    Raises
    ------
    ConfigError
        If one is not KEY=VALUE, or contradicts another.
    """
    nested: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"{text}: give KEY=VALUE, for example noise.tracker=minimum")
        try:
            parsed = load_yaml(value, text)
        except ConfigError:
            raise
        except NotYamlError as error:
            raise ConfigError(f"{text}: {value!r} is not a value YAML can read") from error
        section = nested
        for key in keys[:-1]:
            inner = section.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{text}: {key} was set to {inner!r} before")
            section = inner
        section[keys[-1]] = _number(parsed)
    return nested


def _number(value: Any) -> Any:
    """Convert text such as ``1e-3``, which YAML 1.1 reads as a string, to a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def from_mapping(kind: type[T], values: Any, where: str = "", also_valid: list[str] | None = None) -> T:
    """Build the frozen dataclass `kind` from nested mappings.

    Raises
    ------
    ConfigError
        If a section is not a mapping or a key is unknown; the message lists the valid keys.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or 'the configuration'} must be a mapping of keys to values, not {values!r}")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]  # callers pass dataclasses only
    built: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in names:
            raise ConfigError(unknown_key(path, str(key), sorted(names + (also_valid or []))))
        section = dataclasses.is_dataclass(hints[key])
        built[key] = from_mapping(hints[key], value, path) if section else value
    return kind(**built)


def unknown_key(path: str, key: str, valid: list[str]) -> str:
    """Return the error message for an unknown key, with the closest valid key as a suggestion."""
    near = difflib.get_close_matches(key, valid, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"unknown key {path!r}{hint} Valid here: {', '.join(valid)}"
        if hint
        else f"unknown key {path!r}; valid here: {', '.join(valid)}"
    )


def _preset_path(name: str) -> Path:
    found = {path.stem: path for path in data_folder("configs").glob("*.yaml")}.get(name)
    if found is not None and "framing" in _read(found):
        return found
    valid = f"valid: {', '.join(preset_names())}"
    if is_network(name):
        raise ConfigError(f"{name!r} is a network, not a preset ({valid}); {network_hint(name)}")
    if found is not None:
        raise ConfigError(f"{name!r} is a training configuration (rtdenoise train {name}), not a preset; {valid}")
    raise ConfigError(f"unknown preset {shortened(name)}; {valid}")


@lru_cache(maxsize=64)
def _read_text(path: Path, _modified_ns: int) -> dict[str, Any]:
    try:
        content = load_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from error
    except ConfigError:
        raise
    except NotYamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(content).__name__}")
    return content


def _read(path: Path) -> dict[str, Any]:
    try:
        modified_ns = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:  # ValueError: a null character
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the configuration {path}: {why}") from error
    return dict(_read_text(path, modified_ns))
