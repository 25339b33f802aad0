"""Classifier scores: accuracy for single labels, mean average precision for several."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.lab.classifier.sounds import Sounds
from rtdenoise.lab.classifier.spec import Task
from rtdenoise.typing import F32

FIGURES = {"single": "accuracy", "multi": "average_precision"}
_TOGETHER = 32


def logits_of(network: Any, sounds: Sounds, shortest: int) -> F32:
    """The network's output for whole clips, ``(n_clips, n)``; clips of equal length run together."""
    lengths = np.maximum(sounds.stops - sounds.starts, shortest)
    answers: list[Any] = [None] * len(sounds)
    for length in np.unique(lengths):
        members = np.flatnonzero(lengths == length)
        for start in range(0, len(members), _TOGETHER):
            chosen = members[start : start + _TOGETHER]
            signals = np.zeros((len(chosen), length), np.float32)
            for row, number in enumerate(chosen):
                clip = sounds.clip(int(number))
                signals[row, : len(clip)] = clip
            for number, answer in zip(chosen, network(signals), strict=True):
                answers[number] = answer
    return np.array(answers, np.float32)


def figure(task: Task, logits: F32, targets: F32) -> float:
    """Share of clips whose most likely label is right, or mean average precision over labels."""
    if task.kind == "single":
        return float(np.mean(targets[np.arange(len(targets)), np.argmax(logits, -1)]))
    return float(np.mean([average_precision(logits[:, k], targets[:, k] > 0) for k in range(targets.shape[1])]))


def average_precision(scores: F32, wanted: npt.NDArray[np.bool_]) -> float:
    """Average precision: mean, over the positives, of the share of positives among all that score at least as high."""
    order = np.argsort(-scores, kind="stable")
    hits = wanted[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(np.mean(precision[hits]))
