"""Batched inference: many streams per step of one network, on a GPU if TensorFlow sees one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from rtdenoise.bench.measure import noisy_blocks, percentiles
from rtdenoise.errors import DeviceError, MissingExtraError

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_STEPS_MIN = 20
_ERROR_LENGTH = 200


def gpu_name() -> str:
    """The GPU that TensorFlow sees.

    Raises
    ------
    MissingExtraError
        Without TensorFlow.
    DeviceError
        If TensorFlow sees none.
    """
    from rtdenoise.methods.can.tensorflow.engine import import_tensorflow

    tf = import_tensorflow()
    found = tf.config.list_physical_devices("GPU")
    if not found:
        raise DeviceError("TensorFlow sees no GPU here")
    details = tf.config.experimental.get_device_details(found[0])
    return str(details.get("device_name", found[0].name))


def measure_many(model: str, batches: tuple[int, ...], *, device: str, seconds: float) -> dict[str, Any]:
    """Step time for each number of streams, and how many streams hold.

    If the device runs out of memory, the curve ends with a point that has an ``error`` instead of figures.

    Raises
    ------
    MissingExtraError, DeviceError, ModelError
        If TensorFlow, the device or the model is missing, or not even the smallest batch fits.
    """
    from rtdenoise.methods.can.models import open_model
    from rtdenoise.methods.can.tensorflow.engine import import_tensorflow

    name = gpu_name() if device == "gpu" else "cpu"
    found = open_model(model)
    period_us = 1e6 * found.spec.hop / found.spec.sample_rate
    exhausted = (import_tensorflow().errors.OpError, MemoryError)  # GPU exhaustion raises several kinds of error
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
    """One point of the curve; closes its session to free the memory for the next one."""
    from rtdenoise.methods.can.many import ManyStreams
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    engine = TensorFlowEngine(found.network(), streams=batch, device=device)
    try:
        crossing = {"copies_per_step": len(engine.crossing_bytes), "bytes_per_step": sum(engine.crossing_bytes)}
        return {"us": _time_steps(ManyStreams(found.spec, engine, batch), seconds), **crossing}
    finally:
        engine.close()


def _time_steps(streams: Any, seconds: float) -> dict[str, float]:
    """Percentiles of the step time in us."""
    blocks = noisy_blocks(streams.hop, streams.sample_rate)
    many = blocks[np.arange(streams.streams) % len(blocks)].copy()
    outs = np.empty_like(many)
    for _ in range(3):
        streams.process(many, outs)
    spent: list[float] = []
    ends = time.monotonic() + seconds
    while len(spent) < _STEPS_MIN or time.monotonic() < ends:
        began = time.perf_counter_ns()
        streams.process(many, outs)
        spent.append((time.perf_counter_ns() - began) / 1e3)
    return percentiles(spent)


def why_no_gpu() -> str:
    """Why TensorFlow cannot use a GPU, in one line; empty if it can."""
    try:
        gpu_name()
    except (MissingExtraError, DeviceError) as error:
        return str(error)
    return ""
