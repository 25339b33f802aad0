"""Memory layout of past rows: ring buffers of slots for deep layers, a few rows for shallow ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.spec import CanSpec

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RingPlan:
    """Memory layout of a causal stack that takes `block` rows per step, and the slots that each step reads and writes.

    A layer whose dilation is a multiple of the block keeps whole blocks in a ring of ``(kernel - 1) * dilation /
    block`` slots: no block ever wraps and each row is computed once.  A layer with a shorter dilation keeps its last
    ``(kernel - 1) * dilation`` rows.

    Attributes
    ----------
    block : int
        Rows per step.
    deep : tuple of int
        Indices of layers with rings.
    shallow : tuple of int
        Indices of layers with rows.
    bases, lengths : (n_deep,) int32
        First slot and number of slots of each ring.
    ages : (n_deep, kernel - 1) int32
        Age of each past tap in steps, oldest first.
    """

    block: int
    deep: tuple[int, ...]
    shallow: tuple[int, ...]
    bases: I32
    lengths: I32
    ages: I32

    @property
    def n_slots(self) -> int:
        """Total number of slots."""
        return int(self.lengths.sum())

    @property
    def period(self) -> int:
        """Steps after which the slots repeat, so that a step counter may wrap."""
        return int(np.lcm.reduce(self.lengths.astype(np.int64), initial=1))

    def reads(self, step: Any) -> Any:
        """Slots that step number `step` reads, ``(n_deep, kernel - 1)``, oldest tap first; `step` may be a tensor."""
        return self.bases[:, None] + (step - self.ages) % self.lengths[:, None]

    def writes(self, step: Any) -> Any:
        """Slots that step number `step` writes, ``(n_deep,)``; write only after reading."""
        return self.bases + step % self.lengths


def plan_rings(spec: CanSpec, block: int | None = None) -> RingPlan:
    """Plan the memory for steps of `block` rows, by default the rows of one hop.

    A centred convolution delayed by its reach is causal, so a network with lookahead streams like any other, delayed by
    `CanSpec.lookahead_samples`.

    Raises
    ------
    ConfigError
        If the network is residual and not causal, or a dilation is longer than the block and not a multiple of it.
    """
    if not spec.causal and spec.residual:  # the skipped rows would have to be delayed
        raise ConfigError(f"{spec.name} is residual and looks into the future (causal=False): it cannot stream")
    rows = spec.rows_per_hop if block is None else block
    past = spec.kernel - 1
    for dilation in spec.dilations:
        if dilation > rows and dilation % rows:
            raise ConfigError(f"dilation={dilation} must be a multiple of the {rows} rows of a step, or shorter")
    deep = tuple(i for i, d in enumerate(spec.dilations) if d % rows == 0 and past)
    shallow = tuple(i for i in range(len(spec.dilations)) if i not in deep)
    lengths = np.array([past * spec.dilations[i] // rows for i in deep], np.int32)
    bases = (np.cumsum(lengths) - lengths).astype(np.int32)
    steps = np.array([spec.dilations[i] // rows for i in deep], np.int32)
    ages = (steps[:, None] * np.arange(past, 0, -1)).astype(np.int32)
    return RingPlan(rows, deep, shallow, bases, lengths, ages)


def plan_all(spec: CanSpec) -> dict[str, tuple[RingPlan, int]]:
    """Plan the memory of the stack and of the layers beside it: plan and width of rows, by the prefix of their names.

    Those of the stack have none: its inputs of a step are ``taps``, its outputs ``written``.
    """
    plans = {"": (plan_rings(spec), spec.width)}
    if spec.apart is not None:
        plans["beside_"] = plan_rings(spec.apart), spec.apart.width
    return {prefix: found for prefix, found in plans.items() if found[0].deep}


class RingMemory:
    """Past rows for an engine that keeps them outside its graph; streams are additional rows in each slot."""

    def __init__(self, plan: RingPlan, width: int, streams: int = 1) -> None:
        n_rows = streams * plan.block
        self._plan = plan
        self._slots = np.zeros((plan.n_slots, n_rows, width), np.float32)
        self.taps = np.zeros((plan.ages.size * n_rows, width), np.float32)
        self._taps_by_slot = self.taps.reshape(-1, n_rows, width)
        self._step = 0

    def gather(self) -> None:
        """Copy the rows that this step reads into `taps`."""
        if self._plan.deep:
            np.take(self._slots, self._plan.reads(self._step).ravel(), axis=0, out=self._taps_by_slot, mode="clip")

    def scatter(self, written: npt.NDArray[np.float32]) -> None:
        """Store the output rows of this step, ``(n_deep, streams * block, channels)``, and advance to the next."""
        if self._plan.deep:
            self._slots[self._plan.writes(self._step)] = written
        self._step += 1

    def reset(self) -> None:
        """Clear all rows and return to step 0."""
        self._slots.fill(0.0)
        self.taps.fill(0.0)
        self._step = 0
