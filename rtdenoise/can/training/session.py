"""A training run from its configuration file and its data folder."""

from __future__ import annotations

import logging
from pathlib import Path

from rtdenoise.can.training.collection import find_recordings
from rtdenoise.can.training.library import open_shelf
from rtdenoise.can.training.mixtures import Mixer, MixParams
from rtdenoise.can.training.settings import TrainSettings
from rtdenoise.can.training.validation import validation_set
from rtdenoise.errors import RtDenoiseError

_LOG = logging.getLogger(__name__)


def default_cache() -> Path:
    """Where decoded recordings are kept."""
    return Path.home() / ".cache" / "rtdenoise"


def open_mixer(data: Path, split: str, params: MixParams, *, cache: Path, sample_rate: int) -> Mixer:
    """Mixtures of one split of a data folder.

    Raises
    ------
    ConfigError
        If the folder lacks speech or noise.
    """
    found = find_recordings(data)
    kinds = [("speech", True), ("speech", False), ("noise", False), ("rooms", False)]
    shelves = [
        open_shelf(found, kind, split, cache=cache, sample_rate=sample_rate, targets_only=targets)
        for kind, targets in kinds
    ]
    for (kind, targets), shelf in zip(kinds, shelves, strict=True):
        what = f"{kind}{' (targets)' if targets else ''}"
        _LOG.info(
            "%s %s: %d files, %d groups, %.0f min", split, what, len(shelf), len(shelf.groups), shelf.seconds / 60
        )
    return Mixer(params, *shelves)


def preview(settings: TrainSettings, *, data: Path, folder: Path, cache: Path) -> Path:
    """A page of spectrograms and WAV files of what the network will hear; returns the page."""
    from rtdenoise.can.training.pictures import dry_run

    mixer = open_mixer(data, "train", settings.mixtures, cache=cache, sample_rate=settings.network.sample_rate)
    return dry_run(settings, mixer, folder)


def train(
    settings: TrainSettings, *, data: Path, folder: Path, cache: Path, resume: bool = True, start: Path | None = None
) -> str:
    """Train, or go on training from ``last.npz`` in `folder`; returns why the run ended.

    Parameters
    ----------
    resume : bool
        Whether to go on from an earlier checkpoint of this folder.
    start : Path, optional
        Checkpoint whose weights a new run begins with.

    Raises
    ------
    ConfigError, ModelError
        For data, settings or checkpoints that cannot be used, and for a loss that is no number.
    """
    from rtdenoise.can.training.loop import Trainer

    rate = settings.network.sample_rate
    mixer = open_mixer(data, "train", settings.mixtures, cache=cache, sample_rate=rate)
    dev = open_mixer(data, "dev", settings.mixtures, cache=cache, sample_rate=rate)
    hops = int(settings.validation_seconds * rate / settings.network.hop)
    validation = validation_set(
        dev, clips=settings.validation_clips, n_samples=hops * settings.network.hop, cache=cache
    )
    trainer = Trainer(settings, folder)
    last = folder / "last.npz"
    if resume and last.is_file():
        trainer.resume(last)
        _LOG.info("going on from step %d", trainer.step)
    elif start is not None:
        trainer.start(start)
        _LOG.info("starting from the weights in %s", start)
    _LOG.info("%s: %d weights", settings.network.name, trainer.network.count_params())
    try:
        return trainer.run(mixer, validation)
    finally:
        _draw(folder)


def _draw(folder: Path) -> None:
    """The curves, if there is anything to draw and to draw with; a run must not fail for want of a picture."""
    from rtdenoise.can.training.pictures import draw_curves

    try:
        draw_curves(folder)
    except RtDenoiseError as error:
        _LOG.info("no curves drawn: %s", error)
