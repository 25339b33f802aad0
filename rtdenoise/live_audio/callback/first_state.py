"""The first state of the methods in the audio callback, without compiling what only Python would call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtdenoise.cache.machine_code import layout
from rtdenoise.config import Settings
from rtdenoise.kernels.sized import header_of
from rtdenoise.live_audio.callback.start import USER, Network, Start
from rtdenoise.live_audio.plan import COMPILED_METHODS
from rtdenoise.methods.can.compiled.records import initial_records
from rtdenoise.methods.can.compiled.state import packed_weights
from rtdenoise.methods.can.models import open_model
from rtdenoise.methods.spectral.denoiser import rule_of
from rtdenoise.methods.spectral.state import initial_state
from rtdenoise.streaming.overlap_add import scaled_framing


def first_state(settings: Settings, rate: int, channels: int) -> Start:
    """See `rtdenoise.live_audio.callback.programs.start_of`."""
    heard = settings.method in COMPILED_METHODS and settings.method != "bypass"
    settings = settings if heard else replace(settings, method="WF")
    times = settings.spectral.framing
    framing = scaled_framing(
        rate, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
    )
    rule = rule_of(settings.method, settings.spectral)
    state = np.repeat(initial_state(framing, settings.spectral, rule, channels), channels)
    return Start(
        state=state,
        user=np.zeros(1, USER),
        layout=layout(header_of(state.dtype)),
        rules={name: rule_of(name, settings.spectral) for name in ("SS", "WF")},
        hop=framing.hop,
        latency_samples=framing.latency_samples,
    )


def first_network(settings: Settings, rate: int, channels: int) -> Network:
    """See `rtdenoise.live_audio.callback.programs.network_of`."""
    chosen = settings.can
    network = open_model(chosen.model).network(rate)
    limit_db = None if chosen.attenuation_limit_db is None else -chosen.attenuation_limit_db
    records = initial_records(network.spec, rate, limit_db)
    weights = packed_weights(network)
    return Network(
        weights=weights,
        streams=np.repeat(records.stream, channels),
        frames=np.repeat(records.frames, channels),
        listening=np.repeat(records.listening, channels),
        block=np.zeros(records.framing.hop, np.float32),
        layout=layout(weights.dtype, records.stream.dtype, header_of(records.frames.dtype)),  # not on its rate
        latency_samples=records.framing.latency_samples,
        gain_min=float(records.stream["gain_min"][0]),
    )
