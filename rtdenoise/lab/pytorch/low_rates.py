"""A spectral network at low rates, with changes of its weights that can be trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rtdenoise.lab.losses.frames import Tensor
from rtdenoise.lab.pytorch.network import Forward
from rtdenoise.lab.pytorch.shipped import folded, row_scales, unfolded, weight_names
from rtdenoise.methods.can.compiled.band_end import ROLL_OFF, fill_above
from rtdenoise.methods.can.layers.low_rates import changes_as_bytes
from rtdenoise.methods.can.weights import Network
from rtdenoise.typing import F32

RATE_HZ = 8000
RANK = 16


class Adapted(torch.nn.Module):  # type: ignore[misc]  # torch is not installed where types are checked  # type: ignore[misc]  # keras has no stubs
    """A dense spectral network whose matrices have products of two small ones added.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.spec = network.spec
        self._base = [torch.from_numpy(a) for a in unfolded(network)]
        self._ends: Sequence[int] = ()
        self.small, self.left, self.right = (torch.nn.ParameterDict() for _ in range(3))
        for number, array in enumerate(self._base):
            if is_adapted(array.shape):
                n_in, n_out = array.numel() // array.shape[-1], array.shape[-1]
                self.left[str(number)] = torch.nn.Parameter(torch.randn(n_in, RANK) / n_in**0.5)
                self.right[str(number)] = torch.nn.Parameter(torch.zeros(RANK, n_out))
            else:
                self.small[str(number)] = torch.nn.Parameter(array.clone())
        self._forward = Forward(self.spec, read=self._read)

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

    def forward(self, noisy: Tensor, edges_hz: np.ndarray) -> Tensor:
        """Enhance ``(batch, n_samples)`` float32 at 16 kHz, whose bands end at so many Hz, as at `RATE_HZ`."""
        per_bin = self.spec.sample_rate / self.spec.frame
        n = RATE_HZ // 2 / per_bin
        top = int(n - (n + 1) // ROLL_OFF)
        self._ends = [min(top, int(edge / per_bin)) for edge in edges_hz]
        return self._forward(self.variables(), noisy, True)

    def changes(self) -> bytes:
        """Content of the file with the changes, see `rtdenoise.methods.can.layers.low_rates`."""
        spec, names = self.spec, weight_names(self.spec)
        with torch.no_grad():
            now = dict(zip(names, folded(spec, [v.numpy() for v in self.variables()]), strict=True))
        replaced = {names[int(key)]: now[names[int(key)]] for key in self.small}
        added = {}
        for key in self.left:
            left, right = (pair[key].detach().numpy() for pair in (self.left, self.right))
            added[names[int(key)]] = left * row_scales(spec, names[int(key)], len(left)), right
        replaced["first_bias"] = now["first_bias"]
        return changes_as_bytes(replaced, added)

    def _read(self, real: Tensor, imag: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra with the image of what lies below the end of each band."""
        images = [image(end, real.shape[-1]) for end in self._ends]
        source, gain = (torch.from_numpy(np.stack(each))[:, None] for each in zip(*images, strict=True))
        source = source.expand(-1, real.shape[1], -1)
        return real.gather(2, source) * gain, imag.gather(2, source) * gain


def image(end: int, n_bins: int) -> tuple[np.ndarray, F32]:
    """Which bin each bin repeats in the image above bin `end`, and by what gain: (n_bins,) int64 and float32."""
    gains, places = np.ones(n_bins, np.complex64), np.arange(n_bins).astype(np.complex64)
    fill_above(gains, end)
    fill_above(places, end)
    return np.rint(places.real / gains.real).astype(np.int64), gains.real.astype(np.float32)


def is_adapted(shape: Sequence[int]) -> bool:
    """Whether a matrix gets a product added, which has less than half of its weights; smaller arrays are replaced."""
    n_in = int(np.prod(shape[:-1]))
    return len(shape) > 1 and 2 * RANK * (n_in + shape[-1]) < n_in * shape[-1]
