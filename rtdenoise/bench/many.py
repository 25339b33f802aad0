"""Many streams through one network in one step, on a GPU where TensorFlow sees one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from rtdenoise.bench.measure import noisy_blocks, percentiles
from rtdenoise.errors import DeviceError, MissingExtraError
from rtdenoise.typing import F32

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_STEPS_MIN = 20


class CountingEngine:
    """An engine that counts the arrays handed to it and back: what has to cross to a GPU in each step."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.steps = self.arrays = self.bytes = 0

    def step(self, inputs: Mapping[str, F32]) -> Mapping[str, F32]:
        """One step, counted."""
        answer: Mapping[str, F32] = self._engine.step(inputs)
        self.steps += 1
        for array in (*inputs.values(), *answer.values()):
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

    Raises
    ------
    MissingExtraError, DeviceError, ModelError
        If TensorFlow, the device or the model is not there.
    """
    from rtdenoise.can.many import ManyStreams
    from rtdenoise.can.models import open_model
    from rtdenoise.can.tensorflow_engine import TensorFlowEngine

    name = gpu_name() if device == "gpu" else "cpu"
    found = open_model(model)
    curve: list[dict[str, Any]] = []
    holding = 0
    for batch in batches:
        engine = CountingEngine(TensorFlowEngine(found.network(), streams=batch, device=device))
        streams = ManyStreams(found.spec, engine, batch)
        point = _time_steps(streams, engine, seconds / len(batches))
        period_us = 1e6 * streams.hop / streams.sample_rate
        point["holds"] = point["us"]["p99"] <= period_us
        holding = max(holding, batch if point["holds"] else 0)
        curve.append({"streams": batch, **point})
    each_us = min(point["us"]["p50"] / point["streams"] for point in curve)
    return {
        "model": model,
        "device": name,
        "hop_ms": period_us / 1e3,
        "batches": curve,
        "largest_batch_that_holds": holding,
        "streams_per_device": int(period_us / each_us),
    }


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
