"""The first state of SS, WF and bypass for the audio callback, without compiling what only Python would call."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rtdenoise.config import Settings
from rtdenoise.spectral.denoiser import rule_of
from rtdenoise.spectral.state import initial_state
from rtdenoise.streaming.overlap_add import scaled_framing


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralStart:
    """`state` is (channels,) records; `rule` the value of its field for the method, a real one even for bypass."""

    state: np.ndarray
    rule: int
    hop: int
    latency_samples: int


def spectral_start(settings: Settings, rate: int, channels: int) -> SpectralStart:
    """What the compiled callback starts from.

    "bypass" gets a Wiener filter that runs unheard: switching it on finds the noise already known, at equal latency.

    Parameters
    ----------
    settings : Settings
        Of SS, WF or bypass.
    rate : int
        Of the device, in Hz.
    channels : int
        They share one gain.
    """
    method = "WF" if settings.method == "bypass" else settings.method
    times = settings.spectral.framing
    framing = scaled_framing(
        rate, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
    )
    rule = rule_of(method, settings.spectral)
    state = np.repeat(initial_state(framing, settings.spectral, rule), channels)
    return SpectralStart(state=state, rule=rule, hop=framing.hop, latency_samples=framing.latency_samples)


def rules(settings: Settings) -> dict[str, int]:
    """The value of the field ``rule`` for each compiled method that can be switched to while audio runs."""
    wiener = replace(settings, method="WF")
    return {name: rule_of(name, wiener.spectral) for name in ("SS", "WF")}
