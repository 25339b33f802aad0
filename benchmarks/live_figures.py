"""The figures of live audio, each measured through real PortAudio streams on the virtual card.

    python -m benchmarks.live_figures [--only NAME ...] [--seconds S] [--json]

Needs what `tests/virtual_card/install` installs.  On a busy machine read the ratios, not the maxima.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.live_faults import ending, speaker
from benchmarks.live_sessions import card_of, cpu, first_start, hours, memory, soak, soak_network, start
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import audible_delay, percentile_ns
from rtdenoise.live_audio.shared_memory import span_of
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.server import Server

NETWORKS = ("can-live", "can-ultra", "can-wave", "can-small")


def bypass(seconds: float) -> dict[str, Any]:
    """Bypass through the whole path: differing samples, and the round trip against the reported one."""
    with card_of() as card, running(plan("bypass")) as live:
        card.wait_connected()
        signal = noise(seconds, card.rate)
        heard = card.play_record(signal, fast=True)
        reported = audible_delay(live.session.region.live)
    measured = int(np.argmax(np.correlate(heard[: 4000 + 2000], signal[:4000], "valid")))
    differing = int(np.count_nonzero(heard[reported : reported + signal.size] != signal))
    return {"seconds": seconds, "differing_samples": differing, "measured": measured, "reported": reported}


def latency(_seconds: float) -> dict[str, Any]:
    """Round trip of both live presets and of networks in the callback, measured, and with the block that is gathered.

    A network would take a click away: its round trip is where the speaker's samples are those of the offline output.
    """
    found = {}
    for preset, period in (("low", 128), ("low", 64), ("ultra", 64), ("ultra", 32)):
        with card_of(period=period) as card, running(plan("WF", preset)) as live:
            card.wait_connected()
            click = np.zeros(card.rate, np.float32)
            click[card.rate // 2] = 0.9
            heard = card.play_record(click, fast=True)
            budget = live.session.monitor.budget()
        measured = int(np.argmax(abs(heard))) - card.rate // 2
        found[f"{preset}, blocks of {1000 * period / card.rate:g} ms"] = _trip(measured, period, card.rate, budget)
    for model, period in itertools.product(NETWORKS, (128, 256)):
        measured, budget = _network_delay(model, period)
        found[f"{model}, blocks of {period} at 48 kHz"] = _trip(measured, period, 48000, budget)
    return found


def _trip(measured: int, period: int, rate: int, budget: dict[str, float]) -> dict[str, float]:
    return {
        "round_trip_ms": round(1e3 * measured / rate, 2),
        "with_block_ms": round(1e3 * (measured + period) / rate, 2),
        "reported_ms": budget["total"],
    }


def _network_delay(model: str, period: int) -> tuple[int, dict[str, float]]:
    """Samples from the microphone to the speaker, found without what the session reports; and that."""
    import rtdenoise

    asked = plan("CAN", model=model, run_in="callback", howl_guard=False)
    with card_of(rate=48000, period=period) as card, running(asked) as live:
        card.wait_connected()
        signal = noise(1.5, card.rate)
        heard = card.play_record(signal)
        region, rings = live.session.region.live, live.session.region.attached_rings()
        noisy, budget = span_of(rings["noisy"], 0, int(region["n"][0]))[:, 0], live.session.monitor.budget()
    start = int(np.flatnonzero(noisy == signal[0])[0])
    offline = rtdenoise.denoise(noisy, card.rate, "CAN", model=model)[start : start + signal.size]
    same = (d for d in range(heard.size - signal.size) if np.array_equal(heard[d : d + signal.size], offline))
    delay = next(same, None)
    if delay is None:
        raise RuntimeError(f"what the speaker heard of {model} is nowhere the offline output")
    return delay, budget


@contextmanager
def hogs() -> Iterator[None]:
    """In this process: a busy Python thread, and C calls that hold the interpreter's lock for 40 ms."""
    stop = threading.Event()
    holding = ctypes.PyDLL(None).usleep

    def busy() -> None:
        while not stop.is_set():
            sum(range(1000))

    def hold() -> None:
        while not stop.is_set():
            holding(40_000)
            time.sleep(0.005)

    threads = [threading.Thread(target=work, daemon=True) for work in (busy, hold)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def gil(seconds: float) -> dict[str, Any]:
    """WF and a network, each in a process beside threads that hog its interpreter: blocks lost, compute times."""
    asked = {
        "WF": (plan("WF", source=None, target="x"), 16000),
        "CAN can-live": (plan("CAN", source=None, target="x", run_in="callback"), 48000),
    }
    found = {}
    for name, (session, rate) in asked.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # PortAudio looks for servers once in a process
            found[name] = pool.submit(_beside_hogs, session, rate, seconds).result()
    return found


def _beside_hogs(asked: LivePlan, rate: int, seconds: float) -> dict[str, Any]:
    """One method in this process."""
    from rtdenoise.child.lines import ChildEnd
    from rtdenoise.live_audio.audio.devices import find_device, list_devices_here, load_portaudio_here
    from rtdenoise.live_audio.audio.portaudio import Opening, open_stream
    from rtdenoise.live_audio.audio.shutdown import Shutdown
    from rtdenoise.live_audio.audio.worker import Worker
    from rtdenoise.live_audio.shared_memory import Region

    with Server(
        rate=rate, realtime=may_run_in_real_time()
    ) as card:  # no virtual microphone: its callbacks are Python's
        os.environ.update(card.environment)
        region = Region()
        worker = Worker(asked, region, -1, ChildEnd.__new__(ChildEnd), Shutdown())
        listed = list_devices_here()
        source, target = (find_device(listed, name, kind) for name, kind in (("mic", "input"), ("speaker", "output")))
        start, callback = worker._program(card.rate)
        worker._fill(card.rate, 1, 1, start)
        start.connect(region.live.ctypes.data, callback)
        start.prepare_network(region.live)
        opening = Opening(
            rate=card.rate, source=source, target=target, channels_in=1, channels_out=1, block=0, latency="low"
        )
        stream = open_stream(opening, callback, start.user)
        stream.start()
        time.sleep(1.0)
        live = region.live
        with hogs():
            before, started = live.copy(), time.monotonic()
            while time.monotonic() - started < seconds:
                time.sleep(0.5)
            after = live.copy()
        stream.close()
        load_portaudio_here()._terminate()
    elapsed = int(after["last_ns"][0] - before["last_ns"][0]) * 1e-9
    compute = after["compute_histogram"][0] - before["compute_histogram"][0]
    budget_ns = 1e9 * card.period / card.rate
    counted = {name: int(after[name][0] - before[name][0]) for name in ("callbacks", "late_blocks", "dry_blocks")}
    return {
        "seconds": round(elapsed, 2),
        "blocks_expected": round(elapsed * card.rate / card.period),
        "blocks": counted["callbacks"],
        "late_blocks": counted["late_blocks"],
        "blocks_without_the_network": counted["dry_blocks"],
        "compute_us": {f"p{100 * s:g}": round(percentile_ns(compute, s) / 1e3, 1) for s in (0.5, 0.99, 0.999, 1.0)},
        f"p99.9_percent_of_{1e-6 * budget_ns:.3g}_ms": round(100 * percentile_ns(compute, 0.999) / budget_ns, 2),
    }


def network(seconds: float) -> dict[str, Any]:
    """Networks in the callback at 48 kHz, paced, over arrays: processor time of a callback; delay without devices."""
    from rtdenoise.config import load_settings
    from rtdenoise.live_audio.audio.pace import Bench
    from rtdenoise.live_audio.callback.programs import process_callback, start_of
    from rtdenoise.live_audio.record import audible_delay

    rate, found = 48000, {}
    for model in NETWORKS:
        settings = load_settings(method="CAN", preset="low", overrides={"can": {"model": model}})
        begin = start_of(settings, rate, 1, with_network=True)
        callback = process_callback(begin)
        for block in (64, 128, 256):
            bench = Bench(begin, callback, rate)
            times = bench.paced_us(block, seconds / 12)[20:]
            found[f"{model}, blocks of {block}"] = {
                "block_us": round(1e6 * block / rate),
                "compute_us": {f"p{share:g}": round(float(np.percentile(times, share)), 1) for share in (50, 99, 99.9)}
                | {"max": round(float(times.max()), 1)},
                "delay_ms": round(1e3 * (audible_delay(bench.live) + block) / rate, 2),
            }
    return found


FIGURES: dict[str, Callable[[float], dict[str, Any]]] = {
    "bypass": bypass,
    "latency": latency,
    "gil": gil,
    "network": network,
    "start": start,
    "first-start": first_start,
    "cpu": cpu,
    "ending": ending,
    "speaker": speaker,
    "memory": memory,
    "soak": soak,
    "soak-network": soak_network,
    "hours": hours,
}


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each measurement")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("NUMBA_CACHE_DIR", tempfile.gettempdir() + "/rtdenoise-benchmark-cache")
    results = {}
    for name in arguments.only:
        results[name] = FIGURES[name](arguments.seconds)
        if not arguments.json:
            print(f"{name}: {json.dumps(results[name])}", flush=True)
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
