"""Base class of all training runs: steps until the end, reports, checkpoints, averaged weights."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ModelError
from rtdenoise.lab.classifier.settings import ClassifierSettings
from rtdenoise.lab.training.journal import Journal
from rtdenoise.lab.training.progress import BEST, LAST, STOPPED, Progress
from rtdenoise.lab.training.settings import TrainSettings
from rtdenoise.lab.training.variables import assign

_LOG = logging.getLogger(__name__)
_REPORT_STEPS = 50
_OBSERVE_SECONDS = 0.5


class Run(ABC):
    """State of a run, and the folder for its checkpoints and logs.

    Parameters
    ----------
    settings : TrainSettings or ClassifierSettings
    folder : Path
        Holds ``last.npz`` (exact resume), ``best.npz``, and the run's `Journal`.
    observe : callable, optional
        Called with a `Progress` about twice a second.

    Attributes
    ----------
    network, optimiser
        Keras objects, set by a subclass.
    step : int
    facts : dict
        Checkpointed state other than weights: audio count, best score.
    """

    network: Any
    optimiser: Any

    def __init__(
        self,
        settings: TrainSettings | ClassifierSettings,
        folder: Path,
        observe: Callable[[Progress], None] | None = None,
    ) -> None:
        self._plan, self.folder, self._observe = settings, folder, observe
        folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.facts: dict[str, Any] = {"audio_seconds": 0.0, "train_seconds": 0.0, "best": None}
        self._journal = Journal(folder)
        self._stop = False

    @abstractmethod
    def checkpoint(self, name: str = LAST) -> None:
        """Write the current state to the run's folder."""

    @abstractmethod
    def train_step(self, batch: Any) -> float:
        """One step on one batch; returns its loss.

        Raises
        ------
        ModelError
            If the loss is NaN.
        """

    @abstractmethod
    def _is_better(self, figures: dict[str, float]) -> bool:
        """Whether the weights with these figures are the best so far; recorded in `facts`."""

    def averaged_weights(self) -> list[Any]:
        """The network's variables as arrays, with averages in place of the trained weights."""
        values = {id(v): v.numpy() for v in self.network.weights}
        if self._plan.ema > 0.0:
            averages = self.optimiser._model_variables_moving_average  # no public way to read them without assigning
            for variable, average in zip(self.network.trainable_variables, averages, strict=True):
                values[id(variable)] = average.numpy()
        return [values[id(v)] for v in self.network.weights]

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Use the averaged weights within the context, and restore the trained ones afterwards."""
        trained = [v.numpy() for v in self.network.weights]
        assign(self.network.weights, self.averaged_weights(), self.folder)
        try:
            yield
        finally:
            assign(self.network.weights, trained, self.folder)

    def _follow(
        self, source: Generator[Any, None, None], validate: Callable[[], dict[str, float]] | None, patience: int = 0
    ) -> str:
        """Train on batches until the last step, early stop or a signal; returns why it ended.

        A run that had already ended is left unchanged.

        Raises
        ------
        ModelError
            If the loss is NaN; the last checkpoint is left unchanged.
        """
        before = self._ended_before(patience)
        if before:
            source.close()
            return before
        former = {s: signal.signal(s, self._ask_to_stop) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            with contextlib.closing(source):
                reason = self._loop(source, validate, patience)
            self.checkpoint()
            return reason
        except ModelError:  # the weights or the disk do not permit a checkpoint
            raise
        except Exception:
            self.checkpoint()
            raise
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, *_: Any) -> None:
        self._stop = True

    def _loop(
        self, source: Generator[Any, None, None], validate: Callable[[], dict[str, float]] | None, patience: int
    ) -> str:
        plan = self._plan
        saved = validated = reported = observed = time.monotonic()
        losses: list[float] = []
        stale = int(self.facts.get("stale", 0))
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
            if now - saved > plan.checkpoint_seconds:
                self.checkpoint()
                saved = now
            if validate is not None and ended != STOPPED and (ended or now - validated > plan.validate_seconds):
                stale = 0 if self._judge(validate()) else stale + 1
                self.facts["stale"] = stale
                validated = reported = time.monotonic()
                losses = []
                if patience and stale >= patience:
                    return "no better for a while"
            if ended:
                return ended
        raise AssertionError("batches never end")

    def _ended_before(self, patience: int) -> str:
        """Why the resumed run had ended; empty if it had not."""
        if self.step >= self._plan.steps:
            return f"all steps taken before ({self.step} of {self._plan.steps}); with more steps it goes on"
        if patience and int(self.facts.get("stale", 0)) >= patience:
            return f"no better for a while before ({patience} validations); with more patience it goes on"
        return ""

    def _ended(self) -> str:
        if self._stop:
            return STOPPED
        return "all steps taken" if self.step >= self._plan.steps else ""

    def _progress(self, losses: list[float], seconds: float) -> Progress:
        """Progress after the last steps, which took `seconds`."""
        each = max(seconds, 1e-9) / len(losses)
        return Progress(
            step=self.step,
            steps=self._plan.steps,
            loss=float(np.mean(losses)),
            audio_hours=self.facts["audio_seconds"] / 3600.0,
            audio_seconds_per_second=self._plan.audio_seconds_per_step / each,
            seconds_left=(self._plan.steps - self.step) * each,
        )

    def _report(self, at: Progress) -> None:
        """One line of progress, in the log and in ``train.csv``."""
        _LOG.info(
            "step %d loss %.5f, %.1f h heard, %.0f audio-seconds a second, %.0f min left",
            at.step, at.loss, at.audio_hours, at.audio_seconds_per_second, at.seconds_left / 60.0,
        )  # fmt: skip
        row = {name: getattr(at, name) for name in ("loss", "audio_hours", "audio_seconds_per_second")}
        self._journal.add("train", self.step, row)

    def _judge(self, figures: dict[str, float]) -> bool:
        """Log the figures of a validation; keep the weights if they are the best so far."""
        _LOG.info("step %d validation %s", self.step, json.dumps({k: round(v, 4) for k, v in figures.items()}))
        self._journal.add("validation", self.step, {"audio_hours": self.facts["audio_seconds"] / 3600.0, **figures})
        better = self._is_better(figures)
        if better:
            self.facts["stale"] = 0  # before the checkpoint is written
            self.checkpoint(BEST)
        return better
