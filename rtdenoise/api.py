"""The Python API: `stream` for chunks, `denoise` for whole signals, `build` for a bare denoiser."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from rtdenoise import registry
from rtdenoise.choice import Choice, Config
from rtdenoise.errors import ConfigError, shortened
from rtdenoise.rates import RATE_MAX_HZ, RATE_MIN_HZ
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.forms.pairs import split_pair
from rtdenoise.streaming.samples import as_signal, from_float32, is_channels_first, to_float32
from rtdenoise.streaming.session import Stream
from rtdenoise.streaming.watch import InputWatch, warn_caller
from rtdenoise.typing import Audio, Denoiser

_log = logging.getLogger(__name__)


def build(
    method: str | None = None,
    sample_rate: int | None = None,
    *,
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
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    return registry.build(choice.settings(), _given_rate(sample_rate, "build('WF', 16000)"), channels)


def stream(
    method: str | None = None,
    sample_rate: int | None = None,
    *,
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
    preset : "quality", "balanced", "low", "ultra" or "asr", optional
        32, 16, 8 or 4 ms of delay; "asr": 16 ms, for speech recognition.  "balanced" unless `config` names another.
    config : path or mapping, optional
        Any parameter, nested as in the shipped presets; the keywords below override it.
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

    Returns
    -------
    Stream
        With ``process(chunk)``, ``flush()``, ``over(source)``, ``reset()`` and ``latency_samples``.

    Raises
    ------
    ConfigError
        For an unknown method, preset or key, or a value out of range.

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> denoiser = rtdenoise.stream("WF", 16000, preset="low")
    >>> denoiser.latency_samples + denoiser.hop  # 8 ms
    128
    """
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    return stream_of(choice, sample_rate, channels, channels_first)


def stream_of(
    choice: Choice,
    sample_rate: int | None,
    channels: int,
    channels_first: bool | None = None,
    default_preset: str = "balanced",
) -> Stream:
    """As `stream`, of what was chosen."""
    settings = choice.settings(default_preset)
    denoiser = registry.build(settings, _given_rate(sample_rate, "stream('WF', 16000)"), channels)
    return Stream(denoiser, channels_first=channels_first, title=settings.title)


@overload
def denoise(
    signal: tuple[int, ArrayLike],
    sample_rate: None = None,
    method: str | None = None,
    *,
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    channels_first: bool | None = None,
) -> tuple[int, Audio]: ...
@overload
def denoise(
    signal: ArrayLike,
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
) -> Audio: ...
def denoise(
    signal: Any,
    sample_rate: int | None = None,
    method: str | None = None,
    *,
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    channels_first: bool | None = None,
) -> Any:
    """Denoise a whole signal.

    Bit-identical to the output of `stream` with its first ``latency_samples`` dropped, hence aligned with the input.
    (Exception: networks that normalise a whole signal with its own statistics, as published in 2018.)

    Parameters
    ----------
    signal : (n,), (n, channels) or (channels, n), read
        float32, float64 or float16 with full scale 1.0, or int16, int32, int8 or uint8 with the full scale of the type
        (32768 for int16; uint8 is centred on 128).  Any byte order and memory layout, and whatever numpy reads as
        such: lists of floats, tensors in the processor's memory.  NaN and infinite samples count as 0, and a warning
        is logged.  Or a pair ``(sample_rate, samples)``.
    sample_rate : int
        8 to 192 kHz; left out with a pair.
    method, preset, config, model, channel_mode, attenuation_limit_db, mix
        As for `stream`.
    channels_first : bool, optional
        Whether `signal` is ``(channels, n)``.  If not given, more than 64 columns are taken as samples.

    Returns
    -------
    same shape, dtype and byte order as `signal`
        Integers are rounded and clipped to their range.  A pair for a pair.

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
    rate, samples = rate_and_samples(signal, sample_rate, "denoise(signal, 16000)")
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    settings, array = choice.settings(), as_signal(samples)
    first = is_channels_first(array.shape, channels_first)
    denoiser = registry.build(settings, rate, channels_of(array, first))
    clean = enhance_array(denoiser, array, first)
    return clean if samples is signal else (rate, clean)


def channels_of(signal: Audio, channels_first: bool) -> int:
    """Number of channels of a signal of this layout."""
    return 1 if signal.ndim == 1 else signal.shape[0 if channels_first else 1]


def enhance_array(denoiser: Denoiser, signal: Audio, channels_first: bool) -> Audio:
    """Run a whole signal of any dtype through a denoiser that is new or reset, with warnings about the samples.

    Parameters
    ----------
    denoiser : Denoiser
        It is not reset afterwards.
    signal : (n,), (n, channels) or (channels, n), read
    channels_first : bool

    Returns
    -------
    same shape and dtype as `signal`, aligned with it
    """
    rows = signal.T if channels_first else signal
    watch = InputWatch(denoiser.sample_rate, downmixed=isinstance(denoiser, Downmix))
    for remark in watch.take(rows, last=True):
        warn_caller(remark)
    samples = to_float32(rows)
    n_bad = int(samples.size - np.count_nonzero(np.isfinite(samples)))
    if n_bad:
        _log.warning("%d samples are NaN or infinite; they count as 0", n_bad)
    from rtdenoise.streaming.whole import enhance_whole

    clean = enhance_whole(denoiser, samples.reshape(-1) if denoiser.channels == 1 else samples)
    out = from_float32(clean, signal.dtype).reshape(rows.shape)
    return out.T if channels_first else out


def rate_and_samples(signal: Any, sample_rate: int | None, example: str) -> tuple[int, Any]:
    """Return the rate, from a pair ``(rate, samples)`` or given apart, and the samples.

    Raises
    ------
    ConfigError
        If there is no rate, or two that differ; `example` shows how to give it.
    """
    rate, samples = split_pair(signal)
    if rate is None:
        return _given_rate(sample_rate, example), samples
    if sample_rate not in (None, rate):
        raise ConfigError(
            f"sample_rate={shortened(sample_rate)}, but the pair of rate and samples has {rate} Hz; leave it out, "
            "and name other arguments (method='WF')"
        )
    return rate, samples


def _given_rate(sample_rate: int | None, example: str) -> int:
    if sample_rate is None:
        raise ConfigError(
            f"sample_rate=None must be a whole number of Hz from {RATE_MIN_HZ} to {RATE_MAX_HZ}; "
            f"give it, for example {example}"
        )
    return sample_rate
