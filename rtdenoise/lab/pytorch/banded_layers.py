"""The layers of the banded network, forwards and backwards, in pieces of a few frames that stay in the cache.

Images are ``(batch, frames, bands, channels)`` float32, C-contiguous: frames of one clip, bands and channels included,
are rows of one matrix, so that a convolution over time is a product of matrices for each of its three taps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch.products import (
    ADDED,
    ANEW,
    AS_IT_IS,
    SLOPE,
    TRANSPOSED,
    as_array,
    copied,
    loop,
    product,
    summed,
    turned,
)
from rtdenoise.methods.can.layers import features

STEP = features.RESIDUAL_SCALE
_SLOPE, _STEP, _ONE = np.float32(SLOPE), np.float32(STEP), np.float32(1.0)
TAPS = 3
_PIECE = 4  # frames: what a piece is read and written in stays in a cache of 256 KB


class Layer(torch.autograd.Function):  # type: ignore[misc]  # torch is not installed where types are checked
    """A convolution over time, gated means where it has twice as many outputs as inputs, and a mixer of the bands.

    ``apply(rows, taps, offsets, point, mixer, mixed_offsets, dilation)``: ``(batch, frames, bands, c)`` to the same;
    `taps` (parts, 3, c, c), oldest first, of values and, if there are two parts, gates; `offsets` (parts, bands, c),
    added to what is convolved; `point` (c, c); `mixer` (bands, bands); `mixed_offsets` (bands, c), added to what is
    mixed.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        taps: Tensor,
        offsets: Tensor,
        point: Tensor,
        mixer: Tensor,
        mixed_offsets: Tensor,
        dilation: int,
    ) -> Tensor:
        """See the class."""
        rows, taps, point, mixer = (v.contiguous() for v in (rows, taps, point, mixer))
        batch, frames, bands, c = rows.shape
        parts, lanes = len(taps), bands * c
        out, found = torch.empty_like(rows), rows.new_empty(parts, batch, frames, lanes)
        means = rows.new_empty(batch, frames, lanes) if parts > 1 else found[0]
        rising = torch.empty(batch, frames, lanes, dtype=torch.bool)
        _forward(
            *(as_array(v) for v in (rows.view(batch, frames, lanes), taps, offsets.reshape(parts, lanes), point)),
            *(as_array(v) for v in (mixer.T.contiguous(), mixed_offsets.reshape(lanes))),
            *(as_array(v) for v in (out.view(batch, frames, lanes), found, means, rising)),
            dilation,
            np.empty((3, _PIECE, lanes), np.float32),
        )
        ctx.save_for_backward(rows, taps, point, mixer, found, means, rising)
        ctx.dilation = dilation
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients in the order of the arguments."""
        rows, taps, point, mixer, found, means, rising = ctx.saved_tensors
        batch, frames, bands, c = rows.shape
        parts, lanes = len(taps), bands * c
        for_rows, for_taps, for_offsets = (
            torch.empty_like(rows),
            taps.new_zeros(taps.shape),
            rows.new_zeros(parts, lanes),
        )
        for_point, for_mixer, for_mixed = (
            point.new_zeros(point.shape),
            mixer.new_zeros(mixer.shape),
            rows.new_zeros(lanes),
        )
        back = taps.transpose(2, 3).contiguous(), point.T.contiguous()
        _backward(
            *(as_array(v) for v in (rows.view(batch, frames, lanes), back[0], point, back[1], mixer)),
            *(as_array(v) for v in (found, means, rising, gradients[0].contiguous().view(batch, frames, lanes))),
            *(as_array(v) for v in (for_rows.view(batch, frames, lanes), for_taps, for_offsets)),
            *(as_array(v) for v in (for_point, for_mixer, for_mixed)),
            ctx.dilation,
            np.empty((6, _PIECE, lanes), np.float32),
            np.empty((parts, frames, lanes), np.float32),
        )
        offsets = for_offsets.view(parts, bands, c)
        return for_rows, for_taps, offsets, for_point, for_mixer, for_mixed.view(bands, c), None


@loop
def _forward(
    rows: np.ndarray,
    taps: np.ndarray,
    offsets: np.ndarray,
    point: np.ndarray,
    across: np.ndarray,
    mixed_offsets: np.ndarray,
    out: np.ndarray,
    found: np.ndarray,
    means: np.ndarray,
    rising: np.ndarray,
    dilation: int,
    scratch: np.ndarray,
) -> None:
    """`across` is the mixer, transposed; `found`, `means` and `rising` are for the way back."""
    clips, frames, lanes = rows.shape
    parts, c = taps.shape[0], taps.shape[2]
    bands = lanes // c
    y, p, q = scratch[0], scratch[1], scratch[2]
    silence = np.zeros(lanes, np.float32)
    for clip in range(clips):
        for start in range(0, frames, _PIECE):
            count = min(_PIECE, frames - start)
            for part in range(parts):
                for tap in range(TAPS - 1, -1, -1):
                    back = (TAPS - 1 - tap) * dilation
                    first = max(start, back)  # silence comes before the first frame
                    if first < start + count:
                        product(
                            AS_IT_IS, (start + count - first) * bands, c, c,
                            rows[clip, first - back].ctypes.data, c, taps[part, tap].ctypes.data, c,
                            ANEW if tap == TAPS - 1 else ADDED, found[part, clip, first].ctypes.data, c,
                        )  # fmt: skip
            for t in range(start, start + count):
                _rectified(found[0, clip, t], offsets[0])
                if parts > 1:
                    _opened(found[1, clip, t], offsets[1])
                    former = means[clip, t - 1] if t > 0 else silence
                    _next_mean(found[0, clip, t], found[1, clip, t], former, means[clip, t])
                _stepped(rows[clip, t], means[clip, t], y[t - start])
            product(
                AS_IT_IS, count * bands, c, c, y.ctypes.data, c, point.ctypes.data, c, ANEW, p.ctypes.data, c,
            )  # fmt: skip
            for t in range(count):
                product(
                    AS_IT_IS, bands, c, bands, across.ctypes.data, bands, p[t].ctypes.data, c, ANEW,
                    q[t].ctypes.data, c,
                )  # fmt: skip
                _mixed(y[t], q[t], mixed_offsets, rising[clip, start + t], out[clip, start + t])


@loop
def _backward(
    rows: np.ndarray,
    taps: np.ndarray,
    point: np.ndarray,
    back_point: np.ndarray,
    mixer: np.ndarray,
    found: np.ndarray,
    means: np.ndarray,
    rising: np.ndarray,
    given: np.ndarray,
    for_rows: np.ndarray,
    for_taps: np.ndarray,
    for_offsets: np.ndarray,
    for_point: np.ndarray,
    for_mixer: np.ndarray,
    for_mixed: np.ndarray,
    dilation: int,
    scratch: np.ndarray,
    for_found: np.ndarray,
) -> None:
    """`taps` and `back_point` are transposed: `product` reads B as it lies in memory."""
    clips, frames, lanes = rows.shape
    parts, c = taps.shape[0], taps.shape[2]
    bands = lanes // c
    y, p, dq, dp, columns, carried = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5, 0]
    silence = np.zeros(lanes, np.float32)
    for clip in range(clips):
        carried[:] = 0.0
        for start in range((frames - 1) // _PIECE * _PIECE, -1, -_PIECE):
            count = min(_PIECE, frames - start)
            for t in range(count):
                _stepped(rows[clip, start + t], means[clip, start + t], y[t])
                _back_mixed(given[clip, start + t], rising[clip, start + t], dq[t])
                summed(dq[t], for_mixed)
                turned(dq[t].reshape(bands, c), columns[t].reshape(c, bands))
                copied(given[clip, start + t], for_rows[clip, start + t])
            product(
                AS_IT_IS, count * bands, c, c, y.ctypes.data, c, point.ctypes.data, c, ANEW, p.ctypes.data, c,
            )  # fmt: skip
            for t in range(count):
                product(
                    AS_IT_IS, bands, c, bands, mixer.ctypes.data, bands, dq[t].ctypes.data, c, ANEW,
                    dp[t].ctypes.data, c,
                )  # fmt: skip
                product(
                    AS_IT_IS, bands, bands, c, p[t].ctypes.data, c, columns[t].ctypes.data, bands, ADDED,
                    for_mixer.ctypes.data, bands,
                )  # fmt: skip
            product(
                TRANSPOSED, c, c, count * bands, y.ctypes.data, c, dp.ctypes.data, c, ADDED,
                for_point.ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, count * bands, c, c, dp.ctypes.data, c, back_point.ctypes.data, c, ADDED,
                for_rows[clip, start].ctypes.data, c,
            )  # fmt: skip
            for t in range(start + count - 1, start - 1, -1):
                if parts > 1:
                    former = means[clip, t - 1] if t > 0 else silence
                    _back_mean(
                        found[0, clip, t], found[1, clip, t], former, for_rows[clip, t], carried, for_found[0, t],
                        for_found[1, t],
                    )  # fmt: skip
                    summed(for_found[1, t], for_offsets[1])
                else:
                    _back_rectified(for_rows[clip, t], found[0, clip, t], for_found[0, t])
                summed(for_found[0, t], for_offsets[0])
            for part in range(parts):
                for tap in range(TAPS):
                    back = (TAPS - 1 - tap) * dilation
                    first = max(start, back)
                    if first < start + count:
                        product(
                            TRANSPOSED, c, c, (start + count - first) * bands,
                            rows[clip, first - back].ctypes.data, c, for_found[part, first].ctypes.data, c, ADDED,
                            for_taps[part, tap].ctypes.data, c,
                        )  # fmt: skip
                    heard = min(count, frames - back - start)  # frames that a later one of the clip has heard
                    if heard > 0:
                        product(
                            AS_IT_IS, heard * bands, c, c, for_found[part, start + back].ctypes.data, c,
                            taps[part, tap].ctypes.data, c, ADDED, for_rows[clip, start].ctypes.data, c,
                        )  # fmt: skip


@loop
def sigmoid(value: np.float32) -> np.float32:
    """Logistic function to 2 ulp: e^x as a power of two times a polynomial, which compilers turn into vectors."""
    x = min(max(-value, np.float32(-87.0)), np.float32(87.0))
    whole = np.floor(x * np.float32(1.4426950408889634) + np.float32(0.5))
    rest = x - whole * np.float32(0.693359375)
    rest = rest - whole * np.float32(-2.12194440e-4)
    series = np.float32(1.9875691500e-4)
    series = series * rest + np.float32(1.3981999507e-3)
    series = series * rest + np.float32(8.3334519073e-3)
    series = series * rest + np.float32(4.1665795894e-2)
    series = series * rest + np.float32(1.6666665459e-1)
    series = series * rest + np.float32(5.0000001201e-1)
    series = series * rest * rest + rest + _ONE
    scale = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    answer: np.float32 = _ONE / (_ONE + series * scale.view(np.float32))
    return answer


@loop
def _rectified(values: np.ndarray, offsets: np.ndarray) -> None:
    for k in range(values.size):
        value = values[k] + offsets[k]
        values[k] = value if value > 0 else _SLOPE * value


@loop
def _opened(gates: np.ndarray, offsets: np.ndarray) -> None:
    for k in range(gates.size):
        gates[k] = sigmoid(gates[k] + offsets[k])


@loop
def _next_mean(values: np.ndarray, gates: np.ndarray, former: np.ndarray, mean: np.ndarray) -> None:
    for k in range(values.size):
        mean[k] = values[k] + gates[k] * (former[k] - values[k])


@loop
def _back_mean(
    values: np.ndarray,
    gates: np.ndarray,
    former: np.ndarray,
    step: np.ndarray,
    carried: np.ndarray,
    for_values: np.ndarray,
    for_gates: np.ndarray,
) -> None:
    """From the gradient of what follows a mean to that of values and gates before their rectifier and sigmoid.

    `carried`, read and written, is the gradient of the mean itself, from later frames.
    """
    for k in range(values.size):  # several loops: with more arrays in one, compilers no longer make vectors of it
        for_values[k] = (carried[k] + _STEP * step[k]) * (_ONE - gates[k])
    for k in range(values.size):
        for_gates[k] = for_values[k] * gates[k] * (former[k] - values[k])
    for k in range(values.size):
        carried[k] = (carried[k] + _STEP * step[k]) * gates[k]
    for k in range(values.size):
        for_values[k] *= _ONE if values[k] > 0 else _SLOPE


@loop
def _back_rectified(step: np.ndarray, values: np.ndarray, to: np.ndarray) -> None:
    for k in range(values.size):
        to[k] = _STEP * step[k] * (_ONE if values[k] > 0 else _SLOPE)


@loop
def _mixed(y: np.ndarray, q: np.ndarray, offsets: np.ndarray, rising: np.ndarray, out: np.ndarray) -> None:
    for k in range(y.size):
        value = q[k] + offsets[k]
        rising[k] = value > 0
        out[k] = y[k] + _STEP * (value if value > 0 else _SLOPE * value)


@loop
def _back_mixed(given: np.ndarray, rising: np.ndarray, to: np.ndarray) -> None:
    for k in range(given.size):
        to[k] = _STEP * given[k] * (_ONE if rising[k] else _SLOPE)


@loop
def _stepped(rows: np.ndarray, added: np.ndarray, out: np.ndarray) -> None:
    for k in range(rows.size):
        out[k] = rows[k] + _STEP * added[k]
