"""Analysis and synthesis windows with a chosen delay: symmetric, or asymmetric for low delay."""

from __future__ import annotations

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.typing import F64


def hann(length: int) -> F64:
    """Periodic Hann window, ``0.5 - 0.5 cos(2 pi n / length)``.

    Returns
    -------
    (length,) float64
    """
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def window_pair(frame: int, span: int, hop: int) -> tuple[F64, F64]:
    """Analysis and synthesis windows whose overlap-add gives the input back, delayed by ``span - hop``.

    The analysis window is long (`frame`, for spectral resolution) and falls steeply over its last ``span / 2`` samples;
    the synthesis window covers only the last `span` samples.  Their product there is a Hann window of `span` samples,
    scaled so that copies a hop apart add up to one.  With ``span == frame`` both are the square-root Hann window.

    With ``span == hop`` there is no overlap and no delay: the last hop of each frame is output unchanged, and the
    analysis window is one over that hop.  Such a window leaks; use a different one for spectral analysis.

    Parameters
    ----------
    frame : int
        Analysis window length, also the length of the Fourier transform.
    span : int
        Synthesis window length, even, at most `frame`.
    hop : int
        Must divide `span`; ``hop == span`` means no overlap.

    Returns
    -------
    analysis : (frame,) float64
    synthesis : (span,) float64

    Raises
    ------
    ConfigError
        If no such pair exists.

    Notes
    -----
    Mauler & Martin (2007), "A low delay, variable resolution, perfect reconstruction spectral analysis-synthesis system
    for speech enhancement", eqs. 6-9, without their trailing zeros (d = 0) and for any overlap, not only 50 %.
    """
    if hop < 1 or span % 2 or span % hop or span > frame or hop == frame:
        raise ConfigError(
            f"no windows for frame={frame} span={span} hop={hop}: "
            "span must be even, <= frame and a multiple of hop, and hop below frame"
        )
    if span == hop:
        rise = frame - hop
        return np.concatenate([np.sqrt(hann(2 * rise)[:rise]), np.ones(hop)]), np.ones(hop)
    half = span // 2
    rise = frame - half
    analysis = np.empty(frame)
    analysis[:rise] = np.sqrt(hann(2 * rise)[:rise])
    analysis[rise:] = np.sqrt(hann(span)[half:])
    synthesis = np.zeros(span)
    tail = analysis[frame - span :]
    np.divide(hann(span), tail, out=synthesis, where=tail > 0.0)
    return analysis, synthesis * (2.0 * hop / span)
