"""The run that trains a feature network: steps, checkpoints, validation, exact resume."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.can.model import import_keras
from rtdenoise.can.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rtdenoise.can.training.classifier.figures import FIGURES, figure, logits_of
from rtdenoise.can.training.classifier.network import build_classifier, classifier_loss
from rtdenoise.can.training.classifier.settings import ClassifierSettings
from rtdenoise.can.training.classifier.sounds import Mixture, Sounds, examples
from rtdenoise.can.training.classifier.spec import Task
from rtdenoise.can.training.journal import Journal
from rtdenoise.can.training.optimiser import build_optimiser
from rtdenoise.can.training.progress import LAST, STOPPED, Progress
from rtdenoise.can.training.variables import assign
from rtdenoise.errors import ModelError

_LOG = logging.getLogger(__name__)
_REPORT_STEPS = 50
_OBSERVE_SECONDS = 0.5


class ClassifierTrainer:
    """One run: network, optimiser, and the folder of its checkpoints and logs.

    Parameters
    ----------
    settings : ClassifierSettings
    tasks : tuple of Task
    folder : Path
        Holds ``last.npz``, ``best.npz``, ``train.csv`` and ``validation.csv``.
    observe : callable, optional
        Called with a `Progress` about twice a second.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        tasks: tuple[Task, ...],
        folder: Path,
        observe: Callable[[Progress], None] | None = None,
    ) -> None:
        keras = import_keras()
        self.settings, self.tasks, self.folder, self._observe = settings, tasks, folder, observe
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(settings.seed)
        self.network = build_classifier(settings.classifier, tasks, settings.dropout)
        self.optimiser = build_optimiser(settings)
        self.network.compile(self.optimiser, loss=classifier_loss(tasks, settings.smoothing), jit_compile=False)
        self.optimiser.build(self.network.trainable_variables)
        self.step = 0
        self.facts: dict[str, Any] = {"audio_seconds": 0.0, "best": None}
        self._journal = Journal(folder)
        self._stop = False

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, exactly.

        Raises
        ------
        ModelError
            If it belongs to another network or to other tasks.
        """
        checkpoint = load_checkpoint(path)
        found = [Task(**{**task, "classes": tuple(task["classes"])}) for task in checkpoint.facts.get("tasks", ())]
        if found and tuple(found) != self.tasks:
            raise ModelError(f"{path}: trained on other tasks or classes ({_told(found)}, not {_told(self.tasks)})")
        for variables, arrays in (
            (self.network.weights, checkpoint.weights),
            (self.optimiser.variables, checkpoint.optimiser),
        ):
            assign(variables, arrays, path)
        self.step = checkpoint.step
        self.facts.update(checkpoint.facts)
        self._journal.rewind(self.step)

    def checkpoint(self, name: str = LAST) -> None:
        """Write the present state to the run's folder."""
        facts = self.facts | {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "classifier": dataclasses.asdict(self.settings.classifier),
        }
        weights = [v.numpy() for v in self.network.weights]
        optimiser = [v.numpy() for v in self.optimiser.variables]
        save_checkpoint(self.folder / name, Checkpoint(self.step, weights, self.averaged_weights(), optimiser, facts))

    def averaged_weights(self) -> list[Any]:
        """The network's variables with the averages in place of the trained ones, as arrays."""
        values = {id(v): v.numpy() for v in self.network.weights}
        if self.settings.ema > 0.0:
            averages = self.optimiser._model_variables_moving_average  # no public way to read them without assigning
            for variable, average in zip(self.network.trainable_variables, averages, strict=True):
                values[id(variable)] = average.numpy()
        return [values[id(v)] for v in self.network.weights]

    def validate(self, sounds: list[Sounds]) -> dict[str, float]:
        """The figure of each task with averaged weights, on whole clips."""
        keras = import_keras()
        trained = [v.numpy() for v in self.network.weights]
        assign(self.network.weights, self.averaged_weights(), self.folder)
        found, start = {}, 0
        try:
            for task, part in zip(self.tasks, sounds, strict=True):
                logits = logits_of(
                    lambda x: keras.ops.convert_to_numpy(self.network(x, training=False)),
                    part,
                    self.settings.classifier.shortest,
                )
                stop = start + len(task.classes)
                found[f"{task.name}_{FIGURES[task.kind]}"] = figure(task, logits[:, start:stop], part.targets)
                start = stop
        finally:
            assign(self.network.weights, trained, self.folder)
        return found

    def run(self, mixtures: list[Mixture], validation: list[Sounds]) -> str:
        """Train until the last step or a signal; returns why it ended.

        Raises
        ------
        ModelError
            If the loss is no number any more; the last checkpoint stays as it was.
        """
        settings = self.settings
        source = examples(
            mixtures,
            first=self.step,
            seed=settings.seed,
            batch_size=settings.batch_size,
            n_samples=settings.n_samples,
        )
        former = {s: signal.signal(s, self._ask_to_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            with contextlib.closing(source):
                reason = self._loop(source, validation)
            self.checkpoint()
            return reason
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, *_: Any) -> None:
        self._stop = True

    def train_step(self, signals: Any, packed: Any) -> float:
        """One step on one batch; returns its loss.

        Raises
        ------
        ModelError
            If the loss is not finite.
        """
        loss = float(self.network.train_on_batch(signals, packed))
        if not np.isfinite(loss):
            raise ModelError(f"the loss is not finite at step {self.step} (try a lower learning_rate)")
        self.step += 1
        self.facts["audio_seconds"] += self.settings.batch_size * self.settings.crop_seconds
        return loss

    def _loop(self, source: Generator[Any, None, None], validation: list[Sounds]) -> str:
        settings = self.settings
        saved = validated = reported = observed = time.monotonic()
        losses: list[float] = []
        for signals, packed in source:
            losses.append(self.train_step(signals, packed))
            now = time.monotonic()
            ended = STOPPED if self._stop else "all steps taken" if self.step >= settings.steps else ""
            if self._observe is not None and (ended or now - observed > _OBSERVE_SECONDS):
                self._observe(self._progress(losses, now - reported))
                observed = now
            if len(losses) == _REPORT_STEPS or ended:
                self._report(self._progress(losses, now - reported))
                losses, reported = [], now
            if now - saved > settings.checkpoint_seconds:
                self.checkpoint()
                saved = now
            if ended != STOPPED and (ended or now - validated > settings.validate_seconds):
                self._judge(self.validate(validation))
                validated = reported = time.monotonic()
                losses = []
            if ended:
                return ended
        raise AssertionError("batches never end")

    def _progress(self, losses: list[float], seconds: float) -> Progress:
        each = max(seconds, 1e-9) / len(losses)
        return Progress(
            step=self.step,
            steps=self.settings.steps,
            loss=float(np.mean(losses)),
            audio_hours=self.facts["audio_seconds"] / 3600.0,
            audio_seconds_per_second=self.settings.batch_size * self.settings.crop_seconds / each,
            seconds_left=(self.settings.steps - self.step) * each,
        )

    def _report(self, at: Progress) -> None:
        _LOG.info("step %d loss %.4f, %.0f min left", at.step, at.loss, at.seconds_left / 60.0)
        row = {name: getattr(at, name) for name in ("loss", "audio_hours", "audio_seconds_per_second")}
        self._journal.add("train", self.step, row)

    def _judge(self, figures: dict[str, float]) -> None:
        """Log the figures; keep the weights if the first task is answered better than ever."""
        _LOG.info("step %d validation %s", self.step, json.dumps({k: round(v, 4) for k, v in figures.items()}))
        self._journal.add("validation", self.step, {"audio_hours": self.facts["audio_seconds"] / 3600.0, **figures})
        score = next(iter(figures.values()))
        if self.facts["best"] is None or score > self.facts["best"]:
            self.facts |= {"best": score, "figures": figures}
            self.checkpoint("best.npz")


def _told(tasks: Any) -> str:
    return ", ".join(f"{task.name} with {len(task.classes)} classes" for task in tasks)
