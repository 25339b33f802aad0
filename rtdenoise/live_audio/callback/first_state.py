"""The first state of SS, WF and bypass for the audio callback, without compiling what only Python would call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rtdenoise.config import Settings
from rtdenoise.live_audio.callback.start import Start
from rtdenoise.live_audio.plan import COMPILED_METHODS
from rtdenoise.methods.spectral.denoiser import rule_of
from rtdenoise.methods.spectral.state import initial_state
from rtdenoise.streaming.overlap_add import scaled_framing


def spectral_start(settings: Settings, rate: int, channels: int) -> Start:
    """See `rtdenoise.live_audio.callback.programs.start_of`."""
    heard = settings.method in COMPILED_METHODS and settings.method != "bypass"
    settings = settings if heard else replace(settings, method="WF")
    times = settings.spectral.framing
    framing = scaled_framing(
        rate, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
    )
    rule = rule_of(settings.method, settings.spectral)
    state = initial_state(framing, settings.spectral, rule, channels)
    userdata = np.zeros(channels, _userdata_dtype(state.dtype))
    for name in state.dtype.names or ():
        userdata[name] = state[name][0]
    rules = {name: rule_of(name, settings.spectral) for name in ("SS", "WF")}
    return Start(state=userdata, rules=rules, hop=framing.hop, latency_samples=framing.latency_samples)


def _userdata_dtype(state: np.dtype[Any]) -> np.dtype[Any]:
    """`state` with the address of the `LIVE` record beside it: what PortAudio's user data points to."""
    fields: list[Any] = [(name, state[name]) for name in state.names or ()]
    return np.dtype([*fields, ("live", "i8")], align=True)
