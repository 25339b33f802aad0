"""Start or resume a training run from a configuration and a data folder."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.batches import Batch, batches
from rtdenoise.lab.data.collection import find_recordings
from rtdenoise.lab.data.lessons import Lessons, lessons_folder
from rtdenoise.lab.data.library import open_shelf
from rtdenoise.lab.data.mixtures import Mixer, MixParams
from rtdenoise.lab.data.pairs import open_pairs, validation_pairs
from rtdenoise.lab.data.validation import validation_set
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.training.progress import BEST, LAST
from rtdenoise.lab.training.settings import RATE, TrainSettings
from rtdenoise.methods.can.models import START, WEIGHTS, Model, model_names, open_model, read_checked
from rtdenoise.typing import F32

if TYPE_CHECKING:
    from rtdenoise.lab.training.progress import Progress

_LOG = logging.getLogger(__name__)
_RUN_FILES = (LAST, BEST, "train.csv", "validation.csv", "curves.png", "events.out.tfevents.*")


def default_cache() -> Path:
    """Default folder for decoded recordings."""
    return Path.home() / ".cache" / "rtdenoise"


def check_begin(folder: Path, *, resume: bool, restart: bool, start: Path | None) -> None:
    """Refuse to overwrite a run or to resume a missing one, and reject contradictory options.

    Raises
    ------
    ConfigError
    """
    last = folder / LAST
    if resume and (restart or start is not None):
        raise ConfigError("--resume goes on with a run; --restart and --start begin one: give one of them")
    if resume and not last.is_file():
        raise ConfigError(f"{last}: no run to resume; leave --resume out to begin one")
    if not resume and not restart and last.is_file():
        raise ConfigError(f"{folder} holds a run already: --resume goes on with it, --restart begins anew")
    if start is not None and not start.is_file():
        shipped = start.name == START and start.parent.name in model_names()
        hint = "; installations leave it out: take it from a source checkout of rtdenoise" if shipped else ""
        raise ConfigError(f"{start}: no such checkpoint (--start){hint}")
    if restart and start is not None and start.resolve().parent == folder.resolve():
        raise ConfigError(f"{start} belongs to the run that --restart removes; name another folder with --run")


def open_mixer(
    data: Path, split: str, params: MixParams, *, cache: Path, sample_rate: int, more: Sequence[Path] = ()
) -> Mixer:
    """Mixtures of one split of a data folder, and of further folders if the split is that of training.

    Raises
    ------
    ConfigError
        If the folder lacks speech or noise, or a further one has nothing to train with.
    """
    found = find_recordings(data, more)
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


def preview(settings: TrainSettings, *, data: Path, folder: Path, cache: Path, more: Sequence[Path] = ()) -> Path:
    """Write a page of spectrograms and WAV files of training pairs; returns the page."""
    from rtdenoise.lab.training.pictures import dry_run

    mixer, _ = _material(settings, data=data, more=more, cache=cache, with_validation=False)
    return dry_run(settings, mixer, folder)


def data_folder(settings: TrainSettings, given: Path | None) -> Path:
    """The folder of recordings: `given`, or else the one in the configuration.

    Raises
    ------
    ConfigError
        If there is neither.
    """
    if given is not None:
        return given
    if not settings.data:
        raise ConfigError("no data to train with: give a folder with --data, or name one in the configuration (data:)")
    folder = Path(settings.data)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such data folder (data: of the configuration); name another with --data")
    return folder


def more_folders(settings: TrainSettings, given: Sequence[Path]) -> list[Path]:
    """Further folders of recordings: those `given`, or else those in the configuration."""
    return list(given) or [Path(name) for name in settings.more]


def folder_name(data: Path) -> str:
    """The data folder's name as checkpoints store it, without its parent path."""
    return data.name if data.name not in ("", "..") else data.resolve().name


def train(
    settings: TrainSettings,
    *,
    data: Path,
    folder: Path,
    cache: Path,
    more: Sequence[Path] = (),
    resume: bool = True,
    start: Path | None = None,
    observe: Callable[[Progress], None] | None = None,
) -> str:
    """Train, or resume from ``last.npz`` in `folder`; returns why the run ended.

    Parameters
    ----------
    more : sequence of Path
        Further folders of recordings to train on; their validation splits are left out.
    resume : bool
        Whether to resume from this folder's checkpoint; otherwise the files of an earlier run there are removed.
    start : Path, optional
        Checkpoint from which a new run takes its weights.
    observe : callable, optional
        Called with the run's `Progress` about twice a second.

    Raises
    ------
    ConfigError, ModelError
        For unusable data, settings or checkpoints, and for a NaN loss.
    """
    from rtdenoise.lab.network.keras_network import import_keras
    from rtdenoise.lab.training.loop import Trainer
    from rtdenoise.lab.training.pictures import keep_curves

    import_keras()  # report a missing package before hours of recordings are decoded
    build_loss(settings.loss)
    last = folder / LAST
    going_on = resume and last.is_file()
    former = [] if going_on else run_files(folder)
    mixer, validation = _material(settings, data=data, more=more, cache=cache)
    source = batches_of(settings, mixer, cache)
    names = [folder_name(each) for each in more]
    trainer = Trainer(replace(settings, data=folder_name(data), more=names), folder, observe)
    if going_on:
        trainer.resume(last)
        _LOG.info("going on from step %d", trainer.step)
        before = trainer.facts.get("settings", {}).get("more", [])
        if before != names:
            told = [", ".join(each) or "none" for each in (before, names)]
            _LOG.warning("%s: further recordings (--more) were %s until now, and are %s from here on", folder, *told)
    elif start is not None:
        trainer.start(start)
        _LOG.info("starting from the weights in %s", start)
    for path in former:  # only now: a failure before the first step leaves the previous run unchanged
        path.unlink()
    _LOG.info("%s: %d weights", settings.network.name, trainer.network.count_params())
    try:
        return trainer.run(source, validation)
    finally:
        keep_curves(folder)


def batches_of(settings: TrainSettings, mixer: Mixer, cache: Path) -> Callable[[int], Generator[Batch, None, None]]:
    """What gives the batches of a run from a step on."""
    sizes = {"seed": settings.seed, "batch_size": settings.batch_size, "n_samples": settings.n_samples}
    if not settings.teacher:
        return lambda first: batches(mixer, first=first, workers=settings.workers, **sizes)
    n_batches, share = settings.lessons, settings.taught
    teachers = [(open_model(name), part) for name, part in settings.teachers.items()]
    return lessons_of(teachers, mixer, n_batches=n_batches, share=share, cache=cache, **sizes)


def lessons_of(
    teachers: Sequence[tuple[Model, float]], mixer: Mixer, *, n_batches: int, share: float, cache: Path, **sizes: int
) -> Lessons:
    """Batches of which a share has as its target what models make of them, with these weights; `sizes`: see `Lessons`.

    Raises
    ------
    ConfigError
        If one cannot teach: not over spectra, at another rate, or Keras runs without PyTorch.
    """
    from rtdenoise.lab.network.keras_network import import_keras

    for name, spec in ((model.spec.name, model.spec) for model, _ in teachers):
        if spec.domain != "spectral" or spec.sample_rate != RATE:
            raise ConfigError(f"teacher={name} must be a network over spectra at {RATE} Hz, such as can-live")
        if import_keras().backend.backend() != "torch":
            raise ConfigError(f"teacher={name} needs PyTorch: set KERAS_BACKEND=torch, or leave teacher out")
    from rtdenoise.lab.pytorch.shipped import Teacher, mean_of

    facts = [
        {"weights": hashlib.sha256(read_checked(m.folder, WEIGHTS)).hexdigest(), "spec": m.spec.as_json(), "part": part}
        for m, part in teachers
    ]
    folder = lessons_folder(cache, mixer, {"teachers": facts, "share": share}, **sizes)
    _LOG.info("%d lessons of %s, kept in %s", n_batches, ", ".join(m.spec.name for m, _ in teachers), folder)
    teach = mean_of([(Teacher(model.network()).hear, part) for model, part in teachers])
    return Lessons(mixer, teach, n_batches, share, folder=folder, **sizes)


def run_files(folder: Path) -> list[Path]:
    """Files a run writes to its folder: checkpoints, tables, curves and events."""
    return [path for pattern in _RUN_FILES for path in folder.glob(pattern) if path.is_file()]


def _material(
    settings: TrainSettings, *, data: Path, more: Sequence[Path], cache: Path, with_validation: bool = True
) -> tuple[Mixer, tuple[F32, F32] | None]:
    """The source of training pairs, and the fixed validation set."""
    rate, hop = settings.network.sample_rate, settings.network.hop
    sizes = {"clips": settings.validation_clips, "n_samples": int(settings.validation_seconds * rate / hop) * hop}
    opened: dict[str, Any] = {"cache": cache, "sample_rate": rate}
    if settings.pairs:
        if more:
            raise ConfigError("more adds recordings to be mixed; pairs: true trains on mixtures as they are")
        mixer = cast("Mixer", open_pairs(data, "train", **opened))  # same interface
        dev_pairs = open_pairs(data, "dev", **opened) if with_validation else None
        return mixer, None if dev_pairs is None else validation_pairs(dev_pairs, **sizes)
    mixer = open_mixer(data, "train", settings.mixtures, more=more, **opened)
    if not with_validation:
        return mixer, None
    return mixer, validation_set(open_mixer(data, "dev", settings.mixtures, **opened), cache=cache, **sizes)
