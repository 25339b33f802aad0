"""Loss terms that follow intelligibility and quality measures based on models of hearing.

Signals are ``(batch, n_samples)`` at 16 kHz; clips with a silent target are ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.lab.losses.frames import Tensor, Term, frames
from rtdenoise.methods.can.checks import require_whole
from rtdenoise.typing import F32

_RATE_HZ = 16000
_SILENT_POWER = 1e-6  # of a target next to a mixture of unit level: no speech in it
_TINY = 1e-8

_ESTOI_FRAME, _ESTOI_HOP, _ESTOI_SIZE = 410, 205, 512  # 25.6 ms and 12.8 ms, as at 10 kHz
_ESTOI_SEGMENT = 30  # frames: 384 ms
ESTOI_SAMPLES = (_ESTOI_SEGMENT + 1) * _ESTOI_HOP
"""Shortest signal that contains one segment."""
_ESTOI_BANDS, _ESTOI_LOWEST_HZ = 15, 150.0
_ESTOI_RANGE = 1e-4  # 40 dB


def estoi(stride: int = 2) -> Term:
    """One minus extended short-time objective intelligibility.

    Jensen & Taal (2016), "An algorithm for predicting the intelligibility of speech masked by modulated noise
    maskers": third-octave envelopes, frames 40 dB below the loudest dropped, segments of 384 ms normalised by rows
    (bands) and then by columns (frames), mean correlation (eqs. 2 to 7).  Deviations: computed at 16 kHz; frames are
    dropped after the analysis, not before; every `stride`-th segment counts.
    """
    require_whole("stride", stride, 1)
    bands = band_matrix(_third_octaves(), _ESTOI_SIZE)

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        power = ops.mean(ops.square(frames(ops, target, _ESTOI_FRAME, _ESTOI_HOP)), -1)
        loud = power > _ESTOI_RANGE * ops.max(power, -1, keepdims=True)
        order, used = _loud_first(ops, loud)
        segments = [
            _normalised_segments(ops, _envelopes(ops, signal, bands), order, stride) for signal in (estimate, target)
        ]
        correlation = ops.sum(segments[0] * segments[1], (1, 3)) / _ESTOI_SEGMENT
        whole = ops.cast(used[:, _ESTOI_SEGMENT - 1 :: stride], "float32")
        whole = whole * ops.cast(ops.mean(power, -1, keepdims=True) > _SILENT_POWER, "float32")
        return ops.sum(whole * (1.0 - correlation)) / (ops.sum(whole) + 1.0)

    return term


def _third_octaves() -> F32:
    """Edges of the bands in Hz, ``(n_bands, 2)``."""
    centres = _ESTOI_LOWEST_HZ * 2.0 ** (np.arange(_ESTOI_BANDS) / 3.0)
    return np.stack([centres * 2.0 ** (-1 / 6), centres * 2.0 ** (1 / 6)], 1).astype(np.float32)


def band_matrix(edges_hz: F32, size: int) -> F32:
    """Share of each bin of a `size`-point transform in each band, ``(size / 2 + 1, n_bands)``; bins are rectangles."""
    width = _RATE_HZ / size
    centres = np.arange(size // 2 + 1)[:, None] * width
    low = np.maximum(edges_hz[:, 0], centres - width / 2)
    high = np.minimum(edges_hz[:, 1], centres + width / 2)
    share: F32 = (np.maximum(high - low, 0.0) / width).astype(np.float32)
    return share


def _envelopes(ops: Any, signal: Tensor, bands: F32) -> Tensor:
    """Root of the power in each band, ``(batch, n_frames, n_bands)``."""
    real, imag = ops.rfft(frames(ops, signal, _ESTOI_FRAME, _ESTOI_HOP), fft_length=_ESTOI_SIZE)
    return ops.sqrt(ops.matmul(real * real + imag * imag, ops.convert_to_tensor(bands)) + _TINY)


def _loud_first(ops: Any, loud: Tensor) -> tuple[Tensor, Tensor]:
    """Frame indices with the loud frames first, each part in order, and a mask of the positions that are loud."""
    n = loud.shape[1]
    place = ops.arange(n, dtype="int32")
    order = ops.argsort(ops.where(loud, place, place + n), -1)
    count = ops.sum(ops.cast(loud, "int32"), -1, keepdims=True)
    return order, place < count


def _normalised_segments(ops: Any, envelopes: Tensor, order: Tensor, stride: int) -> Tensor:
    """``(batch, segment, n_segments, n_bands)``: zero mean and unit norm over time, then over bands."""
    envelopes = ops.take_along_axis(envelopes, ops.expand_dims(order, -1), 1)
    count = envelopes.shape[1] - _ESTOI_SEGMENT + 1
    parts = ops.stack([envelopes[:, k : k + count : stride] for k in range(_ESTOI_SEGMENT)], 1)
    for axis in (1, 3):
        parts = parts - ops.mean(parts, axis, keepdims=True)
        parts = parts * ops.rsqrt(ops.sum(ops.square(parts), axis, keepdims=True) + _TINY)
    return parts


_FRAME, _HOP = 512, 256  # 32 ms, half overlapped
PERCEPTUAL_SAMPLES = _FRAME
"""Shortest signal that contains one frame."""
_BARK_BANDS = 49
_SPEECH_POWER = 3e8  # summed over bands, 350 to 3250 Hz: every target is scaled to it, about 85 dB SPL
_ZWICKER_POWER = 0.23
_LOUDNESS_SCALE = 0.1866
_DEAD_ZONE = 0.25
_ASYMMETRY_POWER, _ASYMMETRY_LEAST, _ASYMMETRY_MOST = 1.2, 3.0, 12.0
_AUDIBLE = 1e2  # times the threshold: 20 dB above it
_D_WEIGHT, _DA_WEIGHT = 0.1, 0.0309


def perceptual() -> Term:
    """Audible disturbance, after ITU-T P.862 (2001): the cost of added and missing loudness, in raw-score points.

    Both signals at a fixed listening level, power spectra on a Bark scale, partial compensation of the estimate's
    frequency response and of level changes, Zwicker's loudness, disturbance with a dead zone, once symmetric and once
    weighted by how much was added (clauses 10.2.2 to 10.2.12).  Deviations: no time alignment, bands of equal width
    in Bark, a smooth onset of the asymmetry, no upper limit, root mean square in place of the higher norms over time.
    """
    edges = _bark_edges_hz()
    bands = band_matrix(edges, _FRAME)
    centres = edges.mean(1)
    width = np.full(_BARK_BANDS, _bark(_RATE_HZ / 2) / _BARK_BANDS, np.float32)
    threshold = _hearing_threshold(centres)
    speech = band_matrix(np.array([[350.0, 3250.0]], np.float32), _FRAME)[:, 0]

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        heard_from, widths = ops.convert_to_tensor(threshold), ops.convert_to_tensor(width)
        spectra = [_power(ops, signal) for signal in (target, estimate)]
        level = ops.mean(ops.matmul(spectra[0], ops.convert_to_tensor(speech[:, None])), (1, 2))
        scale = ops.reshape(_SPEECH_POWER / (level + _SILENT_POWER), (-1, 1, 1))
        clean, other = (ops.matmul(s * scale, ops.convert_to_tensor(bands)) for s in spectra)
        clean, other = _compensated(ops, clean, other, heard_from)
        symmetric, added = _disturbances(ops, clean, other, heard_from, widths)
        energy = ops.sum(clean, -1)
        weight = ops.power((energy + 1e5) / 1e7, 0.04)
        heard = ops.cast(level > _SILENT_POWER, "float32")
        d = _over_time(ops, symmetric / weight)
        da = _over_time(ops, added / weight)
        return ops.sum(heard * (_D_WEIGHT * d + _DA_WEIGHT * da)) / (ops.sum(heard) + _TINY)

    return term


def _bark(hz: Any) -> Any:
    """Schroeder, Atal & Hall (1979): critical-band rate."""
    return 7.0 * np.arcsinh(np.asarray(hz) / 650.0)


def _bark_edges_hz() -> F32:
    """``(n_bands, 2)``, equally wide in Bark."""
    edges = 650.0 * np.sinh(np.linspace(0.0, _bark(_RATE_HZ / 2), _BARK_BANDS + 1) / 7.0)
    return np.stack([edges[:-1], edges[1:]], 1).astype(np.float32)


def _hearing_threshold(hz: F32) -> F32:
    """Power at the threshold of hearing in quiet; Terhardt (1979)."""
    khz = np.maximum(hz, 50.0) / 1000.0
    db = 3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    return (10.0 ** (db / 10.0)).astype(np.float32)


def _power(ops: Any, signal: Tensor) -> Tensor:
    """Power spectra of Hann frames, ``(batch, n_frames, n_bins)``."""
    real, imag = ops.rfft(frames(ops, signal, _FRAME, _HOP))
    return (real * real + imag * imag) * (1.0 / _FRAME)


def _compensated(ops: Any, clean: Tensor, other: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """The target filtered like the estimate within 20 dB; the estimate's level matched to the target's per frame."""
    audible = ops.cast(clean > _AUDIBLE * threshold, "float32")
    ratio = (ops.sum(audible * other, 1, keepdims=True) + 1e3) / (ops.sum(audible * clean, 1, keepdims=True) + 1e3)
    clean = clean * ops.clip(ratio, 1e-2, 1e2)
    level = (ops.sum(clean, -1, keepdims=True) + 5e3) / (ops.sum(other, -1, keepdims=True) + 5e3)
    before = ops.concatenate([level[:, :1], level[:, :-1]], 1)
    return clean, other * ops.clip(0.2 * before + 0.8 * level, 3e-4, 5.0)


def _loudness(ops: Any, power: Tensor, threshold: Tensor) -> Tensor:
    """Zwicker's specific loudness in sone per Bark."""
    scale = _LOUDNESS_SCALE * ops.power(threshold / 0.5, _ZWICKER_POWER)
    return scale * (ops.power(0.5 + 0.5 * power / threshold, _ZWICKER_POWER) - 1.0)


def _disturbances(ops: Any, clean: Tensor, other: Tensor, threshold: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric disturbance (norm 2 over bands) and added disturbance (norm 1) of each frame."""
    quiet = [ops.maximum(_loudness(ops, power, threshold), 0.0) for power in (clean, other)]
    difference = quiet[1] - quiet[0]
    dead = _DEAD_ZONE * ops.minimum(quiet[0], quiet[1])
    difference = ops.sign(difference) * ops.maximum(ops.abs(difference) - dead, 0.0)
    symmetric = ops.sqrt(ops.sum(ops.square(difference * width), -1) * ops.sum(width) + _TINY)
    asymmetry = ops.power((other + 50.0) / (clean + 50.0), _ASYMMETRY_POWER)
    onset = ops.sigmoid(2.0 * (asymmetry - _ASYMMETRY_LEAST))
    asymmetry = onset * ops.minimum(asymmetry, _ASYMMETRY_MOST)
    added = ops.sum(ops.abs(difference) * width * asymmetry, -1)
    return symmetric, added


def _over_time(ops: Any, disturbance: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(disturbance), -1) + _TINY)
