"""What one step of the network costs: back to back, paced as live audio asks for it, and for many streams at once.

    python benchmarks/can_speed.py                                        # shipped models, compiled hop and LiteRT
    python benchmarks/can_speed.py --engine numba --engine litert --engine tf    # needs the extra
    python benchmarks/can_speed.py --spec can-wave --spec can-live:hop=64,span=128    # random weights
    python benchmarks/can_speed.py --seconds 0 --model can-live           # only streams of one core
    python benchmarks/can_speed.py --streams 1 8 --streams-seconds 10     # other numbers of streams, for longer

TensorFlow, ``--spec`` with LiteRT, and streams of networks over samples need the extra rtdenoise[tf].
Everything runs on one thread pinned to one processor.  ``paced`` sleeps until the next hop is due, as a live stream
does, so caches and clocks have cooled down in between: this, not the arithmetic, is why a paced step costs several
times one back to back, and more the more memory a step reads (``MB``: its weights).  Two times are printed for every
step.  ``wall`` is what a listener would notice; it holds the time for which other processes had the processor, unless
``--realtime`` asks for real-time priority as the live engine does.  ``cpu`` is the thread's own processor time, which
other processes lengthen only through the caches.  Models take turns in short rounds; ratios are of medians of a run.

Streams at once, at 16 and 48 kHz, take turns in four ways in rounds of 160 ms of sound: all of them hop by hop in
lockstep (`rtdenoise.methods.can.many.build_many`), one after the other in packets of 20 ms as servers get them, one
after the other hop by hop, and one after the other with all hops at once, as folders and batches do.  A packet holds
the hops that it completes, so with hops of 8 ms two and three in turn.
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
from rtdenoise.methods.can.compiled.shared import Packed, pack, packed_model
from rtdenoise.methods.can.layers import fine
from rtdenoise.methods.can.layers.banded import Banded
from rtdenoise.methods.can.models import LITERT_INT8, model_names, open_model
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.specs import shipped_spec
from rtdenoise.methods.can.streaming import SpectralCan, WaveCan, build_can
from rtdenoise.methods.can.weights import Network, rounded

ROUND_STEPS = 250
PACKET_SECONDS, PACKET_RATES_HZ = 0.02, (16000, 48000)
ROUND_PACKETS = 8
STREAMS = (4, 32)
_ROUNDS_LEFT_OUT, _ROUNDS_MIN = 2, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], help="name or folder (default: the shipped ones)")
    parser.add_argument("--spec", action="append", default=[], metavar="NAME[:KEY=VALUE,...]", help="random weights")
    parser.add_argument("--precision", default="float16", help="of weights of --spec: float32, float16, int8")
    parser.add_argument("--engine", action="append", default=[], choices=["numba", "litert", "tf"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of paced sound per model and engine; 0: no steps")
    parser.add_argument(
        "--streams", type=int, nargs="*", default=STREAMS, help="so many streams at once (default: 4 and 32; none: no)"
    )
    parser.add_argument(
        "--streams-seconds", type=float, default=3.0, help="of processor time per network, rate and number of streams"
    )
    parser.add_argument("--realtime", action="store_true", help="ask for real-time priority while pacing")
    parser.add_argument("--json", type=Path, help="write the record here")
    options = parser.parse_args()
    made = origin()  # before this process keeps to one core
    pin()
    options.engine = options.engine or ["numba", "litert"]
    options.model = options.model or ([] if options.spec else model_names())
    networks = {text: random_network(parse_spec(text)) for text in options.spec}
    rows = measured_steps(options, networks) if options.seconds > 0.0 else []
    capacity = measured_streams(options, networks)
    if options.json:
        record = {"schema": "rtdenoise.can-speed/1", **made, "steps": rows, "streams": capacity}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def measured_steps(options: argparse.Namespace, networks: dict[str, Network]) -> list[dict[str, Any]]:
    """Steps of the models and of `networks` in all engines, printed too."""
    systems: dict[str, Any] = {}
    for model in options.model:
        spectral = open_model(model).spec.domain == "spectral"
        for engine in [e for e in options.engine if spectral or e != "numba"]:
            started = time.perf_counter()
            systems[f"{Path(model).name} {engine}"] = (open_model(model).spec, build_can(model, engine=engine))
            print(f"{model} {engine}: ready in {time.perf_counter() - started:.2f} s")
        if "litert" in options.engine and (open_model(model).folder / LITERT_INT8).is_file():
            system = build_can(model, precision="int8")
            systems[f"{Path(model).name} litert int8"] = (open_model(model).spec, system)
    places = {Path(model).name: model for model in options.model}
    for text, network in networks.items():
        for engine in options.engine:
            systems[f"{text} {engine}"] = (network.spec, denoiser(network, engine, options.precision))
    rows = measure(systems, options.seconds, options.realtime)
    for row, (name, (_, system)) in zip(rows, systems.items(), strict=True):
        if isinstance(system, CompiledCan):
            model = name.rpartition(" ")[0]
            packed = pack(networks[model]) if model in networks else packed_model(open_model(places.get(model, model)))
            row["streams_per_core"] = {str(rate): streams_per_core(packed, rate) for rate in PACKET_RATES_HZ}
    show(rows)
    return rows


def measured_streams(options: argparse.Namespace, networks: dict[str, Network]) -> list[dict[str, Any]]:
    """Many streams at once of the models and of `networks`, printed too."""
    if not options.streams:
        return []
    rows: list[dict[str, Any]] = []
    print(
        "| system | kHz | streams | a core serves in lockstep | in packets of 20 ms | in hops | as files "
        "| packets to lockstep | files to lockstep |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    models = {Path(model).name: open_model(model) for model in options.model}
    for name in (*models, *networks):
        spec = models[name].spec if name in models else networks[name].spec
        for streams in options.streams:
            if "numba" in options.engine and spec.domain == "spectral":
                for rate in PACKET_RATES_HZ:
                    packed = packed_model(models[name], rate) if name in models else pack(networks[name])
                    rows.append(at_once(f"{name} numba", packed, rate, streams, options.streams_seconds))
            if "tf" in options.engine:
                network = models[name].network() if name in models else networks[name]
                rows.append(by_tensorflow(f"{name} tf", network, streams, options.streams_seconds))
    return rows


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

    share, beside = None, None
    if spec.apart is not None:
        share, beside = np.full(spec.n_outputs, 0.5, np.float32), random_network(spec.apart)
    skip = matrix(2, spec.n_bins) if spec.domain == "spectral" else None
    if spec.bands:
        shapes = spec.banded_shapes()
        arrays = {
            name: matrix(*shape) if len(shape) > 1 else np.zeros(shape, np.float32) for name, shape in shapes.items()
        }
        return rounded(Network(spec, None, (), (), None, skip, banded=Banded(**arrays)))
    c, wave = spec.channels, spec.domain == "wave"
    widths = [1 if wave and i == 0 else c for i in range(len(spec.dilations))]
    first = None if wave else (matrix(spec.n_inputs, c) / 4, np.zeros(c, np.float32))
    kernels = tuple(matrix(spec.kernel, width, c) for width in widths)
    biases = tuple(np.zeros(c, np.float32) for _ in widths)
    last = (matrix(c, spec.n_outputs), np.zeros(spec.n_outputs, np.float32))
    behind = tuple(
        matrix(*shape) if len(shape) > 1 else np.zeros(shape, np.float32) for shape in fine.shapes(spec.fine_channels)
    )
    return rounded(Network(spec, first, kernels, biases, last, skip, behind, share=share, beside=beside))


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
    if spec.apart is not None:
        return weights_mb(dataclasses.replace(spec, beside=None)) + weights_mb(spec.apart)
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


def streams_per_core(packed: Packed, rate_hz: int) -> float:
    """How many streams of packets of 20 ms, as servers get them, a core keeps up with by processor time."""
    system = CompiledCan(packed, sample_rate=rate_hz)
    hops = packet_hops(rate_hz, system.hop)
    sound = noise(1, sum(hops) * system.hop)
    times = [spent(lambda: in_turn([system], sound, hops)) for _ in range(150)]
    return round(sound.size / rate_hz / float(np.median(times[25:])), 1)


def packet_hops(rate_hz: int, hop: int) -> list[int]:
    """How many hops each of the packets of a round completes."""
    ends = np.arange(ROUND_PACKETS + 1) * round(PACKET_SECONDS * rate_hz) // hop
    return [int(n) for n in np.diff(ends) if n > 0]


def at_once(system: str, packed: Packed, rate_hz: int, streams: int, seconds: float) -> dict[str, Any]:
    """How many streams a core keeps up with in lockstep, in packets, in hops and as files; all take turns."""
    many = CompiledStreams(packed, streams, sample_rate=rate_hz)
    alone = [CompiledCan(packed, sample_rate=rate_hz) for _ in range(streams)]
    hops = packet_hops(rate_hz, many.hop)
    sound = noise(streams, sum(hops) * many.hop)
    blocks = np.ascontiguousarray(sound.reshape(streams, -1, many.hop).swapaxes(0, 1))
    ways: dict[str, Callable[[], None]] = {
        "lockstep": lambda: in_lockstep(many, blocks),
        "packets": lambda: in_turn(alone, sound, hops),
        "hops": lambda: in_turn(alone, sound, [1] * sum(hops)),
        "files": lambda: in_turn(alone, sound, [sum(hops)]),
    }
    return stream_row(system, rate_hz, streams, served(ways, sound.size / rate_hz, seconds))


def in_lockstep(many: Any, blocks: np.ndarray) -> None:
    """One hop of every stream after the other: `blocks` is (n, streams, hop)."""
    outs = np.empty_like(blocks[0])
    for block in blocks:
        many.process(block, outs)


def in_turn(alone: Sequence[CompiledCan], sound: np.ndarray, hops: Sequence[int]) -> None:
    """So many `hops` of every stream after the other: `sound` is (streams, n)."""
    out, start = np.empty_like(sound[0]), 0
    for n in hops:
        end = start + n * alone[0].hop
        for system, signal in zip(alone, sound, strict=True):
            system.process_hops(signal[start:end], out[start:end])
        start = end


def served(ways: dict[str, Callable[[], None]], sound_seconds: float, seconds: float) -> dict[str, float]:
    """Seconds of sound per second of processor time for ways to process as much, medians of rounds in turn."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    while len(next(iter(times.values()))) < _ROUNDS_MIN or sum(map(sum, times.values())) < seconds:
        for way, run in ways.items():
            times[way].append(spent(run))
    return {way: round(sound_seconds / float(np.median(each[_ROUNDS_LEFT_OUT:])), 1) for way, each in times.items()}


def spent(run: Callable[[], None]) -> float:
    """Processor time of all threads of this process, in seconds."""
    started = time.process_time_ns()
    run()
    return (time.process_time_ns() - started) / 1e9


def noise(streams: int, n: int) -> np.ndarray:
    """White noise, (streams, n) float32."""
    return np.random.default_rng(0).normal(0, 0.05, (streams, n)).astype(np.float32)


def by_tensorflow(system: str, network: Network, streams: int, seconds: float) -> dict[str, Any]:
    """How many streams in one step of TensorFlow a core keeps up with, at the network's own rate."""
    from rtdenoise.methods.can.many import ManyStreams
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    many = ManyStreams(network.spec, TensorFlowEngine(network, streams=streams), streams)
    blocks = noise(streams, 5 * many.hop).reshape(5, streams, many.hop)
    found = served({"lockstep": lambda: in_lockstep(many, blocks)}, blocks.size / many.sample_rate, seconds)
    return stream_row(system, many.sample_rate, streams, found)


def stream_row(system: str, rate_hz: int, streams: int, found: dict[str, float]) -> dict[str, Any]:
    """One row of the record, printed too."""
    cells = [f"{found[way]:.0f}" if way in found else "-" for way in ("lockstep", "packets", "hops", "files")]
    cells += [f"{found[way] / found['lockstep']:.2f}" if way in found else "-" for way in ("packets", "files")]
    print(f"| {system} | {rate_hz / 1000:g} | {streams} | {' | '.join(cells)} |", flush=True)
    return {"system": system, "rate_hz": rate_hz, "streams": streams, "streams_per_core": found}


if __name__ == "__main__":
    main()
