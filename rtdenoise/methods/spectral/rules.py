"""Compute the gain of a frame from its power: track the noise, then apply the selected gain rule."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.clean_speech.clarity import spare_clear
from rtdenoise.kernels.fine import wiener_fine
from rtdenoise.kernels.gain import log_mmse_decision_directed, subtract_power, wiener_decision_directed
from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.minimum_statistics import minimum_bias, smooth_for_minimum, track_minimum
from rtdenoise.kernels.noise_psd import (
    limit_noise,
    raise_floor,
    smooth_power,
    start_noise,
    track_beginning,
    track_presence,
)
from rtdenoise.kernels.prior import (
    band_features,
    band_regression,
    spread,
    subtract_by_context,
    wiener_by_context,
)
from rtdenoise.methods.recording import judge_recording
from rtdenoise.methods.spectral.state import (
    BEGINNING,
    BYPASS,
    CONTEXT,
    CONTEXT_SUBTRACTION,
    DECISION_DIRECTED,
    FINE,
    LOG_MMSE,
    MINIMUM,
    PRESENCE,
    SUBTRACTION,
)
from rtdenoise.typing import Record

_ZERO, _ONE = np.float32(0), np.float32(1)
_TINY = np.float32(1e-20)
_LEAK = np.float32(5)  # in a clean recording; bins that are certainly speech raise the noise by 1 dB/s


@kernel
def track_noise(state: Record) -> None:
    """Update ``noise_psd`` from ``power`` with the tracker selected by ``tracker``."""
    smooth_power(state.power, state.recent, state.smoothing_recent)
    judge_recording(state.history, state)
    if state.n_frames < state.n_start and state.tracker != BEGINNING:
        start_noise(state.recent, state.noise_psd, state.scratch)
    if state.tracker == MINIMUM:
        smooth_for_minimum(
            state.power,
            state.noise_psd,
            state.minimum_smoothed,
            state.minimum_correction,
            state.minimum_times,
            state.scratch,
        )
        mean_inverse_dof = minimum_bias(
            state.noise_psd,
            state.minimum_smoothed,
            state.minimum_mean,
            state.minimum_square,
            state.scratch,
            state.minimum_times,
            state.inverse_dof,
        )
        track_minimum(
            state.noise_psd,
            state.minimum_smoothed,
            state.inverse_dof,
            mean_inverse_dof,
            state.minimum,
            state.minimum_sub,
            state.minimum_stored,
            state.minimum_local,
            state.minimum_counters,
            state.minimum_windows,
        )
    elif state.tracker == BEGINNING:
        track_beginning(state.power, state.noise_psd, state.n_frames, state.n_learnt)
    else:
        track_presence(
            state.power,
            state.noise_psd,
            state.ratio,
            state.scratch,
            state.smoothing_noise,
            state.smoothing_ratio,
            _LEAK / max(state.clearness * state.clearness, _TINY),
        )
        if state.n_frames % state.n_window == 0:
            raise_floor(
                state.recent,
                state.lowest,
                state.held_lowest,
                state.noise_floor,
                state.scratch,
                state.n_frames // state.n_window,
                state.clearness > _ZERO,
            )
        limit_noise(state.recent, state.noise_psd, state.lowest, state.noise_floor)


@kernel
def read_bands(state: Record) -> None:
    """Compute ``band_features`` from ``power`` and ``noise_psd``."""
    band_features(
        state.power,
        state.noise_psd,
        state.share_above,
        state.first_bin,
        state.inverse_width,
        state.band_averages,
        state.band_peak,
        state.band_smoothing,
        state.band_features,
        state.band_sums,
        state.scratch,
        state.root,
        state.n_frames,
    )


@kernel
def context_gain(state: Record, fitted: Record) -> None:
    """Gain of WF from the contextual a priori SNR; `fitted` is the record that holds the constants, often `state`."""
    read_bands(state)
    band_regression(
        state.band_features,
        fitted.band_table,
        fitted.band_offset,
        fitted.band_value_table,
        fitted.band_value_offset,
        state.band_hidden,
        state.band_value,
    )
    spread(state.band_value, state.share_above, state.first_bin, state.gain)
    wiener_by_context(
        state.power,
        state.noise_psd,
        state.clean_psd,
        state.gain,
        state.alpha,
        state.gain_min,
        state.n_frames < state.n_trust,
        state.clearness,
    )


@kernel
def context_subtraction_gain(state: Record, fitted: Record) -> None:
    """Gain of SS from the contextual SNR; at least the decision-directed gain until the averages have settled."""
    read_bands(state)
    band_regression(
        state.band_features,
        fitted.band_table,
        fitted.band_offset,
        fitted.band_snr_table,
        fitted.band_snr_offset,
        state.band_hidden,
        state.band_value,
    )
    spread(state.band_value, state.share_above, state.first_bin, state.gain)
    subtract_by_context(
        state.power,
        state.smoothed,
        state.noise_psd,
        state.gain,
        state.smoothing_power,
        state.floor,
        state.gain_min,
    )
    if state.tracker == PRESENCE:
        spare_clear(state.recent, state.lowest, state.noise_floor, state.gain, state.clearness)
    if state.n_frames < state.n_trust:
        wiener_decision_directed(
            state.power, state.noise_psd, state.clean_psd, state.scratch, state.alpha, state.gain_min
        )
        for k in range(state.gain.size):
            state.gain[k] = max(state.gain[k], state.scratch[k])


@kernel
def refine(state: Record) -> None:
    """Compute ``c`` per band, spread it to bins and run the regression per bin."""
    read_bands(state)
    band_regression(
        state.band_features,
        state.fine_band_table,
        state.fine_band_offset,
        state.fine_band_value_table,
        state.fine_band_value_offset,
        state.band_hidden,
        state.band_value,
    )
    spread(state.band_value, state.share_above, state.first_bin, state.band_spread)
    wiener_fine(state)


@kernel
def gain_frame(state: Record, fitted: Record) -> None:
    """Compute ``gain`` from ``power``: track the noise, apply the selected gain rule, mix.

    `fitted` is the record that holds the fitted constants: `state` itself or another one of the same dtype.

    Digital silence leaves the state unchanged: a muted microphone carries no information about the noise.
    """
    if state.n_silent >= state.history.size:
        return
    track_noise(state)
    power, noise_psd, gain = state.power, state.noise_psd, state.gain
    if state.rule == CONTEXT:
        context_gain(state, fitted)
    elif state.rule == FINE:
        refine(state)
    elif state.rule == CONTEXT_SUBTRACTION:
        context_subtraction_gain(state, fitted)
    elif state.rule == SUBTRACTION:
        subtract_power(
            power,
            state.smoothed,
            noise_psd,
            gain,
            state.band_edges,
            state.band_weight,
            state.smoothing_power,
            state.floor,
            state.gain_min,
        )
    elif state.rule == DECISION_DIRECTED:
        wiener_decision_directed(power, noise_psd, state.clean_psd, gain, state.alpha, state.gain_min)
    elif state.rule == LOG_MMSE:
        log_mmse_decision_directed(power, noise_psd, state.clean_psd, gain, state.alpha, state.gain_min)
    state.n_frames += 1
    mix = _ZERO if state.rule == BYPASS else state.mix
    for k in range(gain.size):
        gain[k] = _ONE + mix * (gain[k] - _ONE)
