"""Every implementation and adapter that must obey the laws, by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rtdenoise import registry
from rtdenoise.config import load_settings
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.typing import Denoiser

Builder = Callable[[], Denoiser]


def registered(method: str, preset: str, sample_rate: int, channels: int = 1, **overrides: object) -> Denoiser:
    return registry.build(load_settings(method=method, preset=preset, overrides=overrides), sample_rate, channels)


def network(model: str, sample_rate: int = 16000, **more: object) -> Denoiser:
    """A shipped network in the engine of an ordinary installation."""
    if more:
        pytest.importorskip(
            "ai_edge_litert", reason="ai-edge-litert is not installed: there is no build for this system"
        )
    return registry.build(load_settings(method="CAN", overrides={"can": {"model": model, **more}}), sample_rate)


BUILDERS: dict[str, Builder] = {
    "bypass": lambda: Bypass(16000, 128),
    "bypass late": lambda: Bypass(16000, 48, latency_samples=100),
    "bypass stereo": lambda: Bypass(48000, 64, channels=2),
    "WF quality": lambda: registered("WF", "quality", 16000),
    "WF balanced": lambda: registered("WF", "balanced", 16000),
    "WF low": lambda: registered("WF", "low", 16000),
    "WF ultra": lambda: registered("WF", "ultra", 16000),
    "WF balanced 48 kHz": lambda: registered("WF", "balanced", 48000),
    "WF low 44.1 kHz": lambda: registered("WF", "low", 44100),
    "WF log-mmse": lambda: registered("WF", "balanced", 16000, wiener={"rule": "log-mmse"}),
    "WF minimum statistics": lambda: registered("WF", "balanced", 16000, noise={"tracker": "minimum"}),
    "WF beginning": lambda: registered("WF", "balanced", 16000, noise={"tracker": "beginning"}),
    "SS quality": lambda: registered("SS", "quality", 16000),
    "SS balanced": lambda: registered("SS", "balanced", 16000),
    "SS low": lambda: registered("SS", "low", 16000),
    "SS multi-band": lambda: registered("SS", "balanced", 16000, subtraction={"rule": "band", "n_bands": 6}),
    "WF linked stereo": lambda: registered("WF", "balanced", 16000, 2),
    "WF each of three": lambda: registered("WF", "balanced", 16000, 3, channel_mode="each"),
    "WF downmix": lambda: registered("WF", "balanced", 16000, 2, channel_mode="downmix"),
    "WF at 16 kHz inside 48 kHz": lambda: registered("WF", "balanced", 48000, processing_rate_hz=16000),
    "WF at 16 kHz inside 44.1 kHz": lambda: registered("WF", "balanced", 44100, processing_rate_hz=16000),
    "rechunked to 100": lambda: Rechunked(registered("WF", "balanced", 16000), 100),
    "rechunked to 1": lambda: Rechunked(registered("SS", "balanced", 16000), 1),
    "rechunked stereo": lambda: Rechunked(registered("WF", "balanced", 16000, 2), 480),
    "CAN can-live": lambda: network("can-live"),
    "CAN can-live in LiteRT": lambda: network("can-live", engine="litert"),
    "CAN can-live int8": lambda: network("can-live", precision="int8"),
    "CAN can-wave": lambda: network("can-wave"),
    "CAN can-small": lambda: network("can-small"),
    "CAN can-live 48 kHz": lambda: network("can-live", 48000),
    "CAN can-wave 44.1 kHz": lambda: network("can-wave", 44100),
    "CAN can-small 8 kHz": lambda: network("can-small", 8000),
    "CAN can-small each of two at 48 kHz": lambda: registry.build(
        load_settings(method="CAN", overrides={"can": {"model": "can-small"}}), 48000, 2
    ),
    "CAN can-small inside 48 kHz": lambda: registry.build(
        load_settings(method="CAN", overrides={"can": {"model": "can-small"}, "processing_rate_hz": 16000}), 48000
    ),
    "CAN can-small mixed": lambda: Mixed(network("can-small"), 0.5),
    "mixed": lambda: Mixed(registered("WF", "balanced", 16000), 0.3),
}

TRANSPARENT: dict[str, Builder] = {
    "bypass": BUILDERS["bypass"],
    "bypass late": BUILDERS["bypass late"],
    "bypass stereo": BUILDERS["bypass stereo"],
    **{
        f"WF {preset} {rate}": lambda preset=preset, rate=rate: registered("WF", preset, rate, mix=0.0)
        for preset, rate in [
            *((preset, 16000) for preset in ("quality", "balanced", "low", "ultra")),
            ("quality", 44100),
            ("low", 8000),
            ("balanced", 11025),
            ("low", 48000),
            ("ultra", 192000),
        ]
    },
    "WF linked stereo": lambda: registered("WF", "balanced", 16000, 2, mix=0.0),
    "each of two": lambda: PerChannel([Bypass(16000, 32, latency_samples=5) for _ in range(2)]),
    "downmix": lambda: Downmix(Bypass(16000, 32, latency_samples=5), 3),
    "mixed": lambda: Mixed(registered("WF", "balanced", 16000), 0.0),
    "mixed without delay": lambda: Mixed(Bypass(16000, 32), 0.5),
    "rechunked": lambda: Rechunked(Bypass(16000, 128, latency_samples=3), 100),
    "rechunked longer": lambda: Rechunked(registered("WF", "balanced", 16000, mix=0.0), 480),
}
"""Builders whose output is the delayed input: their delay can be measured by an impulse, to the sample."""

RESAMPLED: dict[str, Builder] = {
    f"inside {rate}": lambda rate=rate: RateAdapter(registered("WF", "balanced", 16000, mix=0.0), rate)
    for rate in (8000, 11025, 22050, 44100, 48000, 96000, 192000)
}
"""Transparent below 7.2 kHz: their delay is measured on a band-limited signal."""
