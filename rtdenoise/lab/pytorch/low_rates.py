"""A spectral network at low rates, with changes of its weights that can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch.network import Forward
from rtdenoise.lab.pytorch.shipped import folded, row_scales, unfolded, weight_names
from rtdenoise.methods.can.compiled.band_end import FOLD_LOW, ROLL_OFF, SLOPE_LOW, fill_above
from rtdenoise.methods.can.layers.low_rates import Changes, changes_as_bytes
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.weights import BESIDE, Network
from rtdenoise.typing import F32


class Adapted(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked
    """A spectral network that learns weights for low rates: small products added to dense ones, all of banded ones.

    Parameters
    ----------
    network : Network
    rank : int
        Of the products; arrays in which these would not have less than half as many weights are trained as they are,
        and so are all arrays of a banded network.
    start : Network, optional
        Where arrays that are trained as they are begin, in place of `network`'s.
    changes : Changes, optional
        Whose products the products begin with, where they are of the same rank.
    compute_dtype : {"float32", "bfloat16"}
        See `Forward`.
    """

    def __init__(
        self,
        network: Network,
        rank: int = 16,
        start: Network | None = None,
        changes: Changes | None = None,
        compute_dtype: str = "float32",
    ) -> None:
        super().__init__()
        self.spec = network.spec
        self._base = [torch.from_numpy(a) for a in unfolded(network)]
        begin = self._base if start is None else [torch.from_numpy(a) for a in unfolded(start)]
        self._ends: Sequence[int] = ()
        self.small, self.left, self.right = (torch.nn.ParameterDict() for _ in range(3))
        for number, (name, array) in enumerate(zip(weight_names(self.spec), self._base, strict=True)):
            n_in, n_out = array.numel() // array.shape[-1], array.shape[-1]
            is_dense = not self.spec.bands and not name.startswith(BESIDE)
            if is_dense and array.ndim > 1 and 2 * rank * (n_in + n_out) < array.numel():
                left, right = torch.randn(n_in, rank) / n_in**0.5, torch.zeros(rank, n_out)
                kept = None if changes is None else changes.product(name)
                if kept is not None and kept[0].shape == left.shape:
                    scales = row_scales(self.spec, name, n_in)
                    left, right = (torch.from_numpy(a.astype(np.float32)) for a in (kept[0] / scales, kept[1]))
                self.left[str(number)], self.right[str(number)] = (torch.nn.Parameter(a) for a in (left, right))
            else:
                self.small[str(number)] = torch.nn.Parameter(begin[number].clone())
        self._forward = Forward(self.spec, compute_dtype, self._read)

    def begin_like(self, changed: Mapping[str, Tensor], other: Network) -> None:
        """Begin with what another network of the same shapes learnt: the ``state_dict`` of its changes, and itself."""
        bases = unfolded(other)
        with torch.no_grad():
            for key, array in self.small.items():
                array.add_(changed[f"small.{key}"] - torch.from_numpy(bases[int(key)]))
            for kind, arrays in (("left", self.left), ("right", self.right)):
                for key, array in arrays.items():
                    array.copy_(changed[f"{kind}.{key}"])

    def variables(self) -> list[Tensor]:
        """The weights as they are now, in Keras' order."""
        now = []
        for number, array in enumerate(self._base):
            key = str(number)
            if key in self.small:
                now.append(self.small[key])
            else:
                now.append(array + (self.left[key] @ self.right[key]).reshape(array.shape))
        return now

    def forward(self, noisy: Tensor, ends: Sequence[int]) -> Tensor:
        """Enhance ``(batch, n_samples)`` float32 at 16 kHz, in whose bands so many bins are the last."""
        self._ends = ends
        return self._forward(self.variables(), noisy, True)

    def changes(self, mask_power: float | None = None) -> bytes:
        """Content of the file with the changes, see `rtdenoise.methods.can.layers.low_rates`."""
        spec, names = self.spec, weight_names(self.spec)
        with torch.no_grad():
            now = folded(spec, [v.numpy() for v in self.variables()])
        added = {}
        for key in self.left:
            left, right = (pair[key].detach().numpy() for pair in (self.left, self.right))
            added[names[int(key)]] = left * row_scales(spec, names[int(key)], len(left)), right
        return changes_as_bytes({name: array for name, array in now.items() if name not in added}, added, mask_power)

    def _read(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra with the image of what lies below the end of each band."""
        images = [image(end, real.shape[-1]) for end in self._ends]
        source, gain = (torch.from_numpy(np.stack(each))[:, None] for each in zip(*images, strict=True))
        source = source.expand(-1, real.shape[1], -1)
        return real.gather(2, source) * gain, imag.gather(2, source) * gain


def top(spec: CanSpec, rate_hz: int = 8000) -> int:
    """Last bin that a network reads at a low rate, where it finds no end of the band below."""
    n_bins = spec.frame * rate_hz // spec.sample_rate // 2 + 1
    return n_bins - 1 - n_bins // ROLL_OFF


def image(end: int, n_bins: int) -> tuple[np.ndarray, F32]:
    """Which bin each bin repeats in the image above bin `end`, and by what gain: (n_bins,) int64 and float32."""
    gains, places = np.ones(n_bins, np.complex64), np.arange(n_bins).astype(np.complex64)
    fill_above(gains, end, FOLD_LOW, SLOPE_LOW)
    fill_above(places, end, FOLD_LOW, SLOPE_LOW)
    return np.rint(places.real / gains.real).astype(np.int64), gains.real.astype(np.float32)
