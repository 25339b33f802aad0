"""The errors callers can cause; every message names the value, what is allowed and the remedy."""

from __future__ import annotations


class RtDenoiseError(Exception):
    """Root of every error this package raises on purpose; the command line prints it as one line."""


class ConfigError(RtDenoiseError, ValueError):
    """A parameter, preset, method or configuration file that cannot work."""


class AudioFileError(RtDenoiseError, OSError):
    """An audio file, folder or pipe that cannot be read or written."""


class SignalError(RtDenoiseError, ValueError):
    """An array whose dtype, shape or values cannot be processed."""


class DeviceError(RtDenoiseError, RuntimeError):
    """An audio device that is missing, busy or refuses what was asked of it."""


class ModelError(RtDenoiseError, ValueError):
    """A trained network that is missing, damaged or does not fit its description."""


class MissingExtraError(RtDenoiseError, ImportError):
    """A feature whose packages are not installed; the message names the extra that brings them."""
