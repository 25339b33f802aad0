"""Windowed frames of a signal, the input of every loss term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from rtdenoise.streaming.windows import hann

Tensor: TypeAlias = Any
Term: TypeAlias = Callable[[Any, Tensor, Tensor], Tensor]
"""``term(ops, estimate, target) -> scalar``; signals are ``(batch, n_samples)``, the noisy one at unit level."""


def frames(ops: Any, signal: Tensor, frame: int, hop: int) -> Tensor:
    """Frames under a Hann window, ``(batch, n_frames, frame)``; `hop` divides `frame`."""
    window = ops.convert_to_tensor(hann(frame).astype(np.float32))
    if hasattr(ops, "windowed_frames"):
        return ops.windowed_frames(signal, window, hop)
    count = signal.shape[1] // hop
    hops = ops.reshape(signal[:, : count * hop], (-1, count, hop))
    n = frame // hop
    parts = [hops[:, k : count - n + 1 + k] for k in range(n)]
    return ops.concatenate(parts, -1) * window
