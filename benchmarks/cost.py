"""What a hop costs: microseconds of one core per 10 ms of audio, beside other denoisers in the same run.

Every system sees the same noisy signal in rounds that take turns, so that a slow moment of the machine hits all;
CPU time of the thread is counted, not the clock.  Ratios are taken round by round.  RNNoise and DeepFilterNet know
48 kHz alone and get the signal at that rate; resampling it is not counted.

    python benchmarks/cost.py
    python benchmarks/cost.py --seconds 60 --rounds 15 --json cost.json
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import rtdenoise
from rtdenoise.config import load_settings
from rtdenoise.errors import MissingExtraError
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import own_settings
from rtdenoise.evaluate.machine import origin
from rtdenoise.rates import resample
from rtdenoise.registry import build

RATE_HZ = 16_000
PRESETS = ("quality", "balanced", "low", "ultra")
NETWORKS = ("can-live", "can-ultra", "can-small", "can-wave")
REFERENCES = ("WebRTC NS", "SpeexDSP", "RNNoise", "DeepFilterNet", "DeepFilterNet LL")
MANY_STREAMS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the signal (default 20)")
    parser.add_argument("--rounds", type=int, default=9, help="how often every system runs (default 9)")
    parser.add_argument("--json", type=Path, help="write the record here")
    options = parser.parse_args()
    signal = noisy_bursts(options.seconds)
    systems = own_systems(signal) | peer_systems(signal)
    rounds = [{name: run() for name, run in systems.items()} for _ in range(options.rounds + 1)][1:]
    streams = [many_streams(signal) for _ in range(options.rounds + 1)][1:]
    record = summarise(rounds, streams, options.seconds)
    print(markdown(record))
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


def noisy_bursts(seconds: float) -> np.ndarray:
    """Harmonic bursts in noise, so that gains, trackers and their branches all have work."""
    rng = np.random.default_rng(0)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 2.3 * t) > 0)
    return (0.08 * voice + rng.normal(0, 0.02, t.size)).astype(np.float32)


def own_systems(signal: np.ndarray) -> dict[str, Callable[[], float]]:
    """Each method, preset and network over spectra, hop by hop from Python as a stream runs it."""

    def runner(denoiser: rtdenoise.typing.Denoiser) -> Callable[[], float]:
        hop = denoiser.hop
        blocks = signal[: signal.size // hop * hop].reshape(-1, hop)
        out = np.empty(hop, np.float32)

        def run() -> float:
            denoiser.reset()
            started = time.thread_time_ns()
            for block in blocks:
                denoiser.process(block, out)
            return (time.thread_time_ns() - started) / 1e3 / (blocks.size / RATE_HZ * 100)

        return run

    specs = [f"{method}:{preset}" for method in ("WF", "SS") for preset in PRESETS]
    specs += [f"CAN:{model}" for model in NETWORKS]
    return {spec.replace(":", " "): runner(build(own_settings(spec), RATE_HZ)) for spec in specs}


def peer_systems(signal: np.ndarray) -> dict[str, Callable[[], float]]:
    """Others, called once per 10 ms with everything prepared; those that are not installed are named."""
    found = {}
    raised = resample(signal, RATE_HZ, 3 * RATE_HZ)
    for name, prepare in zip(REFERENCES, (webrtc, speexdsp, rnnoise, deepfilternet, deepfilternet_ll), strict=True):
        heard, block = (signal, 160) if prepare in (webrtc, speexdsp) else (raised, 480)
        blocks = heard[: heard.size // block * block].reshape(-1, block)
        try:
            found[name] = prepare(blocks)
        except (MissingExtraError, ImportError) as error:
            print(f"without {name}: {error}")
    return found


def webrtc(blocks: np.ndarray) -> Callable[[], float]:
    from webrtc_noise_gain import AudioProcessor

    frames = [block.tobytes() for block in int16(blocks)]

    def run() -> float:
        processor = AudioProcessor(0, 3)
        started = time.thread_time_ns()
        for frame in frames:
            processor.Process10ms(frame)
        return (time.thread_time_ns() - started) / 1e3 / len(frames)

    return run


def speexdsp(blocks: np.ndarray) -> Callable[[], float]:
    library = peers.load_speexdsp()
    state = library.speex_preprocess_state_init(160, RATE_HZ)
    library.speex_preprocess_ctl(state, 0, ctypes.byref(ctypes.c_int(1)))

    def run() -> float:
        work = int16(blocks)
        pointers = [ctypes.c_void_p(row.ctypes.data) for row in work]
        started = time.thread_time_ns()
        for pointer in pointers:
            library.speex_preprocess_run(state, pointer)
        return (time.thread_time_ns() - started) / 1e3 / len(pointers)

    return run


def rnnoise(blocks: np.ndarray) -> Callable[[], float]:
    from pyrnnoise import rnnoise as library

    work = (blocks * 32768.0).astype(np.float32)  # the scale of 16 bits, as the library wants it
    out = np.empty_like(work[0])
    target = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    sources = [row.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for row in work]
    state = library.create()

    def run() -> float:
        started = time.thread_time_ns()
        for source in sources:
            library.lib.rnnoise_process_frame(state, target, source)
        return (time.thread_time_ns() - started) / 1e3 / len(sources)

    return run


def deepfilternet(blocks: np.ndarray) -> Callable[[], float]:
    return deepfiltering(blocks, *peers.load_deepfilternet())


def deepfilternet_ll(blocks: np.ndarray) -> Callable[[], float]:
    return deepfiltering(blocks, *peers.load_deepfilternet_ll())


def deepfiltering(blocks: np.ndarray, library: ctypes.CDLL, model: str) -> Callable[[], float]:
    state = library.df_create(model.encode(), 100.0, None)
    work = np.ascontiguousarray(blocks, np.float32)
    out = np.empty_like(work[0])
    target = out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    sources = [row.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for row in work]

    def run() -> float:
        started = time.thread_time_ns()
        for source in sources:
            library.df_process_frame(state, source, target)
        return (time.thread_time_ns() - started) / 1e3 / len(sources)

    return run


def int16(blocks: np.ndarray) -> np.ndarray:
    """A copy in 16 bits."""
    return (blocks * 32767).astype(np.int16)


def many_streams(signal: np.ndarray) -> float:
    """How many `WF balanced` streams one core carries in real time: one hop of each, over and over."""
    from rtdenoise.kernels.sized import headers
    from rtdenoise.methods.spectral import hop as compiled

    denoiser = build(load_settings(method="WF", preset="balanced"), RATE_HZ)
    states = headers(np.repeat(denoiser.state, MANY_STREAMS))
    hop = denoiser.hop
    offsets = np.arange(MANY_STREAMS) * 997 % (signal.size - 200 * hop)
    out = np.empty((MANY_STREAMS, hop), np.float32)
    steps = [np.stack([signal[o + i * hop : o + (i + 1) * hop] for o in offsets]) for i in range(60)]
    started = time.thread_time_ns()
    for blocks in steps:
        compiled.hop_of_each(blocks, out, states)
    spent_seconds = (time.thread_time_ns() - started) / 1e9
    return MANY_STREAMS * len(steps) * hop / RATE_HZ / spent_seconds


def summarise(rounds: list[dict[str, float]], streams: list[float], seconds: float) -> dict[str, object]:
    """Medians per system and, against each peer, the median of the ratios of the same round."""
    rows = []
    for name in rounds[0]:
        values = [r[name] for r in rounds]
        ratios = {
            other: statistics.median(r[name] / r[other] for r in rounds) for other in REFERENCES if other in rounds[0]
        }
        rows.append(
            {"system": name, "us_per_10ms": statistics.median(values), "us_min": min(values), "ratio_to": ratios}
        )
    return {
        "benchmark": "cost",
        **origin(),
        "signal_seconds": seconds,
        "rounds": len(rounds),
        "rows": rows,
        "streams_per_core": statistics.median(streams),
    }


def markdown(record: dict) -> str:
    """The record as a table."""
    lines = [
        f"| system | us per 10 ms | RTF | {' | '.join(f'to {other}' for other in REFERENCES)} |",
        f"|---|---:|---:|{'---:|' * len(REFERENCES)}",
    ]
    for row in record["rows"]:
        ratios = [row["ratio_to"].get(other) for other in REFERENCES]
        cells = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        us = row["us_per_10ms"]
        lines.append(f"| {row['system']} | {us:.1f} | {us / 10_000:.5f} | {' | '.join(cells)} |")
    lines.append(f"\n`WF balanced` streams in real time on one core: {record['streams_per_core']:.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
