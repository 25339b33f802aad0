"""Many streams through one network in one step, on a GPU where TensorFlow sees one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtdenoise.bench.measure import noisy_blocks, percentiles
from rtdenoise.errors import DeviceError, MissingExtraError
from rtdenoise.typing import F32

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_STEPS_MIN = 20
_ERROR_LENGTH = 200


class CountingEngine:
    """An engine that counts the arrays handed to it and back: what has to cross to a GPU in each step.

    Parameters
    ----------
    engine : StepEngine
    hidden : sequence of arrays
        What the engine itself feeds in each step besides: the places in its rings.
    """

    def __init__(self, engine: Any, hidden: Sequence[np.ndarray[Any, Any]]) -> None:
        self._engine, self._hidden = engine, hidden
        self.steps = self.arrays = self.bytes = 0

    def step(self, inputs: Mapping[str, F32]) -> Mapping[str, F32]:
        """One step, counted."""
        answer: Mapping[str, F32] = self._engine.step(inputs)
        self.steps += 1
        for array in (*inputs.values(), *self._hidden, *answer.values()):
            self.arrays += 1
            self.bytes += array.nbytes
        return answer

    def reset(self) -> None:
        """Forget the past of the engine."""
        self._engine.reset()


def gpu_name() -> str:
    """The GPU that TensorFlow sees.

    Raises
    ------
    MissingExtraError
        Without TensorFlow.
    DeviceError
        If it sees none.
    """
    from rtdenoise.can.tensorflow_engine import import_tensorflow

    tf = import_tensorflow()
    found = tf.config.list_physical_devices("GPU")
    if not found:
        raise DeviceError("TensorFlow sees no GPU here")
    details = tf.config.experimental.get_device_details(found[0])
    return str(details.get("device_name", found[0].name))


def measure_many(model: str, batches: tuple[int, ...], *, device: str, seconds: float) -> dict[str, Any]:
    """Time of a step for each number of streams, and how many streams hold.

    Where the device's memory ends, the curve ends with a point that has an ``error`` in place of figures.

    Raises
    ------
    MissingExtraError, DeviceError, ModelError
        If TensorFlow, the device or the model is not there, or not even the smallest batch fits.
    """
    from rtdenoise.can.models import open_model
    from rtdenoise.can.tensorflow_engine import import_tensorflow

    name = gpu_name() if device == "gpu" else "cpu"
    found = open_model(model)
    period_us = 1e6 * found.spec.hop / found.spec.sample_rate
    exhausted = (import_tensorflow().errors.OpError, MemoryError)  # a GPU runs out of memory in several ways
    curve: list[dict[str, Any]] = []
    for batch in batches:
        try:
            point = _measure_batch(found, batch, device, seconds / len(batches))
        except exhausted as error:
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:_ERROR_LENGTH]}"
            if not curve:
                raise DeviceError(f"{batch} streams: {why}") from error
            curve.append({"streams": batch, "error": why})
            break
        curve.append({"streams": batch, **point, "holds": point["us"]["p99"] <= period_us})
    holding = [point for point in curve if point.get("holds")]
    each_us = min((point["us"]["p50"] / point["streams"] for point in holding), default=float("inf"))
    return {
        "model": model,
        "device": name,
        "hop_ms": period_us / 1e3,
        "batches": curve,
        "largest_batch_that_holds": max((point["streams"] for point in holding), default=0),
        "streams_per_device": int(period_us / each_us),
    }


def _measure_batch(found: Any, batch: int, device: str, seconds: float) -> dict[str, Any]:
    """One point of the curve; its session is closed, so that the next one has the memory."""
    from rtdenoise.can.many import ManyStreams
    from rtdenoise.can.rings import plan_rings
    from rtdenoise.can.tensorflow_engine import TensorFlowEngine

    plan = plan_rings(found.spec)
    inner = TensorFlowEngine(found.network(), streams=batch, device=device)
    try:
        engine = CountingEngine(inner, [plan.reads(0).astype(np.int32), plan.writes(0).astype(np.int32)])
        return _time_steps(ManyStreams(found.spec, engine, batch), engine, seconds)
    finally:
        inner.close()


def _time_steps(streams: Any, engine: CountingEngine, seconds: float) -> dict[str, Any]:
    blocks = noisy_blocks(streams.hop, streams.sample_rate)
    many = blocks[np.arange(streams.streams) % len(blocks)].copy()
    outs = np.empty_like(many)
    for _ in range(3):
        streams.process(many, outs)
    engine.steps = engine.arrays = engine.bytes = 0
    spent: list[float] = []
    ends = time.monotonic() + seconds
    while len(spent) < _STEPS_MIN or time.monotonic() < ends:
        began = time.perf_counter_ns()
        streams.process(many, outs)
        spent.append((time.perf_counter_ns() - began) / 1e3)
    return {
        "us": percentiles(spent),
        "copies_per_step": engine.arrays / engine.steps,
        "bytes_per_step": engine.bytes / engine.steps,
    }


def why_no_gpu() -> str:
    """Empty where there is a GPU that TensorFlow can use; else the reason in one line."""
    try:
        gpu_name()
    except (MissingExtraError, DeviceError) as error:
        return str(error)
    return ""
