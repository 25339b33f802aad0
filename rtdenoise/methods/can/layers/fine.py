"""Shapes of the refinement layers after the stack, which resolve harmonics, the valleys between them and continuity.

The stack has a few hundred channels for all bins together.  After it, a few convolutions along frequency, four bins at
a time, refine the gain of each bin from the proposed gains and the levels of this bin and its neighbours, in the
current and the last frames.  Their weights are shared by all groups of bins.
"""

from __future__ import annotations

BINS = 4
"""Bins per group."""
KINDS = 4
"""Inputs per bin: the gain's logit, log power, its heights above its running mean and its floor."""
FRAMES = 3
"""Frames that the first layer reads; the current one is the last."""
REACH = 1
"""Groups to either side that each layer reads."""
LAYERS = 2
"""Residual layers between the first and the last."""
LOGIT_SCALE = 0.5
"""Scales logits to about unit spread, as `rtdenoise.methods.can.layers.features.LOG_SCALE` does the levels."""

WIDTH = 2 * REACH + 1
N_INPUTS = BINS * KINDS


def groups(n_bins: int) -> int:
    """Number of groups of bins; the last one is zero-padded."""
    return -(-n_bins // BINS)


def shapes(channels: int) -> list[tuple[int, ...]]:
    """Shapes of kernels and biases, in order; empty for 0 channels (no such layers).

    Kernels are ``(frames, groups, n_inputs, n_outputs)``, oldest frame and lowest group first; that of the last layer
    is ``(n_inputs, n_outputs)``.
    """
    if not channels:
        return []
    c = channels
    middle = [shape for _ in range(LAYERS) for shape in ((1, WIDTH, c, c), (c,))]
    return [(FRAMES, WIDTH, N_INPUTS, c), (c,), *middle, (c, BINS), (BINS,)]


def multiplications(n_bins: int, channels: int) -> int:
    """Multiply-adds per row."""
    return groups(n_bins) * channels * (FRAMES * WIDTH * N_INPUTS + LAYERS * WIDTH * channels + BINS)
