"""Training run of an enhancement network: steps, checkpoints, validation."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.lab.data.batches import Batch
from rtdenoise.lab.data.validation import scores
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.network import banded_form
from rtdenoise.lab.network.keras_network import build_network, import_keras
from rtdenoise.lab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rtdenoise.lab.training.optimiser import build_optimiser
from rtdenoise.lab.training.pictures import keep_curves
from rtdenoise.lab.training.progress import LAST, Progress
from rtdenoise.lab.training.replicas import strategy_for, train_on_parts
from rtdenoise.lab.training.run import Run
from rtdenoise.lab.training.settings import TrainSettings
from rtdenoise.lab.training.trained import differences
from rtdenoise.lab.training.variables import all_finite, assign, widened
from rtdenoise.typing import F32

Source = Callable[[int], Generator[Batch, None, None]]
_NOT_FINITE_LIMIT = 20  # steps in a row; single ones are skipped by the optimiser's guard


class Trainer(Run):
    """One run: a network, its optimiser, and the folder its checkpoints and logs go to.

    Parameters
    ----------
    settings : TrainSettings
    folder, observe
        See `Run`.
    """

    def __init__(
        self, settings: TrainSettings, folder: Path, observe: Callable[[Progress], None] | None = None
    ) -> None:
        super().__init__(settings, folder, observe)
        keras = import_keras()
        self.settings = settings
        keras.utils.set_random_seed(settings.seed)
        self._strategy = strategy_for(settings.devices) if settings.devices > 1 else None
        with self._strategy.scope() if self._strategy else contextlib.nullcontext():
            self.network = build_network(settings.network, compute_dtype=settings.compute_dtype)
            for layer in self.network.layers:
                layer.trainable = settings.learns == "all" or layer.name in (banded_form.SHARE, banded_form.BESIDE)
            self.model = self._with_scale(keras)
            self.optimiser = build_optimiser(settings)
            self._loss = loss = build_loss(settings.loss)
            self.model.loss_states = loss.states  # tracked, so that every backend keeps them between steps
            # gradients are summed over the replicas
            self.model.compile(self.optimiser, loss=lambda t, e: loss(t, e) / settings.devices, jit_compile=False)
            self.optimiser.build(self.model.trainable_variables)
        self._steps = self._without_layers(keras)
        self._bad_steps = 0

    def _with_scale(self, keras: Any) -> Any:
        """The network with its delay removed, and its output at the level at which the loss compares."""
        noisy = keras.Input(shape=(self.settings.n_samples,), dtype="float32")
        scale = keras.Input(shape=(1,), dtype="float32")
        estimate = self.network(noisy)[:, self.settings.network.latency_samples :] * scale
        return keras.Model([noisy, scale], estimate)

    def _without_layers(self, keras: Any) -> Any:
        """Steps written in PyTorch if that is the backend, without Keras layers between its functions."""
        settings = self.settings
        if keras.backend.backend() != "torch":
            return None
        from rtdenoise.lab.pytorch.steps import Steps

        return Steps(self.network, settings.network, self._loss, settings.compute_dtype, self.optimiser)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint: exactly, except on a GPU, where the order of additions varies.

        Raises
        ------
        ModelError
            If it belongs to another network or optimiser.
        """
        checkpoint = load_checkpoint(path)
        for key, (there, here) in differences(self.settings.network, checkpoint.facts).items():
            raise ModelError(
                f"{path}: belongs to another network: {key}={there}, here {here}; "
                "go on with the configuration, and the changes to it, that the run began with"
            )
        assign(self.network.weights, checkpoint.weights, path)
        assign(self.optimiser.variables, checkpoint.optimiser, path)
        self.step = checkpoint.step
        self.facts.update(checkpoint.facts)
        for state, values in zip(self._loss.states, self.facts.pop("loss_states", ()), strict=False):
            if not state.restore(values):
                raise ModelError(f"{path}: belongs to a run with another loss (number of layers)")
        self._journal.rewind(self.step)

    def start(self, path: Path) -> None:
        """Start a new run from another run's weights: new optimiser and schedule; the audio count continues.

        A network with a magnitude mask may initialise one with a complex mask, one without fine layers one with
        them, one with bands one with more channels, bands or layers, and a dense one over spectra one with layers
        beside its stack: the new parts have no effect at first.

        Raises
        ------
        ModelError
            If the weights belong to another network.
        """
        checkpoint = load_checkpoint(path)
        differing = differences(self.settings.network, checkpoint.facts)
        gates, layers = differing.get("gates"), len(differing.get("dilations", [self.settings.network.dilations])[0])
        if gates is not None and tuple(gate for gate in gates[1] if gate < layers) != gates[0]:
            # shapes alone do not tell which layers they are of
            raise ModelError(f"{path}: belongs to another network: gates={gates[0]}, here {gates[1]}")
        assign(self.network.weights, widened(checkpoint.weights, self.network), path)
        if self.settings.ema > 0.0:
            averages = self.optimiser._model_variables_moving_average  # initialised from weights now replaced
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                average.assign(variable)
        self.facts["audio_seconds"] = checkpoint.facts["audio_seconds"]

    def checkpoint(self, name: str = LAST) -> None:
        """Write the current state to the run's folder.

        Raises
        ------
        ModelError
            If a weight is not finite, or the file cannot be written; the previous file stays.
        """
        facts = self.facts | {"settings": dataclasses.asdict(self.settings)}
        if self._loss.states:
            facts["loss_states"] = [state.values.numpy().tolist() for state in self._loss.states]
        weights, averages = [v.numpy() for v in self.network.weights], self.averaged_weights()
        if not all_finite([*weights, *averages]):
            raise ModelError(
                f"the weights are not finite at step {self.step}; {self.folder / name} is not written "
                "(try a lower learning_rate)"
            )
        optimiser = [v.numpy() for v in self.optimiser.variables]
        save_checkpoint(self.folder / name, Checkpoint(self.step, weights, averages, optimiser, facts))

    def train_step(self, batch: Batch) -> float:
        """One step on one batch; returns its loss.

        Raises
        ------
        ModelError
            If the loss has not been finite for many steps in a row.
        """
        loss = self._with_layers(batch) if self._steps is None else self._steps.step(batch)
        self._bad_steps = 0 if np.isfinite(loss) else self._bad_steps + 1
        if self._bad_steps >= _NOT_FINITE_LIMIT:
            raise ModelError(
                f"the loss is not finite at step {self.step}, {_NOT_FINITE_LIMIT} times in a row; "
                f"{self.folder / LAST} keeps the last good state (try a lower learning_rate)"
            )
        self.step += 1
        self.facts["audio_seconds"] += self.settings.audio_seconds_per_step
        return float(loss)

    def _with_layers(self, batch: Batch) -> float:
        """One step by Keras; returns its loss."""
        target = batch.target[:, : self.settings.n_samples - self.settings.network.latency_samples] * batch.scale
        statistics = self.model.non_trainable_weights  # updated in the forward pass, which no gradient guard covers
        former = [v.numpy() for v in statistics]
        if self._strategy is None:
            loss = float(self.model.train_on_batch([batch.noisy, batch.scale], target))
        else:
            loss = float(train_on_parts(self._strategy, self.model, [batch.noisy, batch.scale], target))
        if not np.isfinite(loss):
            assign(statistics, former, self.folder)
        return loss

    def enhance(self, noisy: F32) -> F32:
        """Output of the averaged weights for ``(clips, n)`` signals: ``(clips, n - latency)``, aligned."""
        with self._averaged():
            parts = [self._enhance(noisy[k : k + 8]) for k in range(0, len(noisy), 8)]
        found: F32 = np.concatenate(parts)[:, self.settings.network.latency_samples :]
        return found

    def _enhance(self, noisy: F32) -> Any:
        return _numpy(self.network(noisy, training=False)) if self._steps is None else self._steps.enhance(noisy)

    def validate(self, noisy: F32, target: F32) -> dict[str, float]:
        """Validation metrics of the averaged weights."""
        estimate = self.enhance(noisy)
        n = estimate.shape[1]
        return scores(estimate, target[:, :n], self.settings.network.sample_rate)

    def run(self, batches_from: Source, validation: tuple[F32, F32] | None) -> str:
        """Train until the last step, early stop or a signal; returns why it ended.

        Parameters
        ----------
        batches_from : callable
            Called with the number of a step; gives that step's batch, then those of the next ones.
        validation : (noisy, target), optional
            ``(clips, n_samples)`` float32 each.

        Raises
        ------
        ModelError
            If the loss is NaN; the last checkpoint is left unchanged.
        """
        source = batches_from(self.step)
        if self._steps is not None:
            source = self._steps.ahead(source)
        judged = None if validation is None else functools.partial(self.validate, *validation)
        return self._follow(source, judged, self.settings.patience)

    def _judge(self, figures: dict[str, float]) -> bool:
        better = super()._judge(figures)
        keep_curves(self.folder)
        return better

    def _is_better(self, figures: dict[str, float]) -> bool:
        score = figures["si_sdr_db"] + 4.0 * figures.get("pesq", 0.0)
        best = self.facts["best"]
        better = bool(np.isfinite(score)) and (best is None or not score <= best)  # any finite score beats a NaN best
        if better:
            self.facts["best"] = score
        return better


def _numpy(value: Any) -> Any:
    """A backend tensor as an array."""
    convert: Callable[[Any], Any] = import_keras().ops.convert_to_numpy
    return convert(value)
