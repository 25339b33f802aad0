"""What one stream of a compiled network starts from, at its rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtdenoise.methods.can.compiled.grid import framing_at, initial_frames
from rtdenoise.methods.can.compiled.state import hops_together, initial_stream, slots_shape
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.streaming.overlap_add import Framing


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Initial records of one stream, as `rtdenoise.methods.can.compiled.hop.hops` takes them."""

    framing: Framing
    stream: np.ndarray
    frames: np.ndarray
    listening: np.ndarray


def initial_records(spec: CanSpec, sample_rate: int, gain_min_db: float | None = None) -> Records:
    """Return the initial records of a stream at `sample_rate`; the lowest gain is the specification's if not given.

    Raises
    ------
    ConfigError
        If the rate is out of range.
    """
    framing = framing_at(spec, sample_rate, spec.span)
    return Records(
        framing=framing,
        stream=initial_stream(spec, framing, spec.gain_min_db if gain_min_db is None else gain_min_db),
        frames=initial_frames(spec, framing, slots_shape(spec), hops_together(spec)),
        listening=initial_frames(spec, framing_at(spec, sample_rate, spec.listening_span))[: int(spec.listens_apart)],
    )
