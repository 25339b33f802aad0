"""The figures of live audio, each measured through real PortAudio streams on the virtual card.

    python -m benchmarks.live_figures [--only NAME ...] [--seconds S] [--json]

Needs what `tests/virtual_card/install` installs.  On a busy machine read the ratios, not the maxima.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.live.record import heard_delay, percentile_ns
from tests.live.conftest import may_run_in_real_time
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard
from tests.virtual_card.server import Server

LIVE = [sys.executable, "-m", "rtdenoise", "live", "--input", "mic:virtual", "--output", "speaker:virtual"]


@contextmanager
def card_of(**settings: Any) -> Iterator[VirtualCard]:
    """A private server with its card, seen by this process and its children."""
    with Server(realtime=may_run_in_real_time(), **settings) as server:
        os.environ.update(server.environment)
        with VirtualCard(server.name) as card:
            yield card


def bypass(seconds: float) -> dict[str, Any]:
    """Bypass through the whole path: differing samples, and the round trip against the reported one."""
    with card_of() as card, running(plan("bypass")) as live:
        card.wait_connected()
        signal = noise(seconds, card.rate)
        heard = card.play_record(signal, fast=True)
        reported = heard_delay(live.session.region.live)
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
    from rtdenoise.live.devices import find_device, list_devices_here, load_portaudio_here
    from rtdenoise.live.pipes import ChildEnd
    from rtdenoise.live.portaudio import Opening, open_stream
    from rtdenoise.live.region import Region
    from rtdenoise.live.worker import Worker

    with Server(realtime=may_run_in_real_time()) as card:  # no virtual microphone: its callbacks are Python's
        os.environ.update(card.environment)
        region = Region()
        worker = Worker(plan("WF", source=None, target="x"), region, -1, ChildEnd.__new__(ChildEnd))
        listed = list_devices_here()
        source, target = (find_device(listed, name, kind) for name, kind in (("mic", "input"), ("speaker", "output")))
        _hop, callback, userdata = worker._prepare(card.rate, 1, 1)
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


def start(_seconds: float) -> dict[str, Any]:
    """From the command to the first processed sample, with what was compiled before on disk; the median of five."""
    times = []
    with card_of() as card:
        for _ in range(6):
            began = time.monotonic()
            command = [*LIVE, "--duration", "1", "--json"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            card.wait_connected(120.0)
            times.append(time.monotonic() - began)
            process.communicate(timeout=30)
    return {"seconds": [round(t, 2) for t in times[1:]], "median": round(float(np.median(times[1:])), 2)}


def cpu(seconds: float) -> dict[str, Any]:
    """Processor time of WF at 16 kHz with its screen, all processes together, in percent of one core."""
    with card_of() as card:
        leader, follower = pty.openpty()
        process = subprocess.Popen(LIVE, stdin=follower, stdout=follower, stderr=follower)
        drain = threading.Thread(target=_drain, args=(leader,), daemon=True)
        drain.start()
        card.wait_connected(120.0)
        time.sleep(2.0)
        before = _cpu_seconds(process.pid)
        time.sleep(seconds)
        used = {pid: _cpu_seconds(process.pid)[pid] - before.get(pid, 0.0) for pid in before}
        process.terminate()
        process.wait(5)
        os.close(follower)
    parts = [round(100 * share / seconds, 2) for _, share in sorted(used.items())]
    return {"percent_of_a_core": round(sum(parts), 2), "screen_and_watch": parts[0], "audio": parts[1:]}


def _drain(leader: int) -> None:
    try:
        while os.read(leader, 65536):
            pass
    except OSError:
        return


def _cpu_seconds(parent: int) -> dict[int, float]:
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == parent or int(fields[1]) == parent:
            found[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / ticks
    return found


def soak(seconds: float) -> dict[str, Any]:
    """The command line with its screen and a recording, in real time: every sample, the latency and the memory.

    What the recordings hold is compared with what the card played and with the offline method, what the speaker heard
    with the recording: one lost sample or one sample of delay would make them differ.
    """
    import soundfile

    import rtdenoise

    rtdenoise.denoise(noise(1.0, 16000), 16000, method="WF", preset="low")  # compiles what is compared later
    with card_of() as card, tempfile.TemporaryDirectory() as folder:
        signal, heard = noise(seconds, card.rate), []
        leader, follower = pty.openpty()
        process = subprocess.Popen([*LIVE, "--record", folder], stdin=follower, stdout=follower, stderr=follower)
        threading.Thread(target=_drain, args=(leader,), daemon=True).start()
        card.wait_connected(120.0)
        time.sleep(2.0)
        player = threading.Thread(target=lambda: heard.append(card.play_record(signal)))
        player.start()
        memory = []
        while player.is_alive():
            player.join(10.0)
            memory.append({name: _resident(pid) for name, pid in _family(process.pid).items()})
        process.terminate()
        process.wait(5)
        os.close(follower)
        recordings = {
            path.stem.rpartition("-")[2]: soundfile.read(path, dtype="float32")[0]
            for path in Path(folder).glob("*.wav")
        }
    noisy, enhanced = recordings["noisy"], recordings["WF"]
    expected = rtdenoise.denoise(noisy, card.rate, method="WF", preset="low")
    same = slice(int(0.1 * card.rate), enhanced.size - int(0.1 * card.rate))  # but for the fades
    start = int(np.flatnonzero(noisy == signal[0])[0])
    return {
        "minutes": round(seconds / 60, 2),
        "differing_input_samples": int(np.count_nonzero(noisy[start : start + signal.size] != signal)),
        "differing_from_offline": int(np.count_nonzero(enhanced[same] != expected[same])),
        **_compared(heard[0], enhanced[start:], signal.size),
        "memory_mb": {name: _thinned([one[name] for one in memory[:-1]]) for name in memory[0]},
    }


def _compared(heard: np.ndarray, enhanced: np.ndarray, n: int) -> dict[str, int]:
    """By how much the speaker is later than the aligned recording, and how many of its samples differ."""
    head = heard[:8000]
    delay = next(d for d in range(4000) if np.array_equal(head[d + 1000 : d + 2000], enhanced[1000:2000]))
    n = min(n, enhanced.size - 1600, heard.size - delay)
    return {
        "delay_samples": delay,
        "differing_at_speaker": int(np.count_nonzero(heard[delay : delay + n] != enhanced[:n])),
    }


def _family(parent: int) -> dict[str, int]:
    """The process that watches and its children, by what they do."""
    found = {"watch": parent}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found["audio" if b"worker" in command else f"other {path.parent.name}"] = int(path.parent.name)
    return found


def hours(seconds: float) -> dict[str, Any]:
    """Eight hours (at the default of 60 s), faster than real time: differing samples, growth of latency and memory."""
    told: list[str] = []
    with card_of() as card, running(plan("bypass"), told) as live:
        card.wait_connected()
        signal = noise(min(120.0, 480 * seconds), card.rate)
        record, worker = live.session.region.live, live.session._worker.pid
        delay, played, skipped, differing, began = heard_delay(record), 0, 0, 0, time.monotonic()
        memory = []
        while played < 480 * seconds * card.rate:
            try:
                heard = card.play_record(signal, fast=True)
            except RuntimeError:  # the server itself left out a cycle on its way into or out of free running
                skipped += 1
                continue
            differing += int(np.count_nonzero(heard[delay : delay + signal.size] != signal))
            memory.append(_resident(worker) if live.session.reopened == 0 else 0.0)
            played += signal.size
        report = live.session.monitor.total()
        grown = heard_delay(record) - delay + int(record["inserted"][0])
    return {
        "hours": round(played / card.rate / 3600, 2),
        "repeated_because_the_server_skipped": skipped,
        "took_seconds": round(time.monotonic() - began),
        "differing_samples": differing,
        "lost": report["lost"],
        "told": told,
        "latency_grown": grown,
        "memory_mb": _thinned(memory),
    }


def _thinned(memory: list[float]) -> list[float]:
    """Some of many readings, the first after the start has settled."""
    settled = memory[min(2, len(memory) - 1) :]
    return [settled[round(k * (len(settled) - 1) / 4)] for k in range(5)]


def _resident(pid: int) -> float:
    pages = int((Path("/proc") / str(pid) / "statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2)


FIGURES: dict[str, Callable[[float], dict[str, Any]]] = {
    "bypass": bypass,
    "latency": latency,
    "gil": gil,
    "start": start,
    "cpu": cpu,
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
