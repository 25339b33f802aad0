"""How clean a recording is, as fields of a record: what the judgement remembers, its constants, and its step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rtdenoise.kernels.clean_speech.recording import N_LEVELS, PEAK, RANGE, follow_recording, frame_level
from rtdenoise.kernels.clean_speech.voicing import N_LAGS_MAX, N_LOW_MAX, voicing
from rtdenoise.kernels.jit import kernel
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import F32, Record
from rtdenoise.units import power_from_db, smoothing_per_hop

N_GROUPS = 4  # of three windows each: 6 to 7.2 s, longer than any vowel
START_SECONDS = 0.06  # duration of the initial noise estimate
WINDOW_SECONDS = 0.6  # of the minimum power: longer than a vowel
RECENT_SECONDS = 0.03
_LEVEL_HZ = (90.0, 7000.0)  # excludes rumble below the voice
_JUDGE_SECONDS = 0.008  # between updates of the recording estimate: a quarter of a window
_NEAR_SECONDS = 0.3  # from a vowel to the last of its consonants: a final hiss is long
_VOICED = (0.87, 0.9, 0.9, 0.9)  # two thirds of the loud frames of speech, a fortieth of those of claps
_VOICE_HZ = (120.0, 1500.0)  # where harmonics are strong
_LOW_RATE = 8000.0  # nominal, in Hz: eight samples to the shortest lag
_LOW_SECONDS, _WINDOW_SECONDS, _LAGS_SECONDS = 0.032, 0.015, (0.001, 0.0125)
_WINDOW_SHARE = 0.47  # of a shorter history
_SPANS_SECONDS = (0.004, 0.008, 0.016, 0.032)
_EDGES_DB = (
    (27.0, 27.0, 27.5, 28.5),  # voice over noise: mixtures at 15 dB SNR have less,
    (30.0, 30.0, 30.5, 30.8),  # mixtures at 24 dB SNR have more
    (11.0, 15.0, 16.0, 20.0),  # voice over bursts: most mixtures up to 10 dB SNR have less,
    (19.0, 23.0, 24.0, 25.5),  # isolated consonants of clean recordings have more
)
_LEVEL_FALL_DB_PER_SECOND = 0.3  # a pause of 30 s lowers the loudest level by 9 dB
_LEVEL_SECONDS = 0.5
_LEVEL_RISE_SECONDS = 0.08  # a good part of a vowel


def recording_fields() -> list[tuple[Any, ...]]:
    """Fields of a record that `judge_recording` reads and writes, beside ``recent`` and ``n_frames``."""
    return [
        ("levels", "f4", (N_LEVELS,)),
        ("level_bins", "i8", (2,)),
        ("level_counts", "i8", (2,)),
        ("level_edges_db", "f4", (4,)),
        ("n_start", "i8"),
        ("n_judge", "i8"),
        ("n_near", "i8"),
        ("n_level_window", "i8"),
        ("level_fall", "f4"),
        ("level_smoothing", "f4"),
        ("level_rise", "f4"),
        ("level_voiced", "f4"),
        ("clearness", "f4"),
        ("voice_counts", "i8", (5,)),
        ("voice_sections", "f4", (2, 5)),
        ("voice_low", "f4", (N_LOW_MAX,)),
        ("voice_products", "f4", (N_LAGS_MAX,)),
    ]


def fill_recording(record: Any, framing: Framing, history: Framing | None = None) -> None:
    """Set the constants of `recording_fields`; times are in hops, but for the levels in steps of some milliseconds.

    `history`: framing of the samples, if it is not that of the spectra.
    """
    hop, seconds, bin_hz = framing.hop_seconds, framing.span / framing.sample_rate, framing.sample_rate / framing.frame
    record["n_start"] = max(1, round(START_SECONDS / hop))
    record["n_judge"] = max(1, round(_JUDGE_SECONDS / hop))
    step = hop * record["n_judge"]
    record["n_near"] = max(1, round(_NEAR_SECONDS / step))
    record["n_level_window"] = max(1, round(WINDOW_SECONDS / step))
    record["level_fall"] = power_from_db(-_LEVEL_FALL_DB_PER_SECOND * step)
    record["level_rise"] = smoothing_per_hop(_LEVEL_RISE_SECONDS, step)
    record["level_smoothing"] = smoothing_per_hop(_LEVEL_SECONDS, step)
    record["level_voiced"] = np.interp(seconds, _SPANS_SECONDS, _VOICED)
    record["level_edges_db"] = [np.interp(seconds, _SPANS_SECONDS, edges) for edges in _EDGES_DB]
    record["level_bins"] = [min(round(hz / bin_hz), framing.n_bins - 1) for hz in _LEVEL_HZ]
    _fill_voicing(record, history or framing)


def _fill_voicing(record: Any, framing: Framing) -> None:
    rate, frame = framing.sample_rate, framing.frame
    decimation = max(1, round(rate / _LOW_RATE))
    low_rate, n_low = rate / decimation, min(frame, round(_LOW_SECONDS * rate)) // decimation - 1
    window = min(round(_WINDOW_SECONDS * low_rate), int(_WINDOW_SHARE * n_low))
    first, last = (min(round(seconds * low_rate), n_low - window) for seconds in _LAGS_SECONDS)
    record["voice_counts"] = (decimation, n_low, window, first, last)
    record["voice_sections"] = [_section(hz, low_rate, passes_high=hz == _VOICE_HZ[0]) for hz in _VOICE_HZ]


def _section(edge_hz: float, rate: float, *, passes_high: bool) -> tuple[float, ...]:
    """Second-order Butterworth section ``b0, b1, b2, a1, a2``, by the bilinear transform."""
    warped = math.tan(math.pi * edge_hz / rate)
    scale = 1.0 / (1.0 + math.sqrt(2.0) * warped + warped * warped)
    outer, middle = (1.0, -2.0) if passes_high else (warped * warped, 2.0 * warped * warped)
    back = 2.0 * (warped * warped - 1.0), 1.0 - math.sqrt(2.0) * warped + warped * warped
    return tuple(value * scale for value in (outer, middle, outer, *back))


@kernel
def judge_recording(history: F32, state: Record) -> None:
    """Update ``clearness`` from ``recent`` and the last samples, every few milliseconds."""
    if state.n_frames % state.n_judge > 0:
        return
    step = state.n_frames // state.n_judge
    level = frame_level(state.recent, state.level_bins[0], state.level_bins[1])
    voiced = np.float32(0)
    if level > RANGE * state.levels[PEAK]:
        voiced = voicing(
            history,
            state.voice_counts,
            state.voice_sections,
            state.voice_low,
            state.voice_products,
        )
    state.clearness = follow_recording(
        level,
        voiced,
        state.levels,
        state.level_counts,
        state.level_fall,
        state.level_smoothing,
        state.level_rise,
        state.level_voiced,
        state.level_edges_db,
        state.n_near,
        state.n_frames < state.n_start,
        step // state.n_level_window if step % state.n_level_window == 0 else -1,
    )
