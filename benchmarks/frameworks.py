"""What a voice framework gets: delay, what a frame of 20 ms costs its event loop, memory, and whether samples get lost.

    python benchmarks/frameworks.py --json

Pipecat's filter and Wyoming's service at 16 kHz, LiveKit's processor at 24 kHz and aiortc's track at 48 kHz, where they
are installed; the bytes of a session, which they all have inside, anyway.

- *delay*: measured by cross-correlation, and reported.
- *busy*: processor time of the calls that run in the loop, frame by frame.
- *lag*: how late an event loop that has something to do every 20 ms is done, with and without the calls in turns: on a
  machine that does other things their ratio says more than either.
- *lost*: samples that differ in number or value from `rtdenoise.stream`, frames of random sizes.
- *memory*: what the first session and each further one add to the process.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

import rtdenoise
from rtdenoise.choice import Choice
from rtdenoise.integrations.session import Bytes, Session

SETTINGS: dict[str, dict[str, Any]] = {"WF low": {"method": "WF"}, "can-live": {"model": "can-live"}}
_TURN = 50  # frames with the calls, then as many without
_WARM = 100


@dataclass(frozen=True)
class Line:
    """A framework's way from s16le mono to s16le; frames are whole multiples of `step` bytes."""

    call: Callable[[bytes], bytes]
    rate: int
    latency: Callable[[], int]
    step: int = 1


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 1000.0, n).astype(np.int16)


def at_once(coroutine: Any) -> Any:
    """The result of a coroutine that never waits: a loop would add its own time."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits")


def of_bytes(settings: dict[str, Any]) -> Line:
    line = Bytes(Session(Choice(**settings), 16000, 1))
    return Line(line.process, 16000, lambda: line.session.latency_samples)


def of_pipecat(settings: dict[str, Any]) -> Line:
    from rtdenoise.integrations.pipecat import RtDenoiseFilter

    audio_filter = RtDenoiseFilter(**settings)
    Session(Choice(preset="low", **settings), 16000, 1)  # compiles
    asyncio.new_event_loop().run_until_complete(audio_filter.start(16000))
    return Line(lambda piece: at_once(audio_filter.filter(piece)), 16000, lambda: audio_filter.latency_samples)


def of_livekit(settings: dict[str, Any]) -> Line:
    from livekit.rtc import AudioFrame

    from rtdenoise.integrations.livekit import noise_suppression

    processor = noise_suppression(**settings)
    processor.prepare()

    def call(piece: bytes) -> bytes:
        return bytes(processor._process(AudioFrame(piece, 24000, 1, len(piece) // 2)).data)

    return Line(call, 24000, processor.latency_samples, 2)


def of_aiortc(settings: dict[str, Any]) -> Line:
    from aiortc import MediaStreamTrack
    from av import AudioFrame

    from rtdenoise.integrations.aiortc import DenoisedTrack

    class Given(MediaStreamTrack):
        kind = "audio"
        piece = bytes(2 * 960)

        async def recv(self) -> AudioFrame:
            frame = AudioFrame.from_ndarray(np.frombuffer(self.piece, "<i2")[np.newaxis], layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48000, fractions.Fraction(1, 48000), 0
            return frame

    loop = asyncio.new_event_loop()

    async def made() -> tuple[Given, DenoisedTrack]:
        source = Given()
        return source, DenoisedTrack(source, **settings)

    source, track = loop.run_until_complete(made())
    loop.run_until_complete(track.recv())  # builds
    track._session.reset()

    def call(piece: bytes) -> bytes:
        if not piece:
            return piece  # a frame holds something
        source.piece = piece
        return at_once(track.recv()).to_ndarray().tobytes()

    return Line(call, 48000, lambda: track.latency_samples, 2)


def of_wyoming(settings: dict[str, Any]) -> Line:
    from wyoming.audio import AudioChunk

    from rtdenoise.integrations.wyoming import Line as Wyoming

    line = Wyoming(Choice(**settings))
    asyncio.new_event_loop().run_until_complete(line.pass_on(AudioChunk(16000, 2, 1, b"").event()))  # builds

    def call(piece: bytes) -> bytes:
        (event,) = at_once(line.pass_on(AudioChunk(16000, 2, 1, piece).event()))
        return bytes(event.payload or b"")

    return Line(call, 16000, lambda: line._bytes.session.latency_samples)


FRAMEWORKS: dict[str, Callable[[dict[str, Any]], Line]] = {
    "bytes": of_bytes,
    "pipecat": of_pipecat,
    "livekit": of_livekit,
    "aiortc": of_aiortc,
    "wyoming": of_wyoming,
}


def frames(samples: np.ndarray, rate: int) -> Iterator[bytes]:
    for start in range(0, len(samples), rate // 50):
        yield samples[start : start + rate // 50].tobytes()


def delay(line: Line) -> dict[str, int]:
    """Samples, by cross-correlation over two seconds of noise in bursts, and as reported."""
    samples = noise(2 * line.rate)
    samples[line.rate // 2 : line.rate] //= 30  # something to tell from the noise
    out = np.frombuffer(b"".join(map(line.call, frames(samples, line.rate))), "<i2")
    n = 2 * len(samples)
    product = np.conj(np.fft.rfft(samples.astype(float), n)) * np.fft.rfft(out.astype(float), n)
    return {"measured": int(np.argmax(np.fft.irfft(product, n)[: line.rate])), "reported": line.latency()}


def busy(line: Line, n_frames: int) -> dict[str, float]:
    """Milliseconds of the processor that one frame of 20 ms takes."""
    pieces, times = list(frames(noise(line.rate), line.rate)), []
    for i in range(n_frames + _WARM):
        began = time.thread_time()
        line.call(pieces[i % 50])
        times.append(1e3 * (time.thread_time() - began))
    return percentiles(times[_WARM:])


async def lag(line: Line, n_frames: int) -> dict[str, Any]:
    """Milliseconds that a loop is late for what it does every 20 ms, with the calls and without, in turns."""
    pieces, late = list(frames(noise(line.rate), line.rate)), {True: [0.0] * 0, False: [0.0] * 0}
    due = time.perf_counter()
    for i in range(2 * n_frames):
        due += 0.02
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        inside = i // _TURN % 2 == 1
        if inside:
            line.call(pieces[i % 50])
        now = time.perf_counter()
        late[inside].append(1e3 * (now - due))
        due = max(due, now - 0.02)  # what is lost is not caught up with
    found = {"with": percentiles(late[True]), "without": percentiles(late[False])}
    ratios = {name: round(found["with"][name] / max(1e-3, found["without"][name]), 2) for name in found["with"]}
    return {**found, "ratio": ratios}


def percentiles(values: list[float]) -> dict[str, float]:
    p50, p99, p999 = np.percentile(values, [50, 99, 99.9])
    named = {"p50": p50, "p99": p99, "p99.9": p999, "max": max(values)}
    return {name: round(float(value), 3) for name, value in named.items()}


def lost(make: Callable[[dict[str, Any]], Line], settings: dict[str, Any], seconds: float) -> dict[str, int]:
    """Frames of random sizes, none to 125 ms: samples that went in, came out, and differ from `rtdenoise.stream`."""
    line, rng = make(settings), np.random.default_rng(7)
    samples = noise(round(seconds * line.rate))
    data, out, start = samples.tobytes(), [], 0
    while start < len(data):
        size = int(rng.integers(0, line.rate // 4)) // line.step * line.step
        out.append(line.call(data[start : start + size]))
        start += size
    given = np.frombuffer(b"".join(out), "<i2")
    stream = rtdenoise.stream(sample_rate=line.rate, preset="low", **settings)
    whole = np.concatenate([np.zeros(stream.hop - 1, np.int16), stream.process(samples)])[: len(samples)]
    differ = int(np.count_nonzero(given != whole)) if len(given) == len(whole) else len(whole)
    return {"in": len(samples), "out": len(given), "differ": differ}


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, help="of 20 ms, for each figure")
    parser.add_argument("--minutes", type=float, default=10.0, help="of audio that may get lost")
    parser.add_argument("--settings", choices=SETTINGS, action="append", help="all, unless named; repeat")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in arguments.settings or SETTINGS:
        settings = SETTINGS[name]
        figures[name] = {"memory": memory(settings)}
        for framework, make in FRAMEWORKS.items():
            try:
                line = make(settings)
            except ImportError as error:
                figures[name][framework] = str(error)
                continue
            figures[name][framework] = {
                "rate_hz": line.rate,
                "delay": delay(line),
                "busy_ms": busy(line, arguments.frames),
                "lag_ms": asyncio.run(lag(line, arguments.frames // 2)),
                "lost": lost(make, settings, 60.0 * arguments.minutes),
            }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, rows in figures.items():
        for what, values in rows.items():
            print(f"{name:<10} {what:<8} {values}")


if __name__ == "__main__":
    main()
