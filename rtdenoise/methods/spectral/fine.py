"""Record fields and fitted constants of the per-bin regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from rtdenoise.kernels import fine
from rtdenoise.kernels.sized import Size
from rtdenoise.methods.spectral.prior import context_shapes, load_constants
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.units import smoothing_per_hop

AVERAGE_SECONDS = (0.02, 0.06, 0.25)
_RISE_PER_SECOND = 0.7  # of the logarithm of the minimum power
_UNREST_SECONDS = 0.3
_MEAN_SECONDS = 0.1
N_HIDDEN, N_SECOND = 48, 16


def fine_fields(n_bins: int) -> list[tuple[Any, ...]]:
    """Record fields of the per-bin regression; `n_bins` is 0 in records without it, whose large arrays are empty."""
    n, there, n_places = Size(n_bins), int(n_bins > 0), fine.N_INPUTS - fine.N_SCALARS - fine.N_COSINES
    return [
        ("band_spread", "f4", (n,)),
        ("fine_averages", "f4", (3, n)),
        *((f"fine_{name}", "f4", (n,)) for name in ("lowest", "mean", "variance")),
        ("fine_smoothing", "f4", (6,)),
        ("fine_maps", "f4", (fine.N_MAPS, Size(n + there * 2 * fine.REACH))),
        ("fine_scalars", "f4", (fine.N_SCALARS,)),
        ("fine_taper", "f4", (Size(there * fine.COMB_BINS),)),
        ("fine_cosine", "f4", (Size(there * fine.COMB_LENGTH),)),
        ("fine_cepstrum", "f4", (Size(there * fine.COMB_LENGTH),)),
        ("fine_spectrum", "c8", (Size(there * (fine.COMB_LENGTH // 2 + 1)),)),
        ("fine_rows", "i4", (n_places,)),
        ("fine_shifts", "i4", (n_places,)),
        ("fine_inputs", "f4", (fine.N_INPUTS, n)),
        ("fine_hidden", "f4", (N_HIDDEN, n)),
        ("fine_second", "f4", (N_SECOND, n)),
        ("fine_value", "f4", (1, n)),
        *((f"fine_{name}", "f4", (Size(there * shape[0]), *shape[1:])) for name, shape in fine_shapes().items()),
    ]


def fine_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the constants of `rtdenoise.kernels.fine.wiener_fine`, with those of its band regression."""
    return {
        **{f"band_{name}": shape for name, shape in context_shapes().items()},
        "table": (N_HIDDEN, fine.N_INPUTS),
        "offset": (N_HIDDEN,),
        "second_table": (N_SECOND, N_HIDDEN),
        "second_offset": (N_SECOND,),
        "value_table": (1, N_SECOND),
        "value_offset": (1,),
    }


def fill_fine(record: Any, framing: Framing) -> None:
    """Write the constants into a record that has these fields."""
    hop = framing.hop_seconds
    record["fine_smoothing"] = [
        *(smoothing_per_hop(seconds, hop) for seconds in AVERAGE_SECONDS),
        np.exp(_RISE_PER_SECOND * hop),
        smoothing_per_hop(_UNREST_SECONDS, hop),
        smoothing_per_hop(_MEAN_SECONDS, hop),
    ]
    taper = np.ones(fine.COMB_BINS)
    taper[100:] = np.linspace(1.0, 0.0, fine.COMB_BINS - 100)
    record["fine_taper"] = taper
    record["fine_cosine"] = np.cos(2.0 * np.pi * np.arange(fine.COMB_LENGTH) / fine.COMB_LENGTH)
    places = [(row, shift) for row, shifts in fine.PLACES for shift in shifts]
    record["fine_rows"], record["fine_shifts"] = zip(*places, strict=True)
    record["fine_inputs"][-fine.N_COSINES :] = place_cosines(framing)
    for name, value in load_constants("fine", fine_shapes()).items():
        record[f"fine_{name}"] = value


def place_cosines(framing: Framing) -> np.ndarray:
    """Positional encoding of bins: three cosines over the mel scale up to 8 kHz; (3, n_bins) float64."""
    hz = np.minimum(np.arange(framing.n_bins) * framing.sample_rate / framing.frame, 8000.0)
    place = np.log10(1.0 + hz / 700.0) / np.log10(1.0 + 8000.0 / 700.0)
    return np.asarray(np.cos(np.pi * np.arange(1, fine.N_COSINES + 1)[:, None] * place))
