"""What a compiled hop in the audio callback starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a compiled hop starts from.

    `state` is (channels,) records with the field ``live`` at their end; `rules` the value of its field ``rule`` for
    each method that it can be switched to.
    """

    state: np.ndarray
    rules: dict[str, int]
    hop: int
    latency_samples: int
