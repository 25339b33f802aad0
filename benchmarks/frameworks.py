"""How long one frame of 20 ms holds up the event loop of a voice framework, and what each session adds to memory.

    python benchmarks/frameworks.py --json

Pipecat's filter at 16 kHz and LiveKit's processor at 24 kHz, where they are installed; the bytes
of a session, which they all have inside, anyway.  Times are those of the calls that run in the loop, back to back.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil

from rtdenoise.choice import Choice
from rtdenoise.integrations.session import Bytes, Session

SETTINGS: dict[str, dict[str, Any]] = {"WF low": {"method": "WF"}, "can-live": {"model": "can-live"}}


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 1000.0, n).astype(np.int16)


def stall(call: Callable[[bytes], object], rate: int, n_frames: int) -> dict[str, float]:
    """Milliseconds that one frame of 20 ms takes, on the clock and of the processor, which is the frame's own."""
    samples, size, times, busy = noise(rate), rate // 50, [], []
    for i in range(n_frames + 100):
        piece = samples[(i % 50) * size : (i % 50 + 1) * size].tobytes()
        began, worked = time.perf_counter(), time.thread_time()
        call(piece)
        busy.append(1e3 * (time.thread_time() - worked))
        times.append(1e3 * (time.perf_counter() - began))
    figures = {}
    for what, values in (("ms", times[100:]), ("cpu_ms", busy[100:])):
        p50, p99, p999 = np.percentile(values, [50, 99, 99.9])
        figures |= {f"p50_{what}": p50, f"p99_{what}": p99, f"p99.9_{what}": p999, f"max_{what}": max(values)}
    return {name: round(float(value), 3) for name, value in figures.items()}


def of_bytes(settings: dict[str, Any]) -> tuple[Callable[[bytes], object], int]:
    return Bytes(Session(Choice(**settings), 16000, 1)).process, 16000


def of_pipecat(settings: dict[str, Any]) -> tuple[Callable[[bytes], object], int]:
    from rtdenoise.integrations.pipecat import RtDenoiseFilter

    loop, audio_filter = asyncio.new_event_loop(), RtDenoiseFilter(**settings)
    Session(Choice(**settings), 16000, 1)
    loop.run_until_complete(audio_filter.start(16000))

    def call(piece: bytes) -> None:
        coroutine = audio_filter.filter(piece)
        try:
            coroutine.send(None)  # it never waits: a loop would add its own time
        except StopIteration:
            return

    return call, 16000


def of_livekit(settings: dict[str, Any]) -> tuple[Callable[[bytes], object], int]:
    from livekit.rtc import AudioFrame

    from rtdenoise.integrations.livekit import noise_suppression

    processor = noise_suppression(**settings)
    processor.prepare()
    return lambda piece: processor._process(AudioFrame(piece, 24000, 1, len(piece) // 2)), 24000


def memory(settings: dict[str, Any], n_sessions: int = 10) -> dict[str, float]:
    """Megabytes of the process that the first session adds, and on average each of the next."""
    process, kept = psutil.Process(), []
    sizes = [process.memory_info().rss]
    for _ in range(n_sessions + 1):
        kept.append(Bytes(Session(Choice(**settings), 16000, 1)))
        kept[-1].process(noise(16000).tobytes())
        gc.collect()
        sizes.append(process.memory_info().rss)
    first, later = sizes[1] - sizes[0], (sizes[-1] - sizes[1]) / n_sessions
    return {"first_mb": round(first / 2**20, 2), "later_mb": round(later / 2**20, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000, help="of 20 ms, for each figure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name, settings in SETTINGS.items():
        figures[name] = {"memory": memory(settings)}
        for framework, made in {"bytes": of_bytes, "pipecat": of_pipecat, "livekit": of_livekit}.items():
            try:
                call, rate = made(settings)
            except ImportError as error:
                figures[name][framework] = str(error)
                continue
            figures[name][framework] = {"rate_hz": rate, **stall(call, rate, arguments.frames)}
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, rows in figures.items():
        for what, values in rows.items():
            print(f"{name:<10} {what:<8} {values}")


if __name__ == "__main__":
    main()
