"""The banded network by compiled loops: much faster on a processor than PyTorch's own operations."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch.banded_ends import GROUPS, OUTPUTS, Entry, Exit
from rtdenoise.lab.pytorch.banded_layers import TAPS, Layer
from rtdenoise.lab.pytorch.products import SLOPE
from rtdenoise.methods.can.layers import banded
from rtdenoise.methods.can.spec import CanSpec


def fits(spec: CanSpec) -> bool:
    """Whether a network has the constants with which the loops are compiled."""
    return (banded.groups(spec.n_bins), spec.kernel, spec.slope) == (GROUPS, TAPS, SLOPE)


def outputs(spec: CanSpec, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
    """Like `rtdenoise.lab.network.banded_form.outputs`, with its parameters but `ops`; `rows` get no gradient."""
    batch, hops, _ = rows.shape
    c, bands = spec.channels, spec.bands
    image = rows.view(batch, hops, banded.KINDS, spec.n_bins).permute(2, 0, 1, 3)
    entry = weights["entry"].view(2, -1, c)
    groups, values = Entry.apply(
        image, weights["scale"], weights["offset"], entry, weights["entry_bias"], weights["down"].T
    )
    for index, dilation in enumerate(spec.dilations):
        kinds = ("value", "gate") if index in spec.gates else ("value",)
        taps = torch.stack([weights[f"{kind}s{index}"].view(TAPS, c, c) for kind in kinds])
        offsets = torch.stack([weights[f"{kind}_offsets{index}"].view(bands, c) for kind in kinds])
        mixed = weights[f"mixed_offsets{index}"].view(bands, c)
        values = Layer.apply(
            values, taps, offsets, weights[f"points{index}"], weights[f"mixers{index}"].T, mixed, dilation
        )
    merge, decoder = weights["merge"].view(2, c, c), weights["decoder"].view(3, c, -1)
    out = Exit.apply(values, groups, weights["up"].T, merge, weights["merge_bias"], decoder)
    return (out + weights["output_offset"][:, None]).transpose(1, 2).reshape(batch, hops, OUTPUTS * spec.n_bins)
