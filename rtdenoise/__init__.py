"""Real-time speech denoising: microphone in, clean speech out a few milliseconds later.

>>> import numpy as np, rtdenoise
>>> noisy = np.random.default_rng(0).normal(0, 0.01, 16000).astype(np.float32)
>>> clean = rtdenoise.denoise(noisy, 16000, method="WF")
>>> clean.shape == noisy.shape
True

Importing this package loads neither numba nor TensorFlow; the first use that has to compile loads numba.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rtdenoise.errors import (
    AudioFileError,
    ConfigError,
    DeviceError,
    MissingExtraError,
    ModelError,
    RtDenoiseError,
    SignalError,
    SignalWarning,
)

if TYPE_CHECKING:
    from rtdenoise.api import build, denoise, stream
    from rtdenoise.effect import Effect
    from rtdenoise.files import FileReport, denoise_file
    from rtdenoise.live_audio.public import live
    from rtdenoise.preparation import prepare
    from rtdenoise.streaming.session import Stream

__version__ = "0.1.0"
__all__ = [
    "AudioFileError",
    "ConfigError",
    "DeviceError",
    "Effect",
    "FileReport",
    "MissingExtraError",
    "ModelError",
    "RtDenoiseError",
    "SignalError",
    "SignalWarning",
    "Stream",
    "__version__",
    "build",
    "denoise",
    "denoise_file",
    "live",
    "prepare",
    "stream",
]

_LAZY = {
    "Effect": "effect",
    "FileReport": "files",
    "Stream": "streaming.session",
    "build": "api",
    "denoise": "api",
    "denoise_file": "files",
    "live": "live_audio.public",
    "prepare": "preparation",
    "stream": "api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"rtdenoise.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'rtdenoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
