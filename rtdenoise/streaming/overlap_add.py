"""Framing of overlap-add methods: frame, hop and window lengths for any preset and sample rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rtdenoise.kernels.fourier import fft512
from rtdenoise.kernels.sized import Size
from rtdenoise.rates import check_rate
from rtdenoise.streaming.windows import window_pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """One overlap-add scheme, in samples at one rate.

    `frame` is the analysis window, `span` the synthesis window; ``span == frame`` is the symmetric scheme.
    """

    sample_rate: int
    frame: int
    span: int
    hop: int

    def __post_init__(self) -> None:
        check_rate(self.sample_rate)
        window_pair(self.frame, self.span, self.hop)  # raises if no windows exist

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, excluding the time to collect a hop."""
        return self.span - self.hop

    @property
    def delay_samples(self) -> int:
        """Algorithmic delay: latency plus the hop that must be collected first, equal to the synthesis span."""
        return self.latency_samples + self.hop

    @property
    def n_bins(self) -> int:
        """Number of frequency bins from 0 to half the sample rate, inclusive."""
        return self.frame // 2 + 1

    @property
    def hop_seconds(self) -> float:
        """Time between frames, in seconds."""
        return self.hop / self.sample_rate


def fast_even_length(samples: float) -> int:
    """Even length nearest to `samples` whose only prime factors are 2, 3, 5 and 7 (fast to transform)."""
    candidates = range(max(2, int(samples * 0.9)) & ~1, int(samples * 1.1) + 4, 2)
    return min((n for n in candidates if _is_smooth(n)), key=lambda n: (abs(n - samples), n))


def _is_smooth(n: int) -> bool:
    for prime in (2, 3, 5, 7):
        while n % prime == 0:
            n //= prime
    return n == 1


def scaled_framing(sample_rate: int, *, frame_seconds: float, span_seconds: float, overlap: int) -> Framing:
    """Framing nearest to the given durations at `sample_rate`.

    Parameters
    ----------
    sample_rate : int
    frame_seconds, span_seconds : float
        Analysis and synthesis windows.
    overlap : int
        Number of synthesis windows that cover each sample: ``span / hop``, at least 2.

    Raises
    ------
    ConfigError
        If the durations are incompatible or the rate is out of range.
    """
    check_rate(sample_rate)
    hop_exact = span_seconds * sample_rate / overlap
    if span_seconds == frame_seconds:  # the span itself is transformed
        hop = fast_even_length(hop_exact)
        frame = hop * overlap
    else:
        hop = max(1, round(hop_exact))
        frame = fast_even_length(frame_seconds * sample_rate)
    span = hop * overlap
    return Framing(sample_rate=sample_rate, frame=frame, span=span, hop=hop)


def overlap_add_fields(framing: Framing) -> list[tuple[Any, ...]]:
    """Record fields that `rtdenoise.kernels.overlap_add` needs, for a structured dtype."""
    frame, span, n = Size(framing.frame), Size(framing.span), Size(framing.n_bins)
    return [
        ("history", "f4", (frame,)),
        ("analysis", "f4", (frame,)),
        ("synthesis", "f4", (span,)),
        ("overlap", "f4", (span,)),
        ("windowed", "f4", (frame,)),
        ("spectrum", "c8", (n,)),
        ("axes", "i8", (1,)),
        *fft512.fields(),
        ("n_silent", "i8"),
    ]


def fill_windows(record: Any, framing: Framing) -> None:
    """Write both windows and the transform's constants into a record that has the overlap-add fields."""
    analysis, synthesis = window_pair(framing.frame, framing.span, framing.hop)
    record["analysis"] = analysis.astype(np.float32)
    record["synthesis"] = synthesis.astype(np.float32)
    fft512.fill(record, framing.frame)
