"""The layers behind the stack that see fine structure: harmonics, their valleys, and what lasts from frame to frame.

The stack has a few hundred numbers for all bins together.  Behind it, four bins at a time, a few convolutions along
frequency see the gain it proposes for each bin beside the levels of this bin and its neighbours, now and in the last
frames, and correct it.  They are the same for all groups of bins.
"""

from __future__ import annotations

BINS = 4
"""Bins of a group."""
KINDS = 4
"""Numbers per bin that they read: the gain's logit, log power, its heights above its running mean and its floor."""
FRAMES = 3
"""Frames that the first layer sees: the present one is the last."""
REACH = 1
"""Groups to either side that each layer sees."""
LAYERS = 2
"""Residual layers between the first and the last."""
LOGIT_SCALE = 0.5
"""Logits have about unit spread then, as the levels have with `rtdenoise.methods.can.features.LOG_SCALE`."""

WIDTH = 2 * REACH + 1
N_INPUTS = BINS * KINDS


def groups(n_bins: int) -> int:
    """Groups of bins; bins beyond the last one count as zero."""
    return -(-n_bins // BINS)


def shapes(channels: int) -> list[tuple[int, ...]]:
    """Kernels and biases in their order; none without these layers (no channels).

    Kernels are ``(frames, groups, n_inputs, n_outputs)``, oldest frame and lowest group first; of the last layer
    ``(n_inputs, n_outputs)``.
    """
    if not channels:
        return []
    c = channels
    middle = [shape for _ in range(LAYERS) for shape in ((1, WIDTH, c, c), (c,))]
    return [(FRAMES, WIDTH, N_INPUTS, c), (c,), *middle, (c, BINS), (BINS,)]


def multiplications(n_bins: int, channels: int) -> int:
    """Multiply-adds per row."""
    return groups(n_bins) * channels * (FRAMES * WIDTH * N_INPUTS + LAYERS * WIDTH * channels + BINS)
