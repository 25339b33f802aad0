"""The training loop: steps, checkpoints, validation, and where a run stops."""

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

from rtdenoise.can.model import build_network, import_keras
from rtdenoise.can.training.batches import Batch, batches
from rtdenoise.can.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rtdenoise.can.training.journal import Journal
from rtdenoise.can.training.losses import build_loss
from rtdenoise.can.training.mixtures import Mixer
from rtdenoise.can.training.optimiser import build_optimiser
from rtdenoise.can.training.pictures import keep_curves
from rtdenoise.can.training.progress import LAST, STOPPED, Progress
from rtdenoise.can.training.replicas import strategy_for, train_on_parts
from rtdenoise.can.training.settings import TrainSettings
from rtdenoise.can.training.validation import scores
from rtdenoise.can.training.variables import all_finite, assign
from rtdenoise.errors import ModelError
from rtdenoise.typing import F32

_LOG = logging.getLogger(__name__)
_REPORT_STEPS = 50
_OBSERVE_SECONDS = 0.5
_NOT_FINITE_LIMIT = 20  # steps in a row; single ones are skipped by the optimiser's guard


class Trainer:
    """One run: a network, its optimiser, and the folder its checkpoints and logs go to.

    Parameters
    ----------
    settings : TrainSettings
    folder : Path
        Holds ``last.npz`` (exact resume), ``best.npz``, and the run's `Journal`.
    observe : callable, optional
        Called with a `Progress` about twice a second.
    """

    def __init__(
        self, settings: TrainSettings, folder: Path, observe: Callable[[Progress], None] | None = None
    ) -> None:
        keras = import_keras()
        self.settings, self.folder, self._observe = settings, folder, observe
        folder.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(settings.seed)
        self._strategy = strategy_for(settings.devices) if settings.devices > 1 else None
        with self._strategy.scope() if self._strategy else contextlib.nullcontext():
            self.network = build_network(settings.network, compute_dtype=settings.compute_dtype)
            self.model = self._with_scale(keras)
            self.optimiser = build_optimiser(settings)
            self._loss = loss = build_loss(settings.loss)
            self.model.loss_states = loss.states  # tracked, so that every backend keeps them from step to step
            # what replicas compute is summed
            self.model.compile(self.optimiser, loss=lambda t, e: loss(t, e) / settings.devices, jit_compile=False)
            self.optimiser.build(self.model.trainable_variables)
        self.step = 0
        self.facts: dict[str, Any] = {"audio_seconds": 0.0, "train_seconds": 0.0, "best": None, "stale": 0}
        self._journal = Journal(folder)
        self._bad_steps = 0
        self._stop = False

    def _with_scale(self, keras: Any) -> Any:
        """The network with its delay taken off, and its output at the level at which the loss compares."""
        noisy = keras.Input(shape=(self.settings.n_samples,), dtype="float32")
        scale = keras.Input(shape=(1,), dtype="float32")
        estimate = self.network(noisy)[:, self.settings.network.latency_samples :] * scale
        return keras.Model([noisy, scale], estimate)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint, exactly.

        Raises
        ------
        ModelError
            If it belongs to another network or optimiser.
        """
        checkpoint = load_checkpoint(path)
        assign(self.network.weights, checkpoint.weights, path)
        assign(self.optimiser.variables, checkpoint.optimiser, path)
        self.step = checkpoint.step
        self.facts.update(checkpoint.facts)
        for state, values in zip(self._loss.states, self.facts.pop("loss_states", ()), strict=False):
            if not state.restore(values):
                raise ModelError(f"{path}: belongs to a run with another loss (number of layers)")
        self._journal.rewind(self.step)

    def start(self, path: Path) -> None:
        """Begin a new run from the weights of another: new optimiser, new schedule, the sound heard so far counted on.

        Raises
        ------
        ModelError
            If the weights belong to another network.
        """
        checkpoint = load_checkpoint(path)
        assign(self.network.weights, checkpoint.weights, path)
        if self.settings.ema > 0.0:
            averages = self.optimiser._model_variables_moving_average  # started at weights that are no more
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                average.assign(variable)
        self.facts["audio_seconds"] = checkpoint.facts["audio_seconds"]

    def checkpoint(self, name: str = LAST) -> None:
        """Write the present state to the run's folder.

        Raises
        ------
        ModelError
            If a weight is not finite, or the file cannot be written; the former file stays.
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
        latency = self.settings.network.latency_samples
        target = batch.target[:, : self.settings.n_samples - latency] * batch.scale
        statistics = self.model.non_trainable_weights  # change in the forward pass, which no guard of gradients sees
        former = [v.numpy() for v in statistics]
        if self._strategy is None:
            loss = float(self.model.train_on_batch([batch.noisy, batch.scale], target))
        else:
            loss = train_on_parts(self._strategy, self.model, [batch.noisy, batch.scale], target)
        self._bad_steps = 0 if np.isfinite(loss) else self._bad_steps + 1
        if self._bad_steps:
            assign(statistics, former, self.folder)
        if self._bad_steps >= _NOT_FINITE_LIMIT:
            raise ModelError(
                f"the loss is not finite at step {self.step}, {_NOT_FINITE_LIMIT} times in a row; "
                f"{self.folder / LAST} keeps the last good state (try a lower learning_rate)"
            )
        self.step += 1
        self.facts["audio_seconds"] += self.settings.audio_seconds_per_step
        return loss

    def averaged_weights(self) -> list[Any]:
        """The network's variables with the averages in place of the trained ones, as arrays."""
        values = {id(v): v.numpy() for v in self.network.weights}
        if self.settings.ema > 0.0:
            averages = self.optimiser._model_variables_moving_average  # no public way to read them without assigning
            for variable, average in zip(self.model.trainable_variables, averages, strict=True):
                values[id(variable)] = average.numpy()
        return [values[id(v)] for v in self.network.weights]

    def enhance(self, noisy: F32) -> F32:
        """What the averaged weights make of ``(clips, n)`` signals: ``(clips, n - latency)``, aligned."""
        trained = [v.numpy() for v in self.network.weights]
        assign(self.network.weights, self.averaged_weights(), self.folder)
        try:
            parts = [_numpy(self.network(noisy[k : k + 8], training=False)) for k in range(0, len(noisy), 8)]
        finally:
            assign(self.network.weights, trained, self.folder)
        found: F32 = np.concatenate(parts)[:, self.settings.network.latency_samples :]
        return found

    def validate(self, noisy: F32, target: F32) -> dict[str, float]:
        """Figures of the averaged weights on the validation set."""
        estimate = self.enhance(noisy)
        n = estimate.shape[1]
        return scores(estimate, target[:, :n], self.settings.network.sample_rate)

    def run(self, mixer: Mixer, validation: tuple[F32, F32] | None) -> str:
        """Train until the last step, early stop or a signal; returns why it ended.

        Raises
        ------
        ModelError
            If the loss is no number any more; the last checkpoint stays as it was.
        """
        settings = self.settings
        source = batches(
            mixer,
            seed=settings.seed,
            first=self.step,
            batch_size=settings.batch_size,
            n_samples=settings.n_samples,
            workers=settings.workers,
        )
        former = {s: signal.signal(s, self._ask_to_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            with contextlib.closing(source):
                reason = self._loop(source, validation)
            self.checkpoint()
            return reason
        except ModelError:  # the weights, or the disk, are not fit for a checkpoint
            raise
        except Exception:
            self.checkpoint()
            raise
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, *_: Any) -> None:
        self._stop = True

    def _loop(self, source: Generator[Batch, None, None], validation: tuple[F32, F32] | None) -> str:
        settings = self.settings
        saved = validated = reported = observed = time.monotonic()
        losses: list[float] = []
        for batch in source:
            losses.append(self.train_step(batch))
            now = time.monotonic()
            ended = self._ended()
            if self._observe is not None and (ended or now - observed > _OBSERVE_SECONDS):
                self._observe(self._progress(losses, now - reported))
                observed = now
            if len(losses) == _REPORT_STEPS or ended:
                self._report(self._progress(losses, now - reported))
                self.facts["train_seconds"] += now - reported
                losses, reported = [], now
            if now - saved > settings.checkpoint_seconds:
                self.checkpoint()
                saved = now
            if validation is not None and (ended or now - validated > settings.validate_seconds):
                self._judge(self.validate(*validation))
                keep_curves(self.folder)
                validated = reported = time.monotonic()
                losses = []
                if settings.patience and self.facts["stale"] >= settings.patience:
                    return "no better for a while"
            if ended:
                return ended
        raise AssertionError("batches never end")

    def _ended(self) -> str:
        if self._stop:
            return STOPPED
        return "all steps taken" if self.step >= self.settings.steps else ""

    def _progress(self, losses: list[float], seconds: float) -> Progress:
        """Where the run stands after the last steps, which took `seconds`."""
        each = seconds / len(losses)
        return Progress(
            step=self.step,
            steps=self.settings.steps,
            loss=float(np.mean(losses)),
            audio_hours=self.facts["audio_seconds"] / 3600.0,
            audio_seconds_per_second=self.settings.audio_seconds_per_step / each,
            seconds_left=(self.settings.steps - self.step) * each,
        )

    def _report(self, at: Progress) -> None:
        """One line of progress, in the log and in ``train.csv``."""
        _LOG.info(
            "step %d loss %.5f, %.1f h heard, %.0f audio-seconds a second, %.0f min left",
            at.step, at.loss, at.audio_hours, at.audio_seconds_per_second, at.seconds_left / 60.0,
        )  # fmt: skip
        row = {name: getattr(at, name) for name in ("loss", "audio_hours", "audio_seconds_per_second")}
        self._journal.add("train", self.step, row)

    def _judge(self, figures: dict[str, float]) -> None:
        """Log the figures of a validation; keep the weights if they are the best so far."""
        score = figures["si_sdr_db"] + 4.0 * figures.get("pesq", 0.0)
        _LOG.info("step %d validation %s", self.step, json.dumps({k: round(v, 4) for k, v in figures.items()}))
        self._journal.add("validation", self.step, {"audio_hours": self.facts["audio_seconds"] / 3600.0, **figures})
        best = self.facts["best"]
        if np.isfinite(score) and (best is None or not score <= best):  # a best that is no number is beaten by any
            self.facts["best"], self.facts["stale"] = score, 0
            self.checkpoint("best.npz")
        else:
            self.facts["stale"] += 1


def _numpy(value: Any) -> Any:
    """A backend tensor as an array."""
    convert: Callable[[Any], Any] = import_keras().ops.convert_to_numpy
    return convert(value)
