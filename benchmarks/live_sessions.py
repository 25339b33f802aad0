"""Figures of live audio that belong to whole processes: start, processor time, memory, and hours without a fault."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.live_audio.control.client import Control
from rtdenoise.live_audio.record import audible_delay
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


def start(_seconds: float) -> dict[str, Any]:
    """From the command to the first processed sample, with what was compiled and measured before on disk."""
    return _starts({})


def first_start(_seconds: float) -> dict[str, Any]:
    """The same as at the first use: with what the installation brings, and an empty cache each time."""
    with tempfile.TemporaryDirectory() as folder:
        return _starts({"RTDENOISE_CACHE_DIR": folder})


def _starts(variables: dict[str, str]) -> dict[str, Any]:
    """Seconds of five starts after one that warms the disk, for each method."""
    found: dict[str, Any] = {}
    with card_of() as card, tempfile.TemporaryDirectory() as elsewhere:  # so that the installed package is started
        for method in ("WF", "CAN"):
            times = []
            for number in range(6):
                own = {name: f"{folder}/{method}-{number}" for name, folder in variables.items()}
                began = time.monotonic()
                process = subprocess.Popen(
                    [*LIVE, "--method", method, "--duration", "1", "--json"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd=elsewhere,
                    env=os.environ | own,
                )
                card.wait_connected(120.0)
                times.append(time.monotonic() - began)
                process.communicate(timeout=30)
            found[method] = {
                "seconds": [round(seconds, 2) for seconds in times[1:]],
                "median": round(float(np.median(times[1:])), 2),
            }
    return found


def cpu(seconds: float) -> dict[str, Any]:
    """Processor time of WF at 16 kHz with its screen, all processes together, in percent of one core."""
    with card_of() as card:
        card.set_idle(noise(2.0, card.rate))  # a microphone that gives only zeros would be opened again
        leader, follower = pty.openpty()
        process = subprocess.Popen(LIVE, stdin=follower, stdout=follower, stderr=follower)
        drain = threading.Thread(target=_drain, args=(leader,), daemon=True)
        drain.start()
        card.wait_connected(120.0)
        time.sleep(2.0)
        before = _cpu_seconds(process.pid)
        time.sleep(seconds)
        after = _cpu_seconds(process.pid)
        used = {pid: after[pid] - before[pid] for pid in before if pid in after}
        process.terminate()
        process.wait(5)
        os.close(follower)
    if len(used) < 2:
        raise RuntimeError("the audio process was replaced while it was measured")
    parts = [round(100 * share / seconds, 2) for _, share in sorted(used.items())]
    return {"percent_of_a_core": round(sum(parts), 2), "screen_and_watch": parts[0], "audio": parts[1:]}


def _drain(leader: int) -> None:
    try:
        while os.read(leader, 65536):
            pass
    except OSError:
        return


def _cpu_seconds(parent: int) -> dict[int, float]:
    """Of a process and of each of its children; those that came and went count for who waited for them."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(path.parent.name) == parent or int(fields[1]) == parent:
            found[int(path.parent.name)] = sum(int(field) for field in fields[11:15]) / ticks
    return found


def soak(seconds: float) -> dict[str, Any]:
    """WF of the command line with its screen and a recording, in real time: every sample, latency and memory."""
    return _soak(seconds, [], {}, method="WF", preset="low")


def soak_network(seconds: float) -> dict[str, Any]:
    """The same of `can-live` at 48 kHz in blocks of 128, in the callback."""
    options = ["--method", "CAN", "--model", "can-live", "--run-in", "callback"]
    return _soak(seconds, options, {"rate": 48000}, method="CAN", model="can-live")


def _soak(seconds: float, options: list[str], card_settings: dict[str, Any], **method: str) -> dict[str, Any]:
    """One soak with the command line's options, and what `rtdenoise.denoise` takes for the same.

    What the recordings hold is compared with what the card played and with the offline method, what the speaker heard
    with the recording: one lost sample or one sample of delay would make them differ.
    """
    import soundfile

    import rtdenoise

    with card_of(**card_settings) as card, tempfile.TemporaryDirectory() as folder:
        signal, heard = noise(seconds, card.rate), []
        leader, follower = pty.openpty()
        rtdenoise.denoise(noise(1.0, card.rate), card.rate, **method)  # compiles what is compared later
        command = [*LIVE, *options, "--record", folder]
        process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower)
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
    noisy, enhanced = recordings["noisy"], recordings[method["method"]]
    expected = rtdenoise.denoise(noisy, card.rate, **method)
    same = slice(int(0.1 * card.rate), enhanced.size - int(0.1 * card.rate))  # but for the fades
    start = int(np.flatnonzero(noisy == signal[0])[0])
    return {
        "minutes": round(seconds / 60, 2),
        "differing_input_samples": int(np.count_nonzero(noisy[start : start + signal.size] != signal)),
        "differing_from_offline": int(np.count_nonzero(enhanced[same] != expected[same])),
        **_compared(heard[0], enhanced[start:], signal.size),
        "memory_mb": {name: _thinned([one[name] for one in memory[:-1]]) for name in memory[0]},
    }


def memory(_seconds: float) -> dict[str, Any]:
    """Memory of live sessions at 48 kHz, all processes together, in MB; what they share counts once."""
    can = ["--method", "CAN", "--model", "can-live"]
    sessions = {
        "WF": ["--method", "WF"],
        "CAN can-live in the callback": [*can, "--run-in", "callback"],
        "WF, then CAN can-live in the callback": [],
        "CAN can-live in a process of its own": [*can, "--run-in", "engine"],
        "CAN can-live with LiteRT": [*can, "--engine", "litert"],
    }
    found = {}
    for name, options in sessions.items():
        with card_of(rate=48000) as card, tempfile.TemporaryDirectory() as folder:
            socket = Path(folder) / "live.sock"
            command = [*LIVE, *options, "--control", str(socket)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            card.wait_connected(120.0)
            if not options:
                with Control(socket) as control:
                    control.ask("set", method="CAN")
                    while control.ask("status")["status"]["method"] != "CAN":
                        time.sleep(0.1)
            time.sleep(5.0)
            found[name] = round(sum(map(_proportional, [process.pid, *_descendants(process.pid)])), 1)
            process.terminate()
            process.wait(5)
    return found


def _descendants(parent: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        children += [int(pid) for pid in task.read_text().split()]
    return children + [pid for child in children for pid in _descendants(child)]


def _proportional(pid: int) -> float:
    """Memory of a process in MB; of what others have too, its share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


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
        card.set_idle(noise(2.0, card.rate))  # a microphone that gives only zeros for long would be opened again
        signal = noise(min(120.0, 480 * seconds), card.rate)
        record, worker = live.session.region.live, live.session._worker.pid
        delay, played, skipped, differing, began = audible_delay(record), 0, 0, 0, time.monotonic()
        memory = []
        while played < 480 * seconds * card.rate:
            try:
                heard = card.play_record(signal, fast=True)
            except RuntimeError:  # the server itself left out a cycle on its way into or out of free running
                skipped += 1
                continue
            differing += int(np.count_nonzero(heard[delay : delay + signal.size] != signal))
            if live.session.reopened or live.session.state != "running":
                raise RuntimeError(f"after {played / card.rate / 3600:.2f} hours: {told}")
            memory.append(_resident(worker))
            played += signal.size
        report = live.session.monitor.total()
        grown = audible_delay(record) - delay + int(record["inserted"][0])
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
