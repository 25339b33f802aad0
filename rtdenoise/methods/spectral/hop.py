"""Compiled hops of SS and WF, shared by the Python API, file processing and the audio callback."""

from __future__ import annotations

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.overlap_add import analyse, apply_gain, spectrum_power, synthesise
from rtdenoise.kernels.sized import opened
from rtdenoise.methods.spectral.linking import link
from rtdenoise.methods.spectral.rules import gain_frame
from rtdenoise.typing import F32


@kernel
def hops(signal: F32, out: F32, hop_samples: int, states: np.ndarray) -> None:
    """Enhance ``signal.size // hop_samples`` hops of one channel.

    Parameters
    ----------
    signal : (n,) float32, read
    out : (n,) float32, written; may be `signal`
    hop_samples : int
    states : (1,) record array of `spectral_dtype`, read and written

    Notes
    -----
    A single hop is processed as a short signal: a separate function for one hop would be compiled twice, by itself
    and inlined into this loop, at several seconds each.
    """
    state = opened(states[0])
    for start in range(0, signal.size - hop_samples + 1, hop_samples):
        analyse(signal[start : start + hop_samples], state)
        spectrum_power(state.spectrum, state.power)
        gain_frame(state, state)
        apply_gain(state.gain, state.spectrum)
        synthesise(out[start : start + hop_samples], state)


@kernel
def hop_of_each(blocks: F32, outs: F32, states: np.ndarray) -> None:
    """Enhance one hop of many independent streams; (n_streams, hop) float32 read and written, (n_streams,) records.

    Uses the fitted constants of the first record for all streams, so that they stay in the processor's cache.
    """
    for stream in range(states.size):
        state = opened(states[stream])
        analyse(blocks[stream], state)
        spectrum_power(state.spectrum, state.power)
        gain_frame(state, opened(states[0]))
        apply_gain(state.gain, state.spectrum)
        synthesise(outs[stream], state)


@kernel
def hops_linked(signal: F32, out: F32, hop_samples: int, states: np.ndarray) -> None:
    """Enhance hops of several channels, with one gain for coherent channels (see `linking`).

    Parameters
    ----------
    signal : (n, channels) float32, read
    out : (n, channels) float32, written; may be `signal`
    hop_samples : int
    states : (channels,) record array, read and written
        ``rule``, ``gain_min``, ``mix`` and the fitted constants are taken from the first record.

    Notes
    -----
    A common gain preserves the perceived direction.  Each channel tracks its own noise: with a common estimate, the
    speech in a good channel would be treated as noise because of a noisy one.
    """
    first = opened(states[0])
    for start in range(0, signal.shape[0] - hop_samples + 1, hop_samples):
        for channel in range(states.size):
            state = opened(states[channel])
            state.rule, state.gain_min, state.mix = first.rule, first.gain_min, first.mix
            analyse(signal[start : start + hop_samples, channel], state)
            spectrum_power(state.spectrum, state.power)
            gain_frame(state, first)
        if states.size == 1:
            apply_gain(first.gain, first.spectrum)
        else:
            link(states)
            for channel in range(states.size):
                state = opened(states[channel])
                apply_gain(state.link_shared, state.spectrum)
        for channel in range(states.size):
            synthesise(out[start : start + hop_samples, channel], opened(states[channel]))
