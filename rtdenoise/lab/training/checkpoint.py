"""Checkpoints: weights, averages, optimiser state and position of a run in one file, replaced atomically."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import ModelError

Arrays = list[npt.NDArray[Any]]
_KINDS = ("weights", "averages", "optimiser")


@dataclass
class Checkpoint:
    """State of a run.

    Attributes
    ----------
    step : int
        Steps taken; the next batch has this number.
    weights : list of array
        The network's variables, in Keras' order.
    averages : list of array
        The same with averaged weights: what is validated and exported.
    optimiser : list of array
        The optimiser's variables.
    facts : dict
        Other state that must survive: best score, audio count, settings.
    """

    step: int
    weights: Arrays
    averages: Arrays
    optimiser: Arrays
    facts: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a temporary file, then rename it to `path`: an interruption or full disk leaves the old file unchanged.

    Raises
    ------
    ModelError
        If the file cannot be written; the previous checkpoint stays.
    """
    arrays = {f"{kind}{i}": a for kind in _KINDS for i, a in enumerate(getattr(checkpoint, kind))}
    head = json.dumps({"step": checkpoint.step, "facts": checkpoint.facts})
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, head=np.frombuffer(head.encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ModelError(f"{path}: checkpoint not written ({error.strerror}); the former one is kept") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint written by `save_checkpoint`.

    Raises
    ------
    ModelError
        If the file is missing, truncated or not a checkpoint.
    """
    try:
        with path.open("rb") as opened, _opened(opened) as file:
            head = json.loads(file["head"].tobytes())
            step, facts = int(head["step"]), dict(head["facts"])
            counts = {kind: sum(name.startswith(kind) for name in file.files) for kind in _KINDS}
            arrays = {kind: [file[f"{kind}{i}"] for i in range(n)] for kind, n in counts.items()}
    except FileNotFoundError as error:
        others = ", ".join(sorted(p.name for p in path.parent.glob("*.npz")))
        raise ModelError(f"{path}: no such checkpoint" + (f"; there is {others}" if others else "")) from error
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ModelError(f"{path}: not a checkpoint, or a damaged one ({error})") from error
    except Exception as error:
        if type(error).__name__ != "BadZipFile":
            raise
        raise ModelError(f"{path}: not a checkpoint, or a damaged one ({error})") from error
    return Checkpoint(step, facts=facts, **arrays)


def _opened(file: BinaryIO) -> Any:
    """An archive of arrays; ValueError for a file that holds a single array."""
    found = np.load(file)
    if isinstance(found, np.ndarray):
        raise ValueError("one array, no archive of them")
    return found
