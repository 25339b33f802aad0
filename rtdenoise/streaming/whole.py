"""Whole-signal processing: apply non-streaming methods through the channel and rate adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rtdenoise.rates import resample
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.offline import run_offline
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import F32, Denoiser

Whole: TypeAlias = Callable[[F32], F32]
"""``(n,)`` or ``(n, channels)`` in and out, aligned."""


def whole_of(denoiser: Denoiser) -> Whole | None:
    """Return the whole-signal function of the method inside the adapters (``denoise_whole``), or None."""
    own: Whole | None = getattr(denoiser, "denoise_whole", None)
    if own is not None:
        return own
    if isinstance(denoiser, PerChannel):
        return _each_channel([whole_of(part) for part in denoiser.parts])
    if not isinstance(denoiser, (Downmix, RateAdapter, Mixed, Rechunked)):
        return None
    inner = whole_of(denoiser.inner)
    if inner is None or isinstance(denoiser, Rechunked):
        return inner
    if isinstance(denoiser, RateAdapter):
        return _at_another_rate(inner, denoiser.sample_rate, denoiser.inner.sample_rate)
    return _mixed(inner, denoiser.share) if isinstance(denoiser, Mixed) else _mixed_down(inner, denoiser.channels)


def _each_channel(parts: list[Whole | None]) -> Whole | None:
    found = [whole for whole in parts if whole is not None]
    if len(found) < len(parts):
        return None
    return lambda x: np.stack([whole(x[:, k]) for k, whole in enumerate(found)], 1)


def enhance_whole(denoiser: Denoiser, signal: F32) -> F32:
    """Enhance a whole signal, by `whole_of` if available, else by streaming; ``(n,)`` or ``(n, channels)``, aligned."""
    whole = whole_of(denoiser)
    return run_offline(denoiser, signal) if whole is None else whole(signal)


def _at_another_rate(inner: Whole, rate: int, inner_rate: int) -> Whole:
    def whole(x: F32) -> F32:
        finite = np.where(np.isfinite(x), x, np.float32(0.0))  # one NaN would spread over the whole signal
        back: F32 = resample(inner(resample(finite, rate, inner_rate)), inner_rate, rate)
        return np.pad(back, (0, max(0, len(x) - len(back))))[: len(x)]

    return whole


def _mixed(inner: Whole, share: float) -> Whole:
    def whole(x: F32) -> F32:
        dry = np.where(np.isfinite(x), x, np.float32(0.0))
        made: F32 = dry + np.float32(share) * (inner(dry) - dry)
        return made

    return whole


def _mixed_down(inner: Whole, channels: int) -> Whole:
    return lambda x: np.repeat(inner(x.mean(1, dtype=np.float32))[:, None], channels, 1)


class WholeStream(Stream):
    """Takes chunks like any stream and returns the whole output, aligned, when flushed.

    Parameters
    ----------
    denoiser : Denoiser
    whole : callable
        See `whole_of`.
    channels_first : bool, optional
        As for `Stream`.
    """

    def __init__(self, denoiser: Denoiser, whole: Whole, *, channels_first: bool | None = None) -> None:
        super().__init__(denoiser, channels_first=channels_first)
        self._whole = whole
        self._parts: list[F32] = []

    @property
    def latency_samples(self) -> int:
        """0: the output is aligned with the input."""
        return 0

    def _advance(self, fresh: F32) -> F32:
        """Keep the samples; nothing is ready before the end."""
        self._parts.append(fresh)
        return np.zeros((0, *self._tail), np.float32)

    def _finish(self) -> F32:
        parts, self._parts = self._parts, []
        return self._whole(np.concatenate(parts)) if parts else np.zeros((0, *self._tail), np.float32)

    def reset(self) -> None:
        """Forget the signal."""
        super().reset()
        self._parts = []
