"""The ends of the banded network: from bins to groups and bands, and back to bins, frame by frame in the cache."""

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
from rtdenoise.methods.can.layers import banded

GROUPS = 64  # of bins
STRIDE, BEFORE, OUTPUTS = banded.STRIDE, banded.BEFORE, banded.OUTPUTS
_SLOPE, _ONE = np.float32(SLOPE), np.float32(1.0)


class Entry(torch.autograd.Function):  # type: ignore[misc]  # torch is not installed where types are checked
    """From inputs to groups and bands; the inputs themselves get no gradient.

    ``apply(inputs, scale, offset, encoder, bias, down)``: `inputs` (kinds, batch, frames, bins), times `scale`
    (kinds, bins) plus `offset`; `encoder` (2, 4 kinds, c), the lower and the upper four bins of a group, bin after bin
    of each kind; `down` (groups, bands).  Gives ``(batch, frames, groups, c)`` and ``(batch, frames, bands, c)``.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, scale: Tensor, offset: Tensor, encoder: Tensor, bias: Tensor, down: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        inputs, encoder = inputs.contiguous(), encoder.contiguous()
        _, batch, frames, _ = inputs.shape
        c, bands = len(bias), down.shape[1]
        groups, rows = inputs.new_empty(batch, frames, GROUPS, c), inputs.new_empty(batch, frames, bands, c)
        _enter(
            *(as_array(v) for v in (inputs.flatten(1, 2), scale, offset, encoder, bias, down.T.contiguous())),
            *(as_array(v) for v in (groups.flatten(0, 1), rows.flatten(0, 1))),
            np.zeros((GROUPS + 1, encoder.shape[1]), np.float32),
        )
        ctx.save_for_backward(inputs, scale, offset, encoder, down, groups)
        return groups, rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients in the order of the arguments."""
        inputs, scale, offset, encoder, down, groups = ctx.saved_tensors
        for_scale, for_offset, for_encoder = (v.new_zeros(v.shape) for v in (scale, offset, encoder))
        for_bias, for_down = scale.new_zeros(encoder.shape[2]), down.new_zeros(down.shape)
        c, width = encoder.shape[2], encoder.shape[1]
        _leave_entry(
            *(as_array(v) for v in (inputs.flatten(1, 2), scale, offset, encoder.transpose(1, 2).contiguous())),
            *(as_array(v) for v in (down.contiguous(), groups.flatten(0, 1))),
            *(as_array(v.contiguous().flatten(0, 1)) for v in gradients),
            *(as_array(v) for v in (for_scale, for_offset, for_encoder, for_bias, for_down)),
            np.zeros((2, GROUPS + 1, width), np.float32),
            np.empty((GROUPS, c), np.float32),
            np.empty((c, down.shape[1]), np.float32),
        )
        return None, for_scale, for_offset, for_encoder, for_bias, for_down


@loop
def _cut(inputs: np.ndarray, frame: int, scale: np.ndarray, offset: np.ndarray, image: np.ndarray) -> None:
    """``(groups + 1, 4 kinds)``: four bins of each kind, from two below the first; what lies outside stays zero."""
    kinds, bins = scale.shape
    flat = image.reshape(image.size)
    for kind in range(kinds):
        values = inputs[kind, frame]
        for k in range(bins):
            at = (k + BEFORE) // STRIDE * (STRIDE * kinds) + kind * STRIDE + (k + BEFORE) % STRIDE
            flat[at] = values[k] * scale[kind, k] + offset[kind, k]


@loop
def _enter(
    inputs: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    encoder: np.ndarray,
    bias: np.ndarray,
    across: np.ndarray,
    groups: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
) -> None:
    """`across` is the matrix from groups to bands, transposed; `image` is zero where there is no bin."""
    c, width, bands = bias.size, image.shape[1], across.shape[0]
    for frame in range(len(groups)):
        _cut(inputs, frame, scale, offset, image)
        found = groups[frame]
        for half in range(2):
            product(
                AS_IT_IS, GROUPS, c, width, image[half].ctypes.data, width, encoder[half].ctypes.data, c,
                ADDED if half else ANEW, found.ctypes.data, c,
            )  # fmt: skip
        _rectified(found, bias)
        product(
            AS_IT_IS, bands, c, GROUPS, across.ctypes.data, GROUPS, found.ctypes.data, c, ANEW,
            rows[frame].ctypes.data, c,
        )  # fmt: skip


@loop
def _leave_entry(
    inputs: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    encoder: np.ndarray,
    down: np.ndarray,
    groups: np.ndarray,
    for_groups: np.ndarray,
    for_rows: np.ndarray,
    for_scale: np.ndarray,
    for_offset: np.ndarray,
    for_encoder: np.ndarray,
    for_bias: np.ndarray,
    for_down: np.ndarray,
    images: np.ndarray,
    step: np.ndarray,
    across: np.ndarray,
) -> None:
    """The way back through `_enter`; `encoder` is transposed."""
    c, width, bands = groups.shape[2], images.shape[2], down.shape[1]
    image, for_image = images[0], images[1]
    for frame in range(len(groups)):
        _cut(inputs, frame, scale, offset, image)
        copied(for_groups[frame].reshape(step.size), step.reshape(step.size))
        turned(for_rows[frame], across)
        product(
            AS_IT_IS, GROUPS, bands, c, groups[frame].ctypes.data, c, across.ctypes.data, bands, ADDED,
            for_down.ctypes.data, bands,
        )  # fmt: skip
        product(
            AS_IT_IS, GROUPS, c, bands, down.ctypes.data, bands, for_rows[frame].ctypes.data, c, ADDED,
            step.ctypes.data, c,
        )  # fmt: skip
        _back_rectified(groups[frame].reshape(step.size), step.reshape(step.size))
        for group in range(GROUPS):
            summed(step[group], for_bias)
        for_image[:] = 0.0
        for half in range(2):
            product(
                TRANSPOSED, width, c, GROUPS, image[half].ctypes.data, width, step.ctypes.data, c, ADDED,
                for_encoder[half].ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, GROUPS, width, c, step.ctypes.data, c, encoder[half].ctypes.data, width, ADDED,
                for_image[half].ctypes.data, width,
            )  # fmt: skip
        _joined(for_image, inputs, frame, for_scale, for_offset)


@loop
def _joined(
    for_image: np.ndarray, inputs: np.ndarray, frame: int, for_scale: np.ndarray, for_offset: np.ndarray
) -> None:
    kinds, bins = for_scale.shape
    flat = for_image.reshape(for_image.size)
    for kind in range(kinds):
        values = inputs[kind, frame]
        for k in range(bins):
            at = (k + BEFORE) // STRIDE * (STRIDE * kinds) + kind * STRIDE + (k + BEFORE) % STRIDE
            for_scale[kind, k] += flat[at] * values[k]
            for_offset[kind, k] += flat[at]


@loop
def _rectified(rows: np.ndarray, bias: np.ndarray) -> None:
    for row in range(len(rows)):
        values = rows[row]
        for k in range(bias.size):
            value = values[k] + bias[k]
            values[k] = value if value > 0 else _SLOPE * value


@loop
def _back_rectified(values: np.ndarray, step: np.ndarray) -> None:
    for k in range(values.size):
        step[k] *= _ONE if values[k] > 0 else _SLOPE


class Exit(torch.autograd.Function):  # type: ignore[misc]  # as above
    """From bands and groups to what each bin is masked by, without what is added to each bin.

    ``apply(rows, groups, up, merge, bias, decoder)``: `up` (bands, groups); `merge` (2, c, c), of bands and of groups;
    `decoder` (3, c, 24), of the group below, of this and of the one above, each for three outputs, the lower and the
    upper half of eight bins, and four bins.  Gives ``(batch, 3, frames, bins)``.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, groups: Tensor, up: Tensor, merge: Tensor, bias: Tensor, decoder: Tensor
    ) -> Tensor:
        """See the class."""
        rows, groups, merge, decoder = (v.contiguous() for v in (rows, groups, merge, decoder))
        batch, frames, _, c = rows.shape
        merged, out = torch.empty_like(groups), rows.new_empty(batch, OUTPUTS, frames, STRIDE * GROUPS + 1)
        _exit(
            *(as_array(v) for v in (rows, groups, up.T.contiguous(), merge, bias, decoder, merged, out)),
            np.empty((GROUPS, c), np.float32),
            np.zeros((GROUPS, decoder.shape[2]), np.float32),
            np.zeros((OUTPUTS, GROUPS + 1, STRIDE), np.float32),
        )
        ctx.save_for_backward(rows, groups, up, merge, decoder, merged)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Gradients in the order of the arguments."""
        rows, groups, up, merge, decoder, merged = ctx.saved_tensors
        for_rows, for_groups = torch.empty_like(rows), torch.empty_like(groups)
        answers = [v.new_zeros(v.shape) for v in (up, merge, merge[0, 0], decoder)]
        _leave_exit(
            *(as_array(v) for v in (rows, groups, up.contiguous(), up.T.contiguous())),
            *(as_array(v) for v in (merge.transpose(1, 2).contiguous(), decoder.transpose(1, 2).contiguous())),
            *(as_array(v) for v in (merged, gradients[0].contiguous(), for_rows, for_groups, *answers)),
            np.empty((3, GROUPS, merge.shape[2]), np.float32),
            np.empty((merge.shape[2], GROUPS), np.float32),
            np.zeros((GROUPS, decoder.shape[2]), np.float32),
            np.zeros((OUTPUTS, GROUPS + 1, STRIDE), np.float32),
        )
        return (for_rows, for_groups, *answers)


@loop
def _exit(
    rows: np.ndarray,
    groups: np.ndarray,
    across: np.ndarray,
    merge: np.ndarray,
    bias: np.ndarray,
    decoder: np.ndarray,
    merged: np.ndarray,
    out: np.ndarray,
    spread: np.ndarray,
    wide: np.ndarray,
    bins: np.ndarray,
) -> None:
    """`across` is the matrix from bands to groups, transposed."""
    clips, frames, bands, c = rows.shape
    n = decoder.shape[2]
    for clip in range(clips):
        for t in range(frames):
            found = merged[clip, t]
            product(
                AS_IT_IS, GROUPS, c, bands, across.ctypes.data, bands, rows[clip, t].ctypes.data, c, ANEW,
                spread.ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, GROUPS, c, c, spread.ctypes.data, c, merge[0].ctypes.data, c, ANEW,
                found.ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, GROUPS, c, c, groups[clip, t].ctypes.data, c, merge[1].ctypes.data, c, ADDED,
                found.ctypes.data, c,
            )  # fmt: skip
            _rectified(found, bias)
            for tap in (1, 0, 2):  # the middle one first, because it reaches all groups
                to, first = max(0, 1 - tap), max(0, tap - 1)
                product(
                    AS_IT_IS, GROUPS - abs(tap - 1), n, c, found[first].ctypes.data, c,
                    decoder[tap].ctypes.data, n, ANEW if tap == 1 else ADDED, wide[to].ctypes.data, n,
                )  # fmt: skip
            _to_bins(wide, bins)
            for k in range(OUTPUTS):
                last = out[clip, k, t]
                copied(bins[k].reshape((GROUPS + 1) * STRIDE)[: last.size], last)


@loop
def _to_bins(wide: np.ndarray, bins: np.ndarray) -> None:
    """The lower half of each group's eight bins to its own four, the upper to those above."""
    for k in range(OUTPUTS):
        part = bins[k]
        for s in range(STRIDE):
            part[GROUPS, s] = 0.0
        for group in range(GROUPS):
            for s in range(STRIDE):
                part[group, s] = wide[group, 2 * STRIDE * k + s]
        for group in range(GROUPS):
            for s in range(STRIDE):
                part[group + 1, s] += wide[group, 2 * STRIDE * k + STRIDE + s]


@loop
def _from_bins(bins: np.ndarray, wide: np.ndarray) -> None:
    """The way back through `_to_bins`."""
    for k in range(OUTPUTS):
        part = bins[k]
        for group in range(GROUPS):
            for s in range(STRIDE):
                wide[group, 2 * STRIDE * k + s] = part[group, s]
                wide[group, 2 * STRIDE * k + STRIDE + s] = part[group + 1, s]


@loop
def _leave_exit(
    rows: np.ndarray,
    groups: np.ndarray,
    up: np.ndarray,
    across: np.ndarray,
    merge: np.ndarray,
    decoder: np.ndarray,
    merged: np.ndarray,
    given: np.ndarray,
    for_rows: np.ndarray,
    for_groups: np.ndarray,
    for_up: np.ndarray,
    for_merge: np.ndarray,
    for_bias: np.ndarray,
    for_decoder: np.ndarray,
    scratch: np.ndarray,
    turned_step: np.ndarray,
    wide: np.ndarray,
    bins: np.ndarray,
) -> None:
    """The way back through `_exit`; `merge` and `decoder` are transposed, `across` is `up` transposed."""
    clips, frames, bands, c = rows.shape
    n = decoder.shape[1]
    spread, step, for_spread = scratch[0], scratch[1], scratch[2]
    for clip in range(clips):
        for t in range(frames):
            for k in range(OUTPUTS):
                first = given[clip, k, t]
                copied(first, bins[k].reshape((GROUPS + 1) * STRIDE)[: first.size])
            _from_bins(bins, wide)
            for tap in (1, 0, 2):
                to, first = max(0, 1 - tap), max(0, tap - 1)
                count = GROUPS - abs(tap - 1)
                product(
                    TRANSPOSED, c, n, count, merged[clip, t, first].ctypes.data, c, wide[to].ctypes.data, n,
                    ADDED, for_decoder[tap].ctypes.data, n,
                )  # fmt: skip
                product(
                    AS_IT_IS, count, c, n, wide[to].ctypes.data, n, decoder[tap].ctypes.data, c,
                    ANEW if tap == 1 else ADDED, step[first].ctypes.data, c,
                )  # fmt: skip
            _back_rectified(merged[clip, t].reshape(step.size), step.reshape(step.size))
            for group in range(GROUPS):
                summed(step[group], for_bias)
            product(
                AS_IT_IS, GROUPS, c, bands, across.ctypes.data, bands, rows[clip, t].ctypes.data, c, ANEW,
                spread.ctypes.data, c,
            )  # fmt: skip
            product(
                TRANSPOSED, c, c, GROUPS, spread.ctypes.data, c, step.ctypes.data, c, ADDED,
                for_merge[0].ctypes.data, c,
            )  # fmt: skip
            product(
                TRANSPOSED, c, c, GROUPS, groups[clip, t].ctypes.data, c, step.ctypes.data, c, ADDED,
                for_merge[1].ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, GROUPS, c, c, step.ctypes.data, c, merge[0].ctypes.data, c, ANEW,
                for_spread.ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, GROUPS, c, c, step.ctypes.data, c, merge[1].ctypes.data, c, ANEW,
                for_groups[clip, t].ctypes.data, c,
            )  # fmt: skip
            product(
                AS_IT_IS, bands, c, GROUPS, up.ctypes.data, GROUPS, for_spread.ctypes.data, c, ANEW,
                for_rows[clip, t].ctypes.data, c,
            )  # fmt: skip
            turned(for_spread, turned_step)
            product(
                AS_IT_IS, bands, GROUPS, c, rows[clip, t].ctypes.data, c, turned_step.ctypes.data, GROUPS,
                ADDED, for_up.ctypes.data, GROUPS,
            )  # fmt: skip
