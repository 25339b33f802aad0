"""Several channels of SS or WF: whatever two of them hear alike gets one gain, so that its direction stays."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.linking import finish_sharing, link_weight, pair_coherence, share_gains, start_sharing
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import Record
from rtdenoise.units import smoothing_per_hop

SMOOTHING_SECONDS = 0.2
"""Of coherence: longer than a syllable's gaps, shorter than a talker's turn."""

_TRUST_SECONDS = 0.1  # how long the averages need a past
_FEW, _SEVERAL = 3, 9
_ONE = np.float32(1)


def link_reach(channels: int) -> int:
    """How many cross-spectra each of `channels` channels keeps: with those behind it in a ring of all.

    Up to three channels, and up to nine, have one layout, so that they run the same compiled code.
    """
    return 1 if channels <= _FEW else _SEVERAL // 2 if channels <= _SEVERAL else channels // 2


def link_fields(n_bins: int, reach: int) -> list[tuple[Any, ...]]:
    """Record fields of a channel that may be linked with others, with `link_reach` cross-spectra."""
    return [
        ("link_cross", "c8", (reach, n_bins)),
        *((f"link_{name}", "f4", (n_bins,)) for name in ("auto", "certainty", "total", "shared", "weight")),
        ("link_smoothing", "f4"),
        ("link_trust", "f4"),
    ]


def fill_link(record: Any, framing: Framing) -> None:
    """Write what never changes into a record that has the fields."""
    record["link_smoothing"] = smoothing_per_hop(SMOOTHING_SECONDS, framing.hop_seconds)
    record["link_trust"] = framing.hop_seconds / _TRUST_SECONDS


@kernel
def link(states: np.ndarray) -> None:
    """From each channel's ``gain`` to ``link_shared``: its own where it is alone, a common one where others hear alike.

    A channel in digital silence has nothing to say about the others; what was known of it stays.

    Parameters
    ----------
    states : (channels,) record array, read and written
        Two or more; `rtdenoise.methods.spectral.rules.gain_frame` has run on each.
    """
    channels = states.size
    for channel in range(channels):
        state = states[channel]
        if is_silent(state):
            for k in range(state.gain.size):
                state.link_total[k], state.link_shared[k] = _ONE, state.gain[k]
        else:
            start_sharing(
                state.power,
                state.noise_psd,
                state.gain,
                state.link_auto,
                state.link_smoothing,
                state.link_certainty,
                state.link_total,
                state.link_shared,
            )
    for channel in range(channels):
        for step in range(1, channels // 2 + 1):
            if 2 * step < channels or channel < step:  # across the ring, each pair once
                link_pair(states[channel], states[(channel + step) % channels], step - 1)
    for channel in range(channels):
        finish_sharing(states[channel].link_total, states[channel].link_shared)


@kernel
def is_silent(state: Record) -> bool:
    """Whether the frame of this channel is digital silence."""
    return bool(state.n_silent >= state.history.size)


@kernel
def link_pair(state: Record, other: Record, place: int) -> None:
    """Share the gains of two channels; `place` of `state`'s cross-spectra is theirs."""
    if is_silent(state) or is_silent(other):
        return
    pair_coherence(
        state.spectrum,
        other.spectrum,
        state.link_auto,
        other.link_auto,
        state.link_cross[place],
        state.link_smoothing,
        state.scratch,
    )
    trust = min(_ONE, np.float32(min(state.n_frames, other.n_frames)) * state.link_trust)
    link_weight(state.scratch, trust, state.link_weight)
    share_gains(
        state.link_weight,
        state.link_certainty,
        other.link_certainty,
        state.gain,
        other.gain,
        state.link_total,
        other.link_total,
        state.link_shared,
        other.link_shared,
    )
