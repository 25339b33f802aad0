"""Read what a denoiser knows about the last hop, through the adapters around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable
from zipfile import BadZipFile

import numpy as np

from rtdenoise.disk.shipped import data_folder
from rtdenoise.errors import ModelError
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.presence.bands import N_BANDS
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.typing import F32, Denoiser

SNR_MIN_DB, SNR_MAX_DB = -20.0, 40.0
"""Range of the SNR; beyond it nothing is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a denoiser.

    Attributes
    ----------
    speech_probability : float
        0 to 1.
    snr_db : (n_bands,) float32
        Speech over noise in the bands of `rtdenoise.streaming.presence.bands` up to half the rate.
    """

    speech_probability: float
    snr_db: F32


@runtime_checkable
class KnowsPresence(Protocol):
    """A denoiser whose state tells where speech is."""

    def reading(self) -> Reading | None:
        """Read the state after the last hop; None if the settings keep no such state.  Changes nothing."""


def reading_of(denoiser: Denoiser) -> Reading | None:
    """Return the reading of the method inside the adapters, or None; of several channels the highest."""
    if isinstance(denoiser, KnowsPresence):
        return denoiser.reading()
    if isinstance(denoiser, PerChannel):
        return highest([reading_of(part) for part in denoiser.parts])
    if isinstance(denoiser, (Downmix, RateAdapter, Mixed, Rechunked)):
        return reading_of(denoiser.inner)
    return None


def highest(readings: list[Reading | None]) -> Reading | None:
    """Return the highest probability and the highest SNR of every band; None if one is missing."""
    found = [reading for reading in readings if reading is not None]
    if len(found) < len(readings):
        return None
    return Reading(
        max(reading.speech_probability for reading in found), np.max([reading.snr_db for reading in found], axis=0)
    )


def silence(n_bands: int) -> Reading:
    """Reading before the first sound and in digital silence."""
    return Reading(0.0, np.full(n_bands, SNR_MIN_DB, np.float32))


def reading_from(features: F32, name: str, n_bands: int) -> Reading:
    """Logistic regression to the probability and linear regression to the SNRs, with the fitted constants `name`.

    Parameters
    ----------
    features : (n,) float32, read
    name : str
        Name of a file in ``models/presence``, without suffix.
    n_bands : int
        Bands up to half the rate.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    """
    table, offset = _constants(name, features.size)
    values = features @ table + offset
    return Reading(
        float(1.0 / (1.0 + np.exp(-np.clip(values[0], -30.0, 30.0)))),
        np.clip(values[1 : 1 + n_bands], SNR_MIN_DB, SNR_MAX_DB).astype(np.float32),
    )


@lru_cache(maxsize=8)
def _constants(name: str, n: int) -> tuple[F32, F32]:
    """Table (n, 1 + 20) and offset (1 + 20,): the logit of the probability, then the SNRs in dB."""
    path = data_folder("models") / "presence" / f"{name}.npz"
    try:
        with Path(path).open("rb") as file, np.load(file) as stored:
            table, offset = stored["table"].astype(np.float32), stored["offset"].astype(np.float32)
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise ModelError(f"cannot read the fitted constants {path}: {error}; reinstall rtdenoise") from error
    if table.shape != (n, 1 + N_BANDS) or offset.shape != (1 + N_BANDS,):
        raise ModelError(f"{path} holds a table of shape {table.shape}, not {(n, 1 + N_BANDS)}; reinstall rtdenoise")
    return table, offset
