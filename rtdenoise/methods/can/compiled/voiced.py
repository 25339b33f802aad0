"""Keep held vowels of clean recordings: networks learn that steady sounds are noise, and attenuate vowels as well."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.clean_speech.clarity import above_floor
from rtdenoise.kernels.clean_speech.recording import SINCE, frame_level
from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.noise_psd import raise_floor, smooth_power
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.recording import (
    N_GROUPS,
    RECENT_SECONDS,
    WINDOW_SECONDS,
    fill_recording,
    judge_recording,
    recording_fields,
)
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import C64, F32, Record
from rtdenoise.units import smoothing_per_hop

_ZERO, _ONE = np.float32(0), np.float32(1)
STRONG_DB = 10.0
"""Power of a bin over its floor above which it is restored."""
_STRONG = np.float32(STRONG_DB * np.log(10.0) / 10.0)
HOLD_SECONDS = 0.05
"""From the last voiced frame on: vibrato and window blur some of a vowel's frames."""
HELD_SECONDS = (0.8, 1.2)
"""Length of a vowel from which it is restored, and from which altogether: longer than voiced stretches of fluent
speech, which networks do not attenuate.  In a noisy recording that is judged clean by mistake, noise comes back."""
HIGH_HZ, HIGH_SHARE, N_HIGH = 375.0, 0.01, 16
"""Singing and squealing: less than a hundredth of the power is below 375 Hz.  Networks attenuate such voices from their
first frame on, so each of their frames counts as sixteen."""
FADE_SECONDS = 0.02
_HIGH_SHARE = np.float32(HIGH_SHARE)


def voiced_fields(n_bins: int) -> list[tuple[Any, ...]]:
    """Fields of a record that `keep_voiced` reads and writes."""
    bins = ("power", "recent", "lowest", "noise_floor", "inverse_root")
    return [
        ("n_frames", "i8"),
        *((name, "f4", (n_bins,)) for name in bins),
        ("held_lowest", "f4", (N_GROUPS, n_bins)),
        *recording_fields(),
        ("n_window", "i8"),
        ("n_hold", "i8"),
        ("n_voiced", "i8"),
        ("high_bin", "i8"),
        ("n_held", "f4", (2,)),
        ("smoothing_recent", "f4"),
        ("smoothing_voiced", "f4"),
        ("voiced", "f4"),
    ]


def fill_voiced(record: Any, spec: CanSpec, history: Framing | None = None) -> None:
    """Set the constants of `voiced_fields`; `history` is the framing of the samples, if not the network's own."""
    span = spec.listening_span if spec.listens_apart else spec.span
    framing = Framing(sample_rate=spec.sample_rate, frame=spec.frame, span=span, hop=spec.hop)
    fill_recording(record, framing, history)
    record["n_window"] = max(1, round(WINDOW_SECONDS / framing.hop_seconds))
    record["n_hold"] = max(1, round(HOLD_SECONDS / (framing.hop_seconds * record["n_judge"])))
    record["high_bin"] = round(HIGH_HZ * framing.frame / framing.sample_rate)
    record["n_held"] = [seconds / framing.hop_seconds for seconds in HELD_SECONDS]
    record["smoothing_recent"] = smoothing_per_hop(RECENT_SECONDS, framing.hop_seconds)
    record["smoothing_voiced"] = smoothing_per_hop(FADE_SECONDS, framing.hop_seconds)


@kernel
def follow_voice(judged: C64, history: F32, is_silent: bool, state: Record) -> None:
    """Follow how clean the recording is, how long it has been voiced, and the floor of each bin.

    Parameters
    ----------
    judged : (n_bins,) complex64, read
        The analysis that the network reads.
    history : (n,) float32, read
        The samples of that analysis.
    is_silent : bool
        Whether it is digital silence, which says nothing about the recording.
    state : record with `voiced_fields`, read and written
    """
    if is_silent:
        return
    recent, lowest = state.recent, state.lowest
    for k in range(judged.size):
        real, imag = judged[k].real, judged[k].imag
        state.power[k] = real * real + imag * imag
    smooth_power(state.power, recent, state.smoothing_recent)
    judge_recording(history, state)
    if state.n_frames % state.n_window == 0:
        raise_floor(
            recent,
            lowest,
            state.held_lowest,
            state.noise_floor,
            state.inverse_root,
            state.n_frames // state.n_window,
            state.clearness > _ZERO,
        )
    for k in range(recent.size):
        lowest[k] = min(lowest[k], recent[k])
    state.n_frames += 1
    if state.level_counts[SINCE] < state.n_hold:
        low = frame_level(recent, state.level_bins[0], state.high_bin)
        is_high = low < _HIGH_SHARE * frame_level(recent, state.high_bin, state.level_bins[1])
        state.n_voiced += N_HIGH if is_high else 1
    else:
        state.n_voiced = 0
    held = (np.float32(state.n_voiced) - state.n_held[0]) / (state.n_held[1] - state.n_held[0])
    held = min(max(held, _ZERO), _ONE)
    state.voiced = held + state.smoothing_voiced * (state.voiced - held)


@kernel
def keep_voiced(heard: C64, spectrum: C64, state: Record) -> None:
    """Restore strong bins of held vowels, as far as the recording is clean.

    ``out = M + c v u (X - M)``: ``c`` says how clean the recording is (`rtdenoise.kernels.clean_speech.recording`),
    ``v`` fades in while a vowel is held, and ``u`` is `rtdenoise.kernels.clean_speech.clarity.above_floor`: the floor
    spares what lasts no longer than a vowel (`rtdenoise.kernels.noise_psd.raise_floor`).

    Parameters
    ----------
    heard : (n_bins,) complex64, read
        ``X``, before the mask.
    spectrum : (n_bins,) complex64, read and written
        ``M``, after it.
    state : record with `voiced_fields`, read
    """
    share = state.clearness * state.voiced
    if share == _ZERO:
        return
    recent, lowest, floor = state.recent, state.lowest, state.noise_floor
    for k in range(recent.size):
        weight = share * above_floor(recent[k], lowest[k], floor[k], _STRONG)
        x, m = heard[k], spectrum[k]
        spectrum[k] = np.complex64(complex(m.real + weight * (x.real - m.real), m.imag + weight * (x.imag - m.imag)))


@kernel
def follow_each(judged: np.ndarray, states: np.ndarray) -> None:
    """`follow_voice` for many streams: (n_streams,) overlap-add records, (n_streams,) records with `voiced_fields`."""
    for stream in range(judged.size):
        is_silent = judged[stream].n_silent >= judged[stream].history.size
        follow_voice(judged[stream].spectrum, judged[stream].history, is_silent, states[stream])


@kernel
def keep_voiced_each(heard: C64, records: np.ndarray, states: np.ndarray) -> None:
    """`keep_voiced` for many streams: (n_streams, n_bins), records with the field ``spectrum``, `voiced_fields`."""
    for stream in range(records.size):
        keep_voiced(heard[stream], records[stream].spectrum, states[stream])
