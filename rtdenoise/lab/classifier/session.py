"""Start or resume the training run of a feature network from its settings and labelled sounds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.labels import Clip, classes_of, find_clips, summary
from rtdenoise.lab.classifier.settings import ClassifierSettings
from rtdenoise.lab.classifier.sounds import Mixture, open_sounds
from rtdenoise.lab.classifier.spec import Task
from rtdenoise.lab.training.progress import LAST
from rtdenoise.lab.training.session import run_files

if TYPE_CHECKING:
    from rtdenoise.lab.training.progress import Progress

_LOG = logging.getLogger(__name__)


def find_tasks(settings: ClassifierSettings, data: Path | None) -> list[tuple[Task, list[Clip]]]:
    """Every task with its classes and clips; `data` is used where a task names no folder.

    Raises
    ------
    ConfigError
        If sounds or labels are missing, or a single-label task has clips with several.
    """
    found = []
    for wanted in settings.tasks:
        place = Path(wanted.data) if wanted.data else data or Path(settings.data)
        if not wanted.data and data is None and not settings.data:
            raise ConfigError(f"task {wanted.name!r}: no labelled sounds; give a folder with --data, or data: of it")
        clips = find_clips(place, only=wanted.only, exclude=wanted.exclude)
        if wanted.kind == "single":
            several = next((clip for clip in clips if len(clip.labels) > 1), None)
            if several is not None:
                raise ConfigError(
                    f"task {wanted.name!r}: {several.path.name} has {len(several.labels)} labels; "
                    "kind: multi takes several"
                )
        _LOG.info("task %s: %s", wanted.name, summary(clips))
        found.append((Task(name=wanted.name, kind=wanted.kind, classes=classes_of(clips)), clips))
    return found


def train_classifier(
    settings: ClassifierSettings,
    *,
    data: Path | None,
    folder: Path,
    cache: Path,
    resume: bool = False,
    observe: Callable[[Progress], None] | None = None,
) -> str:
    """Train, or resume from ``last.npz`` in `folder`; returns why the run ended.

    Files of an earlier run there are removed unless `resume`.

    Raises
    ------
    ConfigError, ModelError
        For unusable sounds, settings or checkpoints, and for a NaN loss.
    """
    from rtdenoise.lab.classifier.trainer import ClassifierTrainer
    from rtdenoise.lab.network.keras_network import import_keras

    import_keras()  # report a missing Keras before the sounds are decoded
    rate = settings.classifier.sample_rate
    former = [] if resume else run_files(folder)
    found = find_tasks(settings, data)
    mixtures, validation = [], []
    for (task, clips), wanted in zip(found, settings.tasks, strict=True):
        sounds = open_sounds(clips, task, "train", cache=cache, sample_rate=rate)
        mixtures.append(Mixture(task, sounds, wanted.share, wanted.mixing))
        validation.append(open_sounds(clips, task, "dev", cache=cache, sample_rate=rate))
    trainer = ClassifierTrainer(settings, tuple(task for task, _ in found), folder, observe)
    if resume:
        trainer.resume(folder / LAST)
        _LOG.info("going on from step %d", trainer.step)
    for path in former:  # only now: a failure before the first step leaves the previous run unchanged
        path.unlink()
    _LOG.info("feature network: %d weights", trainer.network.count_params())
    return trainer.run(mixtures, validation)
