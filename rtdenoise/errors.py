"""Exceptions and the warning that callers can cause; messages name the value, the allowed range and the remedy."""

from __future__ import annotations

import os
from collections.abc import Collection


def shortened(value: object, length: int = 60) -> str:
    """Return ``repr(value)`` on one line, truncated to `length` characters, for a message."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - somebody else's __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= length else f"{text[: length - 3]}..."


class RtDenoiseError(Exception):
    """Root of every error this package raises on purpose; the command line prints it as one line."""


class ConfigError(RtDenoiseError, ValueError):
    """A parameter, preset, method or configuration file that cannot work."""


class AudioFileError(RtDenoiseError, OSError):
    """An audio file, folder or pipe that cannot be read or written."""


class SignalError(RtDenoiseError, ValueError):
    """An array whose dtype, shape or values cannot be processed."""


class DeviceError(RtDenoiseError, RuntimeError):
    """An audio device that is missing, busy or rejects the requested configuration."""


class ModelError(RtDenoiseError, ValueError):
    """A trained network that is missing, damaged or does not fit its description."""


class MissingExtraError(RtDenoiseError, ImportError):
    """A feature whose packages are not installed; the message names the extra to install."""


def reason(error: BaseException) -> str:
    """Describe an error on one line: without errno and, for the errors of this package, without the class name."""
    if isinstance(error, RtDenoiseError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else ""
        text = ": ".join(part for part in (where, error.strerror) if part)
    elif isinstance(error, MemoryError):
        text = "not enough memory"
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def require_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise `ConfigError` unless `value` is one of `choices`."""
    if isinstance(value, (bool, float)) or value not in choices:
        raise ConfigError(f"{name}={shortened(value)} must be one of: {', '.join(map(str, choices))}")


class SignalWarning(UserWarning):
    """Samples that can be processed but are probably a mistake: wrongly scaled, or cancelled by a downmix."""
