"""The Python API: `stream` for chunks, `denoise` for whole signals, `build` for a bare denoiser."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise import registry
from rtdenoise.config import Settings, keyword_overrides, load_settings, method_with
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.samples import as_signal, from_float32, is_channels_first, to_float32
from rtdenoise.streaming.session import Stream
from rtdenoise.streaming.watch import InputWatch, warn_caller
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
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
) -> Denoiser:
    """Build a bare denoiser: fixed hops and preallocated arrays, no adapters for chunk size or dtype.

    Parameters and errors as for `stream`.
    """
    settings = _settings(
        method,
        preset,
        config,
        model=model,
        channel_mode=channel_mode,
        attenuation_limit_db=attenuation_limit_db,
        mix=mix,
    )
    return registry.build(settings, sample_rate, channels)


def stream(
    method: str | None = None,
    *,
    sample_rate: int,
    channels: int = 1,
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    channels_first: bool | None = None,
) -> Stream:
    """Denoise a signal that arrives in chunks of any length.

    Parameters
    ----------
    method : "WF", "SS", "CAN" or "bypass", optional
        "WF" unless `config` or `model` names another.
    sample_rate : int
        8 to 192 kHz.
    channels : int
    preset : "quality", "balanced", "low" or "ultra", optional
        32, 16, 8 or 4 ms of delay; "balanced" unless `config` names another.
    config : path or mapping, optional
        Any parameter, nested as in the shipped presets.
    model : str or path, optional
        A network by its name ("can-small") or folder; implies "CAN".
    channel_mode : "linked", "each" or "downmix", optional
        "linked": coherent channels share one gain (networks treat it as "each"); "each": every channel is processed
        separately; "downmix": the enhanced mean of all channels is written to each.
    attenuation_limit_db : float, optional
        Maximum attenuation, 0 to 100 dB.
    mix : float, optional
        Enhanced share of the output, 0 to 1.
    channels_first : bool, optional
        Whether chunks are ``(channels, n)``; inferred from their shape if not given.

    `model`, `channel_mode`, `attenuation_limit_db` and `mix` override `config`.

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
    denoiser = build(
        method,
        sample_rate=sample_rate,
        channels=channels,
        preset=preset,
        config=config,
        model=model,
        channel_mode=channel_mode,
        attenuation_limit_db=attenuation_limit_db,
        mix=mix,
    )
    return Stream(denoiser, channels_first=channels_first)


def denoise(
    signal: Audio,
    sample_rate: int,
    method: str | None = None,
    *,
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    channels_first: bool | None = None,
) -> Audio:
    """Denoise a whole signal.

    Bit-identical to the output of `stream` with its first ``latency_samples`` dropped, hence aligned with the input.
    (Exception: networks that normalise a whole signal with its own statistics, as published in 2018.)

    Parameters
    ----------
    signal : (n,), (n, channels) or (channels, n), read
        float32, float64 or float16 with full scale 1.0, or int16, int32, int8 or uint8 with the full scale of the type
        (32768 for int16; uint8 is centred on 128).  Any byte order and memory layout.  NaN and infinite samples count
        as 0, and a warning is logged.
    sample_rate : int
        8 to 192 kHz.
    method, preset, config, model, channel_mode, attenuation_limit_db, mix
        As for `stream`.
    channels_first : bool, optional
        Whether `signal` is ``(channels, n)``.  If not given, more than 64 columns are taken as samples.

    Returns
    -------
    same shape, dtype and byte order as `signal`
        Integers are rounded and clipped to their range.

    Raises
    ------
    SignalError
        For an unsupported shape or dtype, or an ambiguous shape.
    ConfigError
        As for `stream`.

    Warns
    -----
    SignalWarning
        If the samples appear to be scaled for another dtype, or cancel each other in a downmix.
    """
    signal = as_signal(signal)
    first = is_channels_first(signal.shape, channels_first)
    rows = signal.T if first else signal
    settings = _settings(
        method,
        preset,
        config,
        model=model,
        channel_mode=channel_mode,
        attenuation_limit_db=attenuation_limit_db,
        mix=mix,
    )
    mono = rows.ndim == 1 or rows.shape[1] == 1
    denoiser = registry.build(settings, sample_rate, 1 if mono else rows.shape[1])
    watch = InputWatch(denoiser.sample_rate, downmixed=isinstance(denoiser, Downmix))
    for remark in watch.take(rows, last=True):
        warn_caller(remark)
    samples = to_float32(rows)
    n_bad = int(samples.size - np.count_nonzero(np.isfinite(samples)))
    if n_bad:
        _log.warning("%d samples are NaN or infinite; they count as 0", n_bad)
    from rtdenoise.streaming.whole import enhance_whole  # loads numba

    clean = enhance_whole(denoiser, samples.reshape(-1) if mono else samples)
    out = from_float32(clean, signal.dtype).reshape(rows.shape)
    return out.T if first else out


def _settings(
    method: str | None,
    preset: str | None,
    config: Config | None,
    *,
    model: str | Path | None,
    channel_mode: str | None,
    attenuation_limit_db: float | None,
    mix: float | None,
) -> Settings:
    overrides = keyword_overrides(
        model=model, channel_mode=channel_mode, attenuation_limit_db=attenuation_limit_db, mix=mix
    )
    return load_settings(method=method_with(model, method), preset=preset, config=config, overrides=overrides)
