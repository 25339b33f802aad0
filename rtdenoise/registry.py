"""Build a `Denoiser` from settings: method, rate conversion and channel handling."""

from __future__ import annotations

import numbers

import numpy as np

from rtdenoise.config import CHANNEL_MODES, Settings
from rtdenoise.errors import ConfigError, shortened
from rtdenoise.rates import check_rate
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.overlap_add import scaled_framing
from rtdenoise.streaming.samples import CHANNELS_MAX
from rtdenoise.typing import Denoiser

PROCESSING_RATES_HZ = (
    8000,
    11025,
    12000,
    16000,
    22050,
    24000,
    32000,
    44100,
    48000,
    64000,
    88200,
    96000,
    176400,
    192000,
)
"""Processing rates of the spectral methods: each needs its own compilation, so arbitrary rates are not offered."""


def build(settings: Settings, sample_rate: int, channels: int = 1) -> Denoiser:
    """Build a new denoiser.

    Parameters
    ----------
    settings : Settings
    sample_rate : int
        Sample rate of the stream, in Hz.
    channels : int
        1 to 64.

    Raises
    ------
    ConfigError
        If the settings, the rate and the number of channels are incompatible.
    ModelError, MissingExtraError
        If the method needs a network or a package that is missing.
    """
    sample_rate, channels = check_rate(sample_rate), _check_channels(channels)
    _check_processing_rate(settings, sample_rate)
    if channels == 1:
        return _mono(settings, sample_rate)
    if settings.channel_mode == "downmix":
        return Downmix(_mono(settings, sample_rate), channels)
    links = settings.method in ("SS", "WF") and settings.processing_rate_hz in (None, sample_rate)
    if settings.channel_mode == "linked" and links:
        return _spectral(settings, sample_rate, channels)
    return PerChannel([_mono(settings, sample_rate) for _ in range(channels)])


def _check_processing_rate(settings: Settings, sample_rate: int) -> None:
    rate = settings.processing_rate_hz
    if settings.method not in ("SS", "WF") or rate in (None, sample_rate, *PROCESSING_RATES_HZ):
        return  # a network defines its own rate
    valid = ", ".join(map(str, PROCESSING_RATES_HZ))
    raise ConfigError(
        f"processing_rate_hz={rate} must be one of {valid}, or left out to work at the rate of the signal"
    )


def _check_channels(channels: int) -> int:
    if isinstance(channels, str) and channels in CHANNEL_MODES:
        raise ConfigError(f"channels={channels!r} must be a number; how they go together is channel_mode={channels!r}")
    if isinstance(channels, (bool, np.bool_)) or not isinstance(channels, numbers.Integral):
        raise ConfigError(f"channels={shortened(channels)} must be a whole number from 1 to {CHANNELS_MAX}")
    if not 1 <= channels <= CHANNELS_MAX:
        raise ConfigError(f"channels={channels} must be from 1 to {CHANNELS_MAX}")
    return int(channels)


def _mono(settings: Settings, sample_rate: int) -> Denoiser:
    if settings.method == "bypass":
        times = settings.spectral.framing
        framing = scaled_framing(
            sample_rate, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
        )
        return Bypass(sample_rate, framing.hop)
    inner = (
        _network(settings, sample_rate)
        if settings.method == "CAN"
        else _spectral(settings, settings.processing_rate_hz or sample_rate, 1)
    )
    if inner.sample_rate == sample_rate:
        return inner
    from rtdenoise.streaming.rate import RateAdapter

    return RateAdapter(inner, sample_rate)


def _network(settings: Settings, sample_rate: int) -> Denoiser:
    from rtdenoise.methods.can.streaming import build_can

    chosen, limit_db = settings.can, settings.can.attenuation_limit_db
    rate = settings.processing_rate_hz
    network = build_can(
        chosen.model,
        engine=chosen.engine,
        precision=chosen.precision,
        device=chosen.device,
        attenuation_limit_db=limit_db,
        sample_rate=rate or sample_rate,
    )
    if rate not in (None, network.sample_rate):
        raise ConfigError(f"processing_rate_hz={rate}: {chosen.model} works at {network.sample_rate} Hz; leave it out")
    share = settings.spectral.mix
    if limit_db is not None and not hasattr(network, "gain_min"):  # waveform networks have no gain to limit
        share *= 1.0 - 10.0 ** (-limit_db / 20.0)
    return network if share == 1.0 else Mixed(network, share)


def _spectral(settings: Settings, sample_rate: int, channels: int) -> Denoiser:
    from rtdenoise.methods.spectral.denoiser import SpectralDenoiser

    return SpectralDenoiser(settings.method, settings.spectral, sample_rate, channels)
