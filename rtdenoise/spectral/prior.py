"""Bands and the fitted tables of the log-linear a priori SNR, for any sample rate."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.kernels.prior import N_AVERAGES, N_FEATURES
from rtdenoise.shipped import data_folder
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.typing import F32
from rtdenoise.units import smoothing_per_hop

N_BANDS = 20
N_MAPS = 8
AVERAGE_SECONDS = (0.03, 0.1, 0.4)
PEAK_SECONDS = 2.0
_LOWEST_HZ, _HIGHEST_HZ = 62.5, 8000.0  # centres of the first and the last band


def prior_fields(n_bins: int) -> list[tuple[Any, ...]]:
    """Record fields of the log-linear a priori SNR."""
    return [
        ("share_above", "f4", (n_bins,)),
        ("first_bin", "i4", (N_BANDS + 1,)),
        ("inverse_width", "f4", (N_BANDS,)),
        ("band_averages", "f4", (N_AVERAGES, N_BANDS)),
        ("band_peak", "f4", (N_BANDS,)),
        ("band_smoothing", "f4", (N_AVERAGES + 1,)),
        ("band_features", "f4", (N_FEATURES, N_BANDS)),
        ("band_sums", "f4", (4, N_BANDS)),
        ("band_table", "f4", (N_FEATURES * N_BANDS, N_MAPS * (N_BANDS + 1))),
        ("band_offset", "f4", (N_MAPS * (N_BANDS + 1),)),
        ("band_share", "f4", (N_MAPS,)),
        ("band_mixed", "f4", (N_MAPS * (N_BANDS + 1),)),
        ("band_value", "f4", (N_BANDS,)),
    ]


def fill_prior(record: Any, framing: Framing, table: str) -> None:
    """Write bands, smoothing and the named table into a record that has the fields."""
    hz = np.arange(framing.n_bins) * framing.sample_rate / framing.frame
    place = np.clip(np.interp(_mel(hz), _mel(band_centres_hz()), np.arange(N_BANDS)), 0, N_BANDS - 1)
    heard = np.count_nonzero(hz <= _HIGHEST_HZ)
    record["share_above"] = place - np.floor(place)
    first = np.searchsorted(np.floor(place[:heard]), np.arange(N_BANDS))
    record["first_bin"] = [*first, heard]
    width = np.bincount(np.floor(place[:heard]).astype(int), 1 - (place[:heard] % 1), N_BANDS + 1)
    width[1:] += np.bincount(np.floor(place[:heard]).astype(int), place[:heard] % 1, N_BANDS)
    present = band_centres_hz() <= framing.sample_rate / 2 + 1.0  # the last centre is 8000 Hz but for rounding
    record["inverse_width"] = np.where(present, 1.0 / np.maximum(width[:N_BANDS], 1e-6), 0.0)
    times = (*AVERAGE_SECONDS, PEAK_SECONDS)
    record["band_smoothing"] = [smoothing_per_hop(seconds, framing.hop_seconds) for seconds in times]
    record["band_table"], record["band_offset"] = load_table(table)


def band_centres_hz() -> np.ndarray:
    """Centres of the bands, equidistant on the mel scale; (20,) float64, Hz."""
    mel = np.linspace(_mel(np.array(_LOWEST_HZ)), _mel(np.array(_HIGHEST_HZ)), N_BANDS)
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))


def _mel(hz: np.ndarray) -> np.ndarray:
    return np.asarray(2595.0 * np.log10(1.0 + hz / 700.0))


@lru_cache(maxsize=16)
def load_table(name: str) -> tuple[F32, F32]:
    """The fitted table `name` and its offset.

    Returns
    -------
    table : (140, 168) float32
        A row per feature and band; a column per map and band, then one per map for its score.
    offset : (168,) float32

    Raises
    ------
    ModelError
        If it is missing, damaged or of another shape.
    """
    path = data_folder("models") / "wf-prior" / f"{name}.npz"
    try:
        with np.load(path) as stored:
            table, offset = stored["table"].astype(np.float32), stored["offset"].astype(np.float32)
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise ModelError(f"cannot read the fitted prior {path}: {error}; reinstall rtdenoise") from error
    columns = N_MAPS * (N_BANDS + 1)
    if table.shape != (N_FEATURES * N_BANDS, columns) or offset.shape != (columns,):
        raise ModelError(f"{path} holds shapes {table.shape} and {offset.shape}; reinstall rtdenoise")
    return table, offset
