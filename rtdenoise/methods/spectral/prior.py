"""Bands and fitted constants of the contextual a priori SNR, for any sample rate."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rtdenoise.disk.shipped import data_folder
from rtdenoise.errors import ModelError
from rtdenoise.kernels.prior import N_AVERAGES, N_FEATURES
from rtdenoise.kernels.sized import Size
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.streaming.presence.bands import N_BANDS, band_centres_hz, mel_of
from rtdenoise.typing import F32
from rtdenoise.units import smoothing_per_hop

N_HIDDEN = 40
AVERAGE_SECONDS = (0.03, 0.1, 0.4)
PEAK_SECONDS = 2.0
_HIGHEST_HZ = 8000.0  # centre of the last band


def prior_fields(n_bins: int) -> list[tuple[Any, ...]]:
    """Record fields of the contextual a priori SNR."""
    return [
        ("share_above", "f4", (Size(n_bins),)),
        ("first_bin", "i4", (N_BANDS + 1,)),
        ("inverse_width", "f4", (N_BANDS,)),
        ("band_averages", "f4", (N_AVERAGES, N_BANDS)),
        ("band_peak", "f4", (N_BANDS,)),
        ("band_smoothing", "f4", (N_AVERAGES + 1,)),
        ("band_features", "f4", (N_FEATURES, N_BANDS)),
        ("band_sums", "f4", (4, N_BANDS)),
        ("band_table", "f4", (N_FEATURES * N_BANDS, N_HIDDEN)),
        ("band_offset", "f4", (N_HIDDEN,)),
        ("band_hidden", "f4", (N_HIDDEN,)),
        ("band_value_table", "f4", (N_HIDDEN, N_BANDS)),
        ("band_value_offset", "f4", (N_BANDS,)),
        ("band_snr_table", "f4", (N_HIDDEN, N_BANDS)),
        ("band_snr_offset", "f4", (N_BANDS,)),
        ("band_value", "f4", (N_BANDS,)),
        ("root", "f4", (Size(n_bins),)),
    ]


def fill_prior(record: Any, framing: Framing) -> None:
    """Write bands, smoothing and the fitted constants into a record that has these fields."""
    hz = np.arange(framing.n_bins) * framing.sample_rate / framing.frame
    place = np.clip(np.interp(mel_of(hz), mel_of(band_centres_hz()), np.arange(N_BANDS)), 0, N_BANDS - 1)
    heard = np.count_nonzero(hz <= _HIGHEST_HZ)
    record["share_above"] = place - np.floor(place)
    first = np.searchsorted(np.floor(place[:heard]), np.arange(N_BANDS))
    record["first_bin"] = [*first, heard]
    width = np.bincount(np.floor(place[:heard]).astype(int), 1 - (place[:heard] % 1), N_BANDS + 1)
    width[1:] += np.bincount(np.floor(place[:heard]).astype(int), place[:heard] % 1, N_BANDS)
    present = band_centres_hz() <= framing.sample_rate / 2 + 1.0  # the last centre is 8000 Hz up to rounding
    record["inverse_width"] = np.where(present, 1.0 / np.maximum(width[:N_BANDS], 1e-6), 0.0)
    times = (*AVERAGE_SECONDS, PEAK_SECONDS)
    record["band_smoothing"] = [smoothing_per_hop(seconds, framing.hop_seconds) for seconds in times]
    for name, value in load_constants("context", context_shapes() | snr_shapes()).items():
        record[f"band_{name}"] = value


def context_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the constants of `rtdenoise.kernels.prior.band_regression` for ``c``."""
    return {
        "table": (N_FEATURES * N_BANDS, N_HIDDEN),
        "offset": (N_HIDDEN,),
        "value_table": (N_HIDDEN, N_BANDS),
        "value_offset": (N_BANDS,),
    }


def snr_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the second output of the same hidden layer: the SNR that controls over-subtraction."""
    return {"snr_table": (N_HIDDEN, N_BANDS), "snr_offset": (N_BANDS,)}


def load_constants(name: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, F32]:
    """Load the fitted constants `name`.

    Parameters
    ----------
    name : str
        Name of a file in ``models/wf-prior``, without suffix.
    shapes : dict
        Required arrays and their shapes.

    Returns
    -------
    dict of float32 arrays

    Raises
    ------
    ModelError
        If the file is missing or damaged, or an array has another shape.
    """
    path = data_folder("models") / "wf-prior" / f"{name}.npz"
    constants = _read(path)
    for key, shape in shapes.items():
        found = constants[key].shape if key in constants else None
        if found != shape:
            raise ModelError(f"{path} holds {key!r} of shape {found}, not {shape}; reinstall rtdenoise")
    return {key: constants[key] for key in shapes}


@lru_cache(maxsize=16)
def _read(path: Path) -> dict[str, F32]:
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return {key: stored[key].astype(np.float32) for key in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelError(f"cannot read the fitted constants {path}: {error}; reinstall rtdenoise") from error
