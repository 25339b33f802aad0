"""The fixed validation set, cached by the hash of its sources, and its metrics."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.library import Shelf, kept_arrays, replacing
from rtdenoise.lab.data.mixtures import Mixer
from rtdenoise.sound.distortion import si_sdr_db
from rtdenoise.typing import F32

_SEED = 20181
_LINES = ("clipping", "band_limit", "colour", "codec", "packet_loss", "gain_control", "soft_clipping", "lossy_codec")
_UNTOUCHED = ("noise_alone", "speech_alone", "level_step", *_LINES)
_ORDINARY = ("noise_colour", "noise_speed", "whisper", "held", "band_end", "near_clean", "noise_room")
_PLAIN: dict[str, Any] = dict.fromkeys((*_UNTOUCHED, *_ORDINARY), 0.0)


def validation_set(mixer: Mixer, *, clips: int, n_samples: int, cache: Path) -> tuple[F32, F32]:
    """Mixtures from the development split: SNR -5 to 15 dB, no line impairments.

    Returns
    -------
    noisy, target : (clips, n_samples) float32
    """
    params = replace(mixer.params, snr_db=(-5.0, 15.0), level_db=(-30.0, -20.0), room=0.1, speed=0.0, **_PLAIN)
    recipe = [asdict(params), clips, n_samples, _SEED]
    recipe += [drawn_from(shelf) for shelf in (mixer.speech, mixer.voices, mixer.noise, mixer.rooms)]
    path = cache / f"validation-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}.npz"
    kept = _kept(path, (clips, n_samples))
    if kept is not None:
        return kept
    plain = replace(mixer, params=params)
    pairs = [plain.mix(np.random.default_rng([_SEED, clip]), n_samples) for clip in range(clips)]
    noisy, target = (np.stack(part) for part in zip(*pairs, strict=True))
    try:
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, noisy=noisy, target=target)
    except OSError as error:
        raise ConfigError(f"{cache}: the validation set cannot be kept there ({error.strerror})") from error
    return noisy, target


def drawn_from(shelf: Shelf) -> list[Any]:
    """Everything that determines a draw from a shelf: its recordings, their positions and their groups."""
    return [shelf.source, shelf.starts.tolist(), shelf.stops.tolist(), [group.tolist() for group in shelf.groups]]


def _kept(path: Path, shape: tuple[int, int]) -> tuple[F32, F32] | None:
    """The cached set of an earlier run; None if it is missing or damaged."""
    found = kept_arrays(path, "noisy", "target")
    if found is None:
        return None
    noisy, target = found
    return (noisy, target) if noisy.shape == target.shape == shape else None


def scores(estimates: F32, targets: F32, sample_rate: int) -> dict[str, float]:
    """Means over clips: ``si_sdr_db``, and where the packages are installed ``pesq`` (wide band) and ``estoi``."""
    found: dict[str, Any] = {"si_sdr_db": [si_sdr_db(t, e) for e, t in zip(estimates, targets, strict=True)]}
    try:
        from pesq import NoUtterancesError, pesq

        found["pesq"] = []
        for e, t in zip(estimates, targets, strict=True):
            try:
                found["pesq"].append(pesq(sample_rate, t, e, "wb"))
            except NoUtterancesError:
                continue
    except ImportError:
        pass
    try:
        from pystoi import stoi

        found["estoi"] = [stoi(t, e, sample_rate, extended=True) for e, t in zip(estimates, targets, strict=True)]
    except ImportError:
        pass
    return {name: float(np.mean(values)) for name, values in found.items() if len(values)}
