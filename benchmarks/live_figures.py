"""The figures of live audio, each measured through real PortAudio streams on the virtual card.

    python -m benchmarks.live_figures [--only NAME ...] [--seconds S] [--json]

Needs what `tests/virtual_card/install` installs.  On a busy machine read the ratios, not the maxima.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.live_faults import ending, speaker
from benchmarks.live_sessions import card_of, cpu, first_start, hours, soak, start
from rtdenoise.live_audio.record import audible_delay, percentile_ns
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.server import Server


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
    """Round trip of both live presets, measured, with the block that must be gathered first."""
    found = {}
    for preset, period in (("low", 128), ("low", 64), ("ultra", 64), ("ultra", 32)):
        with card_of(period=period) as card, running(plan("WF", preset)) as live:
            card.wait_connected()
            click = np.zeros(card.rate, np.float32)
            click[card.rate // 2] = 0.9
            heard = card.play_record(click, fast=True)
            budget = live.session.monitor.budget()
        measured = (int(np.argmax(abs(heard))) - card.rate // 2) * 1000 / card.rate
        found[f"{preset}, blocks of {1000 * period / card.rate:g} ms"] = {
            "round_trip_ms": measured,
            "with_block_ms": measured + 1000 * period / card.rate,
            "reported_ms": budget["total"],
        }
    return found


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
    """WF in this very process beside threads that hog the interpreter: blocks lost, and compute times."""
    from rtdenoise.child.lines import ChildEnd
    from rtdenoise.live_audio.audio.devices import find_device, list_devices_here, load_portaudio_here
    from rtdenoise.live_audio.audio.portaudio import Opening, open_stream
    from rtdenoise.live_audio.audio.shutdown import Shutdown
    from rtdenoise.live_audio.audio.worker import Worker
    from rtdenoise.live_audio.shared_memory import Region

    with Server(realtime=may_run_in_real_time()) as card:  # no virtual microphone: its callbacks are Python's
        os.environ.update(card.environment)
        region = Region()
        worker = Worker(plan("WF", source=None, target="x"), region, -1, ChildEnd.__new__(ChildEnd), Shutdown())
        listed = list_devices_here()
        source, target = (find_device(listed, name, kind) for name, kind in (("mic", "input"), ("speaker", "output")))
        _hop, callback, userdata = worker._prepare(card.rate, 1, 1, lambda hop: hop)
        opening = Opening(
            rate=card.rate, source=source, target=target, channels_in=1, channels_out=1, block=0, latency="low"
        )
        stream = open_stream(opening, callback, userdata)
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
    callbacks = int(after["callbacks"][0] - before["callbacks"][0])
    compute = after["compute_histogram"][0] - before["compute_histogram"][0]
    budget_ns = 1e9 * card.period / card.rate
    return {
        "seconds": round(elapsed, 2),
        "blocks_expected": round(elapsed * card.rate / card.period),
        "blocks": callbacks,
        "late_blocks": int(after["late_blocks"][0] - before["late_blocks"][0]),
        "compute_us": {f"p{100 * s:g}": round(percentile_ns(compute, s) / 1e3, 1) for s in (0.5, 0.99, 0.999, 1.0)},
        "p99.9_percent_of_8_ms": round(100 * percentile_ns(compute, 0.999) / budget_ns, 2),
    }


def network(seconds: float) -> dict[str, Any]:
    """Networks in the callback at 48 kHz, paced, over arrays: processor time of a callback; delay without devices."""
    from rtdenoise.config import load_settings
    from rtdenoise.live_audio.audio.pace import Bench
    from rtdenoise.live_audio.callback.programs import process_callback, start_of
    from rtdenoise.live_audio.record import audible_delay

    rate, found = 48000, {}
    for model in ("can-live", "can-small"):
        settings = load_settings(method="CAN", preset="low", overrides={"can": {"model": model}})
        begin = start_of(settings, rate, 1, with_network=True)
        callback = process_callback(begin)
        for block in (64, 128, 256):
            bench = Bench(begin, callback, rate)
            times = bench.paced_us(block, seconds / 6)[20:]
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
    "soak": soak,
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
