"""What a page may choose for a session, and its form; nothing that a page sends is taken for a path."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rtdenoise.config import preset_names
from rtdenoise.errors import ConfigError, require_choice, shortened
from rtdenoise.live_audio.audio.devices import Device
from rtdenoise.live_audio.controls import LIMIT_NONE_DB, METHODS, VIRTUAL_MICROPHONE

Choices = dict[str, Any]
USUAL: Choices = {"input": "mic", "output": "speaker", "method": "WF", "preset": "low", "model": "can-live"}
OF_MICROPHONE = ("method", "preset", "model", "attenuation_limit_db", "mix")
"""What is remembered for each microphone."""

_TEXT_MAX = 200
_NUMBERS = {"attenuation_limit_db": (0.0, LIMIT_NONE_DB), "mix": (0.0, 1.0)}
_ENDS = {"input": ("mic",), "output": ("speaker", VIRTUAL_MICROPHONE)}


@lru_cache(maxsize=1)
def networks() -> tuple[str, ...]:
    """The networks that need no further package and keep up with live sound."""
    from rtdenoise.methods.can.models import model_names, open_model

    return tuple(name for name in model_names() if open_model(name).spec.domain == "spectral")


def checked_choices(given: Any) -> Choices:
    """Validate what a page, or the file of settings, chose.

    Raises
    ------
    ConfigError
        In one line, for an unknown name or a value that is not allowed.
    """
    if not isinstance(given, dict):
        raise ConfigError("choices are an object, such as {'method': 'WF'}")
    for name, value in given.items():
        if name in _NUMBERS:
            _check_number(name, value)
        elif name in _ENDS:
            _check_device(name, value)
        elif name in ("method", "preset", "model"):
            known = {"method": METHODS, "preset": preset_names(), "model": networks()}[name]
            require_choice(name, value, known)
        else:
            raise ConfigError(f"nothing is called {shortened(name)}")
    return dict(given)


def _check_number(name: str, value: Any) -> None:
    low, high = _NUMBERS[name]
    if value is None and name == "attenuation_limit_db":
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"{name}={shortened(value)} must be from {low:g} to {high:g}")


def _check_device(name: str, value: Any) -> None:
    """A device is named with its kind in front, so that it cannot be a file."""
    ends = _ENDS[name]
    if not isinstance(value, str) or len(value) > _TEXT_MAX or not value.isprintable():
        raise ConfigError(f"{name}={shortened(value)} must be the name of a device")
    kind, colon, device = value.partition(":")
    if kind not in ends or (colon and (not device.strip() or kind == VIRTUAL_MICROPHONE)):
        raise ConfigError(f"{name}={shortened(value)} must be {' or '.join(ends)}, or {ends[0]}:NAME")


def as_options(choices: Choices) -> list[str]:
    """Options of `rtdenoise live` for these choices."""
    names = {"attenuation_limit_db": "attenuation-limit"}
    found = []
    for name, value in choices.items():
        if name != "model" or choices.get("method") == "CAN":
            found.append(f"--{names.get(name, name)}={LIMIT_NONE_DB if value is None else value}")
    return found


def ways(devices: list[Device], kind: str) -> list[dict[str, str]]:
    """What a page offers as input or as output: the value to choose, the device's name, and the words for a person."""
    able = [d for d in devices if (d.channels_in if kind == "input" else d.channels_out) > 0]
    names = [d.name.lower() for d in able]
    prefix = _ENDS[kind][0]
    found = []
    for device in able:
        several = names.count(device.name.lower()) > 1
        name = f"{device.name}, {device.host_api}" if several else device.name
        value = f"{prefix}:{name}" if len(name) < _TEXT_MAX - 10 and name.isprintable() else f"{prefix}:{device.index}"
        found.append({"value": value, "name": device.name, "label": f"{device.name} ({device.host_api})"})
    return found


def microphone_of(value: str, devices: list[Device]) -> str:
    """The name of the microphone that an input means; empty if it is not listed."""
    if value == "mic":
        return next((d.name for d in devices if d.default_input and d.channels_in), "")
    return next((way["name"] for way in ways(devices, "input") if way["value"] == value), "")
