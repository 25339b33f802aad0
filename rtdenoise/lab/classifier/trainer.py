"""Training run of a feature network: steps, checkpoints, validation, exact resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.lab.classifier.figures import FIGURES, figure, logits_of
from rtdenoise.lab.classifier.network import build_classifier, classifier_loss
from rtdenoise.lab.classifier.settings import ClassifierSettings
from rtdenoise.lab.classifier.sounds import Mixture, Sounds, examples
from rtdenoise.lab.classifier.spec import Task
from rtdenoise.lab.network.keras_network import import_keras
from rtdenoise.lab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rtdenoise.lab.training.optimiser import build_optimiser
from rtdenoise.lab.training.progress import LAST, Progress
from rtdenoise.lab.training.run import Run
from rtdenoise.lab.training.variables import assign


class ClassifierTrainer(Run):
    """One run: network, optimiser, and the folder of its checkpoints and logs.

    Parameters
    ----------
    settings : ClassifierSettings
    tasks : tuple of Task
    folder, observe
        See `Run`.
    """

    def __init__(
        self,
        settings: ClassifierSettings,
        tasks: tuple[Task, ...],
        folder: Path,
        observe: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(settings, folder, observe)
        keras = import_keras()
        self.settings, self.tasks = settings, tasks
        keras.utils.set_random_seed(settings.seed)
        self.network = build_classifier(settings.classifier, tasks, settings.dropout)
        self.optimiser = build_optimiser(settings)
        self.network.compile(self.optimiser, loss=classifier_loss(tasks, settings.smoothing), jit_compile=False)
        self.optimiser.build(self.network.trainable_variables)

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
            raise ModelError(
                f"{path}: trained on other tasks or classes ({_described(found)}, not {_described(self.tasks)})"
            )
        for variables, arrays in (
            (self.network.weights, checkpoint.weights),
            (self.optimiser.variables, checkpoint.optimiser),
        ):
            assign(variables, arrays, path)
        self.step = checkpoint.step
        self.facts.update(checkpoint.facts)
        self._journal.rewind(self.step)

    def checkpoint(self, name: str = LAST) -> None:
        """Write the current state to the run's folder."""
        facts = self.facts | {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "classifier": dataclasses.asdict(self.settings.classifier),
        }
        weights = [v.numpy() for v in self.network.weights]
        optimiser = [v.numpy() for v in self.optimiser.variables]
        save_checkpoint(self.folder / name, Checkpoint(self.step, weights, self.averaged_weights(), optimiser, facts))

    def validate(self, sounds: list[Sounds]) -> dict[str, float]:
        """The score of each task with averaged weights, on whole clips."""
        keras = import_keras()
        found, start = {}, 0
        with self._averaged():
            for task, part in zip(self.tasks, sounds, strict=True):
                logits = logits_of(
                    lambda x: keras.ops.convert_to_numpy(self.network(x, training=False)),
                    part,
                    self.settings.classifier.shortest,
                )
                stop = start + len(task.classes)
                found[f"{task.name}_{FIGURES[task.kind]}"] = figure(task, logits[:, start:stop], part.targets)
                start = stop
        return found

    def run(self, mixtures: list[Mixture], validation: list[Sounds]) -> str:
        """Train until the last step or a signal; returns why it ended.

        Raises
        ------
        ModelError
            If the loss is NaN; the last checkpoint is left unchanged.
        """
        settings = self.settings
        source = examples(
            mixtures,
            first=self.step,
            seed=settings.seed,
            batch_size=settings.batch_size,
            n_samples=settings.n_samples,
        )
        return self._follow(source, lambda: self.validate(validation))

    def train_step(self, batch: Any) -> float:
        """One step on one batch; returns its loss.

        Raises
        ------
        ModelError
            If the loss is not finite.
        """
        loss = float(self.network.train_on_batch(*batch))
        if not np.isfinite(loss):
            raise ModelError(f"the loss is not finite at step {self.step} (try a lower learning_rate)")
        self.step += 1
        self.facts["audio_seconds"] += self.settings.audio_seconds_per_step
        return loss

    def _is_better(self, figures: dict[str, float]) -> bool:
        score = next(iter(figures.values()))  # the first task's
        better = self.facts["best"] is None or score > self.facts["best"]
        if better:
            self.facts |= {"best": score, "figures": figures}
        return better


def _described(tasks: Any) -> str:
    return ", ".join(f"{task.name} with {len(task.classes)} classes" for task in tasks)
