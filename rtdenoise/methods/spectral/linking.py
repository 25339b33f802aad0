"""Channel linking for SS and WF: coherent channels share one gain, which preserves the direction of sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.linking import finish_sharing, link_weight, pair_coherence, share_gains, start_sharing
from rtdenoise.kernels.sized import Size, opened
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import Record
from rtdenoise.units import smoothing_per_hop

SMOOTHING_SECONDS = 0.2
"""Smoothing of coherence: longer than the gaps between syllables, shorter than a turn of a talker."""

_TRUST_SECONDS = 0.1  # until the averages have settled
_FEW, _SEVERAL = 3, 9
_ONE = np.float32(1)


def link_reach(channels: int) -> int:
    """Number of cross-spectra that each of `channels` channels keeps: with the channels that follow it in a ring.

    Up to three channels share one layout, as do four to nine, so that they run the same compiled code.
    """
    return 1 if channels <= _FEW else _SEVERAL // 2 if channels <= _SEVERAL else channels // 2


def link_fields(n_bins: int, reach: int) -> list[tuple[Any, ...]]:
    """Record fields for linking a channel with others; `reach` as from `link_reach`."""
    n = Size(n_bins)
    return [
        ("link_cross", "c8", (Size(reach), n)),
        *((f"link_{name}", "f4", (n,)) for name in ("auto", "certainty", "total", "shared", "weight")),
        ("link_smoothing", "f4"),
        ("link_trust", "f4"),
    ]


def fill_link(record: Any, framing: Framing) -> None:
    """Write the constants into a record that has these fields."""
    record["link_smoothing"] = smoothing_per_hop(SMOOTHING_SECONDS, framing.hop_seconds)
    record["link_trust"] = framing.hop_seconds / _TRUST_SECONDS


@kernel
def link(states: np.ndarray) -> None:
    """Compute ``link_shared`` from the ``gain`` of each channel: shared where channels are coherent, else its own.

    A channel in digital silence does not contribute, and its averages are left unchanged.

    Parameters
    ----------
    states : (channels,) record array, read and written
        Two or more; `rtdenoise.methods.spectral.rules.gain_frame` has run on each.
    """
    channels = states.size
    for channel in range(channels):
        state = opened(states[channel])
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
                link_pair(opened(states[channel]), opened(states[(channel + step) % channels]), step - 1)
    for channel in range(channels):
        state = opened(states[channel])
        finish_sharing(state.link_total, state.link_shared)


@kernel
def is_silent(state: Record) -> bool:
    """Whether the frame of this channel is digital silence."""
    return bool(state.n_silent >= state.history.size)


@kernel
def link_pair(state: Record, other: Record, place: int) -> None:
    """Share the gains of two channels; `place` is the index of their cross-spectrum in `state`."""
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
