"""State record of a spectral stream: dtype and initial values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.kernels.sized import Size, fill_places, header_of, sized_dtype
from rtdenoise.methods.recording import N_GROUPS, RECENT_SECONDS, WINDOW_SECONDS, fill_recording, recording_fields
from rtdenoise.methods.spectral.fine import fill_fine, fine_fields
from rtdenoise.methods.spectral.linking import fill_link, link_fields, link_reach
from rtdenoise.methods.spectral.params import SpectralParams
from rtdenoise.methods.spectral.prior import fill_prior, prior_fields
from rtdenoise.streaming.overlap_add import Framing, fill_windows, overlap_add_fields
from rtdenoise.units import amplitude_from_db, power_from_db, smoothing_per_hop

BYPASS, SUBTRACTION, CONTEXT, DECISION_DIRECTED, LOG_MMSE, CONTEXT_SUBTRACTION, FINE = range(7)
"""Values of the field ``rule``."""

PRESENCE, MINIMUM, BEGINNING = range(3)
"""Values of the field ``tracker``."""

N_SUB_WINDOWS = 8  # of the minimum search; Martin (2001) uses 8
_TRUST_SECONDS = 0.5  # until the context averages have settled
_RATIO_SECONDS = 0.02
_MARTIN_HOP_SECONDS = 0.016  # the hop for which his bias table and smoothing factors hold
_MARTIN_LENGTHS = (1, 2, 5, 8, 10, 15, 20, 30, 40, 60, 80, 120, 140, 160)
_MARTIN_TABLE = (0, 0.26, 0.48, 0.58, 0.61, 0.668, 0.705, 0.762, 0.8, 0.841, 0.865, 0.89, 0.9, 0.91)


@lru_cache(maxsize=64)
def spectral_dtype(framing: Framing, n_bands: int, has_fine: bool, reach: int = 1) -> np.dtype[Any]:
    """Record dtype of one channel of SS or WF: its state and the parameters that may change while it runs.

    The arrays of the per-bin regression are empty unless `has_fine`; `reach` is
    `rtdenoise.methods.spectral.linking.link_reach`.  All have the same header (`rtdenoise.kernels.sized`).

    Fields without a shape may be written by another thread while audio runs; each is read once per hop.
    """
    n = Size(framing.n_bins)
    bins = ("power", "noise_psd", "ratio", "clean_psd", "smoothed", "gain", "recent", "lowest", "noise_floor")
    minimum = ("minimum_mean", "minimum_square", "minimum_smoothed", "minimum", "minimum_sub", "inverse_dof", "scratch")
    return sized_dtype(
        [
            ("n_frames", "i8"),  # first: numba confuses a record with another whose fields are its leading fields
            *overlap_add_fields(framing),
            *((name, "f4", (n,)) for name in (*bins, *minimum)),
            *prior_fields(n),
            *fine_fields(n if has_fine else 0),
            *link_fields(n, reach),
            ("held_lowest", "f4", (N_GROUPS, n)),
            *recording_fields(),
            ("minimum_stored", "f4", (N_SUB_WINDOWS, n)),
            ("minimum_local", "u1", (n,)),
            ("minimum_counters", "i8", (3,)),
            ("minimum_correction", "f4", (1,)),
            ("minimum_times", "f4", (4,)),
            ("minimum_windows", "f4", (4,)),
            ("band_edges", "i4", (Size(n_bands + 1),)),
            ("band_weight", "f4", (Size(n_bands),)),
            ("rule", "i8"),
            ("tracker", "i8"),
            ("n_learnt", "i8"),
            ("n_trust", "i8"),
            ("n_window", "i8"),
            ("smoothing_recent", "f4"),
            ("smoothing_noise", "f4"),
            ("smoothing_ratio", "f4"),
            ("alpha", "f4"),
            ("smoothing_power", "f4"),
            ("floor", "f4"),
            ("gain_min", "f4"),
            ("mix", "f4"),
        ]
    )


def spectral_header() -> np.dtype[Any]:
    """Header of every `spectral_dtype`."""
    return header_of(spectral_dtype(Framing(sample_rate=16000, frame=512, span=512, hop=256), 1, False))


def initial_state(framing: Framing, params: SpectralParams, rule: int, channels: int = 1) -> np.ndarray:
    """Return the initial record of one of `channels` channels.

    Returns
    -------
    (1,) structured array of `spectral_dtype`
    """
    has_fine = params.wiener.rule == "fine"
    dtype = spectral_dtype(framing, params.subtraction.n_bands, has_fine, link_reach(channels))
    state = np.zeros(1, dtype)
    fill_places(state)
    record, hop = state[0], framing.hop_seconds
    fill_windows(record, framing)
    record["rule"] = rule
    record["gain"] = 1.0
    record["gain_min"] = amplitude_from_db(-params.attenuation_limit_db)
    record["mix"] = params.mix
    record["alpha"] = smoothing_per_hop(params.wiener.prior_smoothing_seconds, hop)
    record["smoothing_power"] = smoothing_per_hop(params.subtraction.smoothing_seconds, hop)
    record["floor"] = power_from_db(params.subtraction.floor_db)
    _fill_bands(record, framing, params.subtraction.n_bands)
    fill_prior(record, framing)
    fill_link(record, framing)
    if has_fine:
        fill_fine(record, framing)
    _fill_noise(record, hop, params)
    fill_recording(record, framing)
    return state


def _fill_noise(record: Any, hop: float, params: SpectralParams) -> None:
    noise = params.noise
    record["tracker"] = ("presence", "minimum", "beginning").index(noise.tracker)
    record["n_learnt"] = max(1, round(noise.beginning_seconds / hop))
    record["smoothing_recent"] = smoothing_per_hop(RECENT_SECONDS, hop)
    record["n_window"] = max(1, round(WINDOW_SECONDS / hop))
    record["n_trust"] = round(_TRUST_SECONDS / hop)
    record["smoothing_noise"] = smoothing_per_hop(noise.smoothing_seconds, hop)
    record["smoothing_ratio"] = smoothing_per_hop(_RATIO_SECONDS, hop)
    record["ratio"] = 1.0
    record["minimum"] = record["minimum_sub"] = record["minimum_stored"] = np.inf
    record["minimum_correction"] = 1.0
    # .96, .3, .7 and .8 per 16 ms hop, i.e. time constants of 0.392, 0.0133, 0.0449 and 0.0717 s
    record["minimum_times"] = [
        smoothing_per_hop(-_MARTIN_HOP_SECONDS / float(np.log(per_hop)), hop) for per_hop in (0.96, 0.3, 0.7, 0.8)
    ]
    record["minimum_counters"] = (0, 0, max(1, round(noise.minimum_window_seconds / N_SUB_WINDOWS / hop)))
    whole = max(2.0, noise.minimum_window_seconds / _MARTIN_HOP_SECONDS)
    part = max(2.0, whole / N_SUB_WINDOWS)
    record["minimum_windows"] = (
        whole,
        np.interp(whole, _MARTIN_LENGTHS, _MARTIN_TABLE),
        part,
        np.interp(part, _MARTIN_LENGTHS, _MARTIN_TABLE),
    )


def _fill_bands(record: Any, framing: Framing, n_bands: int) -> None:
    """Bands of equal width up to 8 kHz, the last one extended to the top; weights of Kamath & Loizou (2002), eq. 6."""
    top_hz = min(8000.0, framing.sample_rate / 2)
    edges_hz = np.linspace(0.0, top_hz, n_bands + 1)
    edges = np.round(edges_hz * framing.frame / framing.sample_rate).astype(np.int32)
    edges[-1] = framing.n_bins
    record["band_edges"] = edges
    record["band_weight"] = 1.0 if n_bands == 1 else [_band_weight(hz, top_hz) for hz in edges_hz[1:]]


def _band_weight(upper_hz: float, top_hz: float) -> float:
    if upper_hz <= 1000.0:
        return 1.0
    return 2.5 if upper_hz <= top_hz - 2000.0 else 1.5
