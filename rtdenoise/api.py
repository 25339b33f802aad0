"""The three calls most programs need: a stream, a whole signal, and the bare denoiser."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise import registry
from rtdenoise.config import load_settings
from rtdenoise.errors import SignalError
from rtdenoise.streaming.samples import from_float32, to_float32
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import Audio, Denoiser

_log = logging.getLogger(__name__)

Config = str | Path | Mapping[str, Any]


def build(
    method: str | None = None,
    *,
    sample_rate: int,
    channels: int = 1,
    preset: str | None = None,
    config: Config | None = None,
) -> Denoiser:
    """A bare denoiser: fixed hops, preallocated arrays, nothing between you and the method.

    Parameters and errors as for `stream`.
    """
    return registry.build(load_settings(method=method, preset=preset, config=config), sample_rate, channels)


def stream(
    method: str | None = None,
    *,
    sample_rate: int,
    channels: int = 1,
    preset: str | None = None,
    config: Config | None = None,
) -> Stream:
    """Denoise a signal that arrives in chunks of any length.

    Parameters
    ----------
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF" unless `config` names another.
    sample_rate : int
        8 to 192 kHz.
    channels : int
    preset : "quality", "balanced", "low" or "ultra", optional
        32, 16, 8 or 4 ms of delay; "balanced" unless `config` names another.
    config : path or mapping, optional
        Any parameter, nested as in the shipped presets.

    Returns
    -------
    Stream
        With ``process(chunk)``, ``flush()``, ``reset()`` and ``latency_samples``.

    Raises
    ------
    ConfigError
        For an unknown method, preset or key, or a value out of range.

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> denoiser = rtdenoise.stream("WF", sample_rate=16000, preset="low")
    >>> denoiser.latency_samples + denoiser.hop  # 8 ms
    128
    """
    return Stream(build(method, sample_rate=sample_rate, channels=channels, preset=preset, config=config))


def denoise(
    signal: Audio,
    sample_rate: int,
    method: str | None = None,
    *,
    preset: str | None = None,
    config: Config | None = None,
) -> Audio:
    """Denoise a whole signal.

    Equal to what `stream` gives without its first ``latency_samples``, to the bit: aligned with the input.  (But for
    networks that normalise a whole signal with its own statistics, as published in 2018.)

    Parameters
    ----------
    signal : (n,) or (n, channels), float32, float64 or int16, read
        Full scale is 1.0, or 32768 for int16.  NaN and infinite samples count as 0, and a warning is logged.
    sample_rate : int
        8 to 192 kHz.
    method, preset, config
        As for `stream`.

    Returns
    -------
    same shape and dtype as `signal`

    Raises
    ------
    SignalError
        For another shape or dtype.
    ConfigError
        As for `stream`.
    """
    signal = np.asarray(signal)
    if signal.ndim not in (1, 2) or (signal.ndim == 2 and signal.shape[1] == 0):
        raise SignalError(f"a signal of shape {signal.shape} cannot be read; give (n,) or (n, channels)")
    samples = to_float32(signal)
    n_bad = int(samples.size - np.count_nonzero(np.isfinite(samples)))
    if n_bad:
        _log.warning("%d samples are NaN or infinite; they count as 0", n_bad)
    mono = signal.ndim == 1 or signal.shape[1] == 1
    channels = 1 if mono else signal.shape[1]
    denoiser = build(method, sample_rate=sample_rate, channels=channels, preset=preset, config=config)
    from rtdenoise.streaming.whole import enhance_whole  # loads numba

    clean = enhance_whole(denoiser, samples.reshape(-1) if mono else samples)
    return from_float32(clean, signal.dtype).reshape(signal.shape)
