"""What one step of the network costs: back to back, paced as live audio asks for it, and for many streams at once.

    python benchmarks/can_speed.py                                        # shipped models, compiled hop and LiteRT
    python benchmarks/can_speed.py --engine numba --engine litert --engine tf    # needs the extra
    python benchmarks/can_speed.py --spec can-wave --spec can-live:hop=64,span=128    # random weights
    python benchmarks/can_speed.py --streams 1 8 32 --seconds 5           # streams of one core

TensorFlow, ``--spec`` with LiteRT, and streams of networks over samples need the extra rtdenoise[tf].
Everything runs on one thread pinned to one processor.  ``paced`` sleeps until the next hop is due, as a live stream
does, so caches and clocks have cooled down in between: this, not the arithmetic, is why a paced step costs several
times one back to back, and more the more memory a step reads (``MB``: its weights).  Two times are printed for every
step.  ``wall`` is what a listener would notice; it holds the time for which other processes had the processor, unless
``--realtime`` asks for real-time priority as the live engine does.  ``cpu`` is the thread's own processor time, which
other processes lengthen only through the caches.  Models take turns in short rounds; ratios are of medians of a run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rtdenoise.evaluate.machine import origin
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.many import CompiledStreams
from rtdenoise.methods.can.layers import fine
from rtdenoise.methods.can.models import LITERT_INT8, model_names, open_model
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.specs import shipped_spec
from rtdenoise.methods.can.streaming import SpectralCan, WaveCan, build_can
from rtdenoise.methods.can.weights import Network, rounded

ROUND_STEPS = 250
PACKET_SECONDS, PACKET_RATES_HZ = 0.02, (16000, 48000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], help="name or folder (default: the shipped ones)")
    parser.add_argument("--spec", action="append", default=[], metavar="NAME[:KEY=VALUE,...]", help="random weights")
    parser.add_argument("--precision", default="float16", help="of weights of --spec: float32, float16, int8")
    parser.add_argument("--engine", action="append", default=[], choices=["numba", "litert", "tf"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of paced sound per model and engine")
    parser.add_argument("--streams", type=int, nargs="*", default=[], help="also so many streams in one step")
    parser.add_argument("--realtime", action="store_true", help="ask for real-time priority while pacing")
    parser.add_argument("--json", type=Path, help="write the record here")
    options = parser.parse_args()
    made = origin()  # before this process keeps to one core
    pin()
    engines = options.engine or ["numba", "litert"]
    systems: dict[str, Any] = {}
    for model in options.model or ([] if options.spec else model_names()):
        spectral = open_model(model).spec.domain == "spectral"
        for engine in [e for e in engines if spectral or e != "numba"]:
            started = time.perf_counter()
            systems[f"{Path(model).name} {engine}"] = (open_model(model).spec, build_can(model, engine=engine))
            print(f"{model} {engine}: ready in {time.perf_counter() - started:.2f} s")
        if "litert" in engines and (open_model(model).folder / LITERT_INT8).is_file():
            system = build_can(model, precision="int8")
            systems[f"{Path(model).name} litert int8"] = (open_model(model).spec, system)
    places = {Path(model).name: model for model in options.model}
    networks = {text: random_network(parse_spec(text)) for text in options.spec}
    for text, network in networks.items():
        for engine in engines:
            systems[f"{text} {engine}"] = (network.spec, denoiser(network, engine, options.precision))
    rows = measure(systems, options.seconds, options.realtime)
    for row, (name, (_, system)) in zip(rows, systems.items(), strict=True):
        if isinstance(system, CompiledCan):
            model = name.rpartition(" ")[0]
            found = networks[model] if model in networks else open_model(places.get(model, model)).network()
            row["streams_per_core"] = {str(rate): streams_per_core(found, rate) for rate in PACKET_RATES_HZ}
    show(rows)
    capacity = []
    networks |= {m: open_model(m).network() for m in options.model or model_names() if options.streams}
    for name, network in networks.items():
        for streams in options.streams:
            able = ("numba", "tf") if network.spec.domain == "spectral" else ("tf",)
            capacity += [many(name, network, streams, engine) for engine in able if engine in engines]
    if options.json:
        record = {"schema": "rtdenoise.can-speed/1", **made, "steps": rows, "streams": capacity}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def pin() -> None:
    """One thread on one processor for everything this process does; before TensorFlow is imported."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def parse_spec(text: str) -> CanSpec:
    """``can-live:hop=64,span=128`` as a specification."""
    name, _, changes = text.partition(":")
    pairs = (change.partition("=") for change in changes.split(",") if change)
    return dataclasses.replace(shipped_spec(name), **{key: yaml.safe_load(value) for key, _, value in pairs})


def random_network(spec: CanSpec) -> Network:
    """Weights that keep the signal's size: speed does not depend on what they are."""
    rng = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)

    c, wave = spec.channels, spec.domain == "wave"
    widths = [1 if wave and i == 0 else c for i in range(len(spec.dilations))]
    first = None if wave else (matrix(spec.n_inputs, c) / 4, np.zeros(c, np.float32))
    kernels = tuple(matrix(spec.kernel, width, c) for width in widths)
    biases = tuple(np.zeros(c, np.float32) for _ in widths)
    last = (matrix(c, spec.n_outputs), np.zeros(spec.n_outputs, np.float32))
    skip = matrix(2, spec.n_bins) if spec.domain == "spectral" else None
    behind = tuple(
        matrix(*shape) if len(shape) > 1 else np.zeros(shape, np.float32) for shape in fine.shapes(spec.fine_channels)
    )
    return rounded(Network(spec, first, kernels, biases, last, skip, behind))


def denoiser(network: Network, engine: str, precision: str) -> CompiledCan | SpectralCan | WaveCan:
    """A stream through a network that is in no folder."""
    if engine == "numba":
        return CompiledCan(network)
    from rtdenoise.lab.export.model_folder import convert_litert
    from rtdenoise.methods.can.engine import LiteRtEngine
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    if engine == "tf":
        runner: Any = TensorFlowEngine(network)
    else:
        runner = LiteRtEngine(network.spec, convert_litert(network, precision=precision))
    return (SpectralCan if network.spec.domain == "spectral" else WaveCan)(network.spec, runner)


def weights_mb(spec: CanSpec) -> float:
    """Weights that one step reads, as 32-bit floats."""
    if spec.bands:
        return 4.0 * sum(math.prod(shape) for shape in spec.banded_shapes().values()) / 1e6
    hops_per_second = spec.sample_rate / spec.hop * spec.rows_per_hop
    return spec.multiplications_per_second / hops_per_second * 4e-6


def measure(systems: dict[str, Any], seconds: float, realtime: bool) -> list[dict[str, Any]]:
    """Rounds in which the systems take turns."""
    taken: dict[str, dict[str, list[float]]] = {n: {"close": [], "wall": [], "cpu": []} for n in systems}
    for spec, system in systems.values():
        step = stepper(spec, system)
        for _ in range(100):
            step()
    hops = {name: int(seconds * spec.sample_rate / spec.hop) for name, (spec, _) in systems.items()}
    while any(len(taken[name]["wall"]) < hops[name] for name in systems):
        for name, (spec, system) in systems.items():
            step = stepper(spec, system)
            taken[name]["close"] += [step()[1] for _ in range(ROUND_STEPS)]
            wall, cpu = zip(*paced(step, spec.hop / spec.sample_rate, realtime), strict=True)
            taken[name]["wall"] += wall
            taken[name]["cpu"] += cpu
    return [summary(name, systems[name][0], times) for name, times in taken.items()]


def stepper(spec: CanSpec, system: SpectralCan | WaveCan) -> Callable[[], tuple[float, float]]:
    """One hop of noise; returns wall and processor milliseconds."""
    block = np.random.default_rng(0).normal(0, 0.05, spec.hop).astype(np.float32)
    out = np.empty_like(block)

    def step() -> tuple[float, float]:
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        system.process(block, out)
        return (time.perf_counter_ns() - wall) / 1e6, (time.thread_time_ns() - cpu) / 1e6

    return step


def paced(step: Callable[[], tuple[float, float]], period: float, realtime: bool) -> list[tuple[float, float]]:
    """One round of steps, each when its hop is due."""
    before = os.sched_getscheduler(0) if realtime else None
    if realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(65))
    try:
        times = []
        due = time.perf_counter()
        for _ in range(ROUND_STEPS):
            due = max(due + period, time.perf_counter() - period)
            while (wait := due - time.perf_counter()) > 0:
                time.sleep(wait)
            times.append(step())
        return times
    finally:
        if before is not None:
            os.sched_setscheduler(0, before, os.sched_param(0))


def summary(name: str, spec: CanSpec, times: dict[str, list[float]]) -> dict[str, Any]:
    """Medians and tails in ms, RTF of the steps back to back."""
    period = 1e3 * spec.hop / spec.sample_rate
    row: dict[str, Any] = {"system": name, "hop_ms": period, "weights_mb": round(weights_mb(spec), 2)}
    row["back_to_back_ms"] = round(float(np.median(times["close"])), 4)
    row["rtf"] = round(row["back_to_back_ms"] / period, 4)
    for kind in ("wall", "cpu"):
        for label, share in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
            row[f"paced_{kind}_{label}_ms"] = round(float(np.percentile(times[kind], share)), 3)
    return row


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A table, and each system's ratio to the first."""
    print(
        "| system | hop ms | MB | back to back ms | RTF | paced cpu ms p50 / p99 / p99.9 | paced wall | to first "
        "| streams of 20 ms at 16, 48 kHz |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cpu, wall = (
            " / ".join(f"{row[f'paced_{kind}_{p}_ms']:.2f}" for p in ("p50", "p99", "p99.9"))
            for kind in ("cpu", "wall")
        )
        ratio = row["rtf"] / max(rows[0]["rtf"], 1e-9)
        print(
            f"| {row['system']} | {row['hop_ms']:g} | {row['weights_mb']:g} | {row['back_to_back_ms']:.3f} "
            f"| {row['rtf']:.4f} | {cpu} | {wall} | {ratio:.2f} "
            f"| {', '.join(f'{n:.0f}' for n in row.get('streams_per_core', {}).values()) or '-'} |",
            flush=True,
        )


def streams_per_core(network: Network, rate_hz: int) -> float:
    """How many streams of packets of 20 ms, as servers get them, a core keeps up with by processor time."""
    system = CompiledCan(network, sample_rate=rate_hz)
    n = max(1, round(PACKET_SECONDS * rate_hz / system.hop)) * system.hop
    packet = np.random.default_rng(0).normal(0, 0.05, n).astype(np.float32)
    out, times = np.empty_like(packet), []
    for _ in range(300):
        started = time.thread_time_ns()
        system.process_hops(packet, out)
        times.append(time.thread_time_ns() - started)
    return round(1e9 * n / rate_hz / float(np.median(times[50:])), 1)


def many(name: str, network: Network, streams: int, engine: str) -> dict[str, Any]:
    """Processor time of one step of many streams, and how many streams a core keeps up with."""
    system: Any = CompiledStreams(network, streams) if engine == "numba" else by_tensorflow(network, streams)
    blocks = np.random.default_rng(0).normal(0, 0.05, (streams, network.spec.hop)).astype(np.float32)
    outs = np.empty_like(blocks)
    times = []
    for _ in range(150):
        started = time.process_time_ns()
        system.process(blocks, outs)
        times.append((time.process_time_ns() - started) / 1e6)
    step = float(np.median(times[30:]))
    capacity = streams * 1e3 * network.spec.hop / network.spec.sample_rate / step
    print(f"{name} {engine}: {streams} streams in one step take {step:.2f} ms of a core, which serves {capacity:.0f}")
    figures = {"streams": streams, "step_ms": round(step, 3), "streams_per_core": round(capacity, 1)}
    return {"system": name, "engine": engine, **figures}


def by_tensorflow(network: Network, streams: int) -> Any:
    """Streams in one step of TensorFlow."""
    from rtdenoise.methods.can.many import ManyStreams
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    return ManyStreams(network.spec, TensorFlowEngine(network, streams=streams), streams)


if __name__ == "__main__":
    main()
