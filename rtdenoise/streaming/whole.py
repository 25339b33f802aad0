"""Methods that may look at a whole file first: how files reach them through channels and other rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.offline import run_offline
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.samples import from_float32, to_float32
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import F32, Audio, Denoiser

Whole: TypeAlias = Callable[[F32], F32]
"""``(n,)`` or ``(n, channels)`` in and out, aligned."""


def whole_of(denoiser: Denoiser) -> Whole | None:
    """What enhances all of a signal at once, if the method behind the adapters has it (``denoise_whole``)."""
    own: Whole | None = getattr(denoiser, "denoise_whole", None)
    if own is not None:
        return own
    if isinstance(denoiser, PerChannel):
        return _each_channel([whole_of(part) for part in denoiser.parts])
    inner = whole_of(denoiser.inner) if isinstance(denoiser, (Downmix, RateAdapter)) else None
    if inner is not None and isinstance(denoiser, RateAdapter):
        return _at_another_rate(inner, denoiser.sample_rate, denoiser.inner.sample_rate)
    return None if inner is None else _mixed_down(inner, denoiser.channels)


def _each_channel(parts: list[Whole | None]) -> Whole | None:
    found = [whole for whole in parts if whole is not None]
    if len(found) < len(parts):
        return None
    return lambda x: np.stack([whole(x[:, k]) for k, whole in enumerate(found)], 1)


def enhance_whole(denoiser: Denoiser, signal: F32) -> F32:
    """A whole signal by what the method has for it, else as its stream does; ``(n,)`` or ``(n, channels)``, aligned."""
    whole = whole_of(denoiser)
    return run_offline(denoiser, signal) if whole is None else whole(signal)


def _at_another_rate(inner: Whole, rate: int, inner_rate: int) -> Whole:
    common = math.gcd(rate, inner_rate)
    up, down = rate // common, inner_rate // common

    def whole(x: F32) -> F32:
        from scipy import signal as scipy_signal  # half a second that no other start should wait for

        found = inner(scipy_signal.resample_poly(x, down, up).astype(np.float32))
        back: F32 = scipy_signal.resample_poly(found, up, down).astype(np.float32)
        return np.pad(back, (0, max(0, len(x) - len(back))))[: len(x)]

    return whole


def _mixed_down(inner: Whole, channels: int) -> Whole:
    return lambda x: np.repeat(inner(x.mean(1, dtype=np.float32))[:, None], channels, 1)


class WholeStream(Stream):
    """Takes chunks like any stream, and hands out everything, aligned, when it is flushed.

    Parameters
    ----------
    denoiser : Denoiser
    whole : callable
        See `whole_of`.
    """

    def __init__(self, denoiser: Denoiser, whole: Whole) -> None:
        super().__init__(denoiser)
        self._whole = whole
        self._parts: list[F32] = []

    @property
    def latency_samples(self) -> int:
        """0: what comes out is aligned."""
        return 0

    def process(self, chunk: Audio) -> Audio:
        """Keep the chunk; nothing is ready before `flush`."""
        self._check_shape(chunk)
        self._dtype = chunk.dtype
        self._parts.append(to_float32(chunk))
        return from_float32(np.zeros((0, *self._tail), np.float32), self._dtype)

    def flush(self) -> Audio:
        """All of it, enhanced."""
        parts, self._parts = self._parts, []
        if not parts:
            return from_float32(np.zeros((0, *self._tail), np.float32), self._dtype)
        return from_float32(self._whole(np.concatenate(parts)), self._dtype)

    def reset(self) -> None:
        """Forget the signal."""
        super().reset()
        self._parts = []
