"""What the control panel costs and how quick it is, on a virtual sound card with a real browser.

    python -m benchmarks.panel                  # a session with WF at 48 kHz in blocks of 256 samples
    python -m benchmarks.panel --seconds 30 --openings 100

Printed: processor time of session and panel together (all their processes), without a page and with one, and of the
session alone; updates a second; milliseconds from asking for a change in the page to its answer; seconds from opening
the page to its first meter; blocks late and samples lost while the page is opened, reloaded and closed, and while the
page of a panel without a session is, which loads the machine as much.  The page runs in the browser, whose processor
time is not counted.  Needs jackd, JACK-Client, chromium and playwright.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.control.client import Control
from tests.live.conftest import may_run_in_real_time
from tests.live.panels import browser, opened, panel
from tests.virtual_card.card import VirtualCard
from tests.virtual_card.server import Server

_LIVE = (
    *(sys.executable, "-m", "rtdenoise", "live", "--quiet"),
    *("--input", "virtual_microphone", "--output", "virtual_speaker"),
)
_LISTED_SECONDS = 8.0  # until the devices were listed, once for each page, which takes a process half a second
_FIRST_METER = """new Promise((settle) => {
  const look = () => document.querySelector("#before-level").textContent.includes("dBFS")
    ? settle(performance.now() / 1000) : setTimeout(look, 5);
  look();
})"""
_OFF = """new Promise((settle) => {
  const look = () => document.querySelector("#state").textContent === "Off"
    ? settle(performance.now() / 1000) : setTimeout(look, 5);
  look();
})"""
_TRIPS = """(count) => new Promise((settle) => {
  const socket = new WebSocket(`ws://${location.host}/socket`), found = [];
  let from = 0;
  const next = () => {
    if (found.length === count) { socket.close(); settle(found); return; }
    from = performance.now();
    socket.send(JSON.stringify({do: "bypass", id: found.length, on: found.length % 2 === 0}));
  };
  socket.onopen = () => socket.send(JSON.stringify({token: sessionStorage.getItem("token")}));
  socket.onmessage = (message) => {
    const event = JSON.parse(message.data).event;
    if (event === "answer") found.push(performance.now() - from);
    if (event === "answer" || event === "welcome") setTimeout(next, 20);
  };
})"""
_UPDATES = """(seconds) => new Promise((settle) => {
  const socket = new WebSocket(`ws://${location.host}/socket`);
  let count = 0, from = 0;
  socket.onopen = () => socket.send(JSON.stringify({token: sessionStorage.getItem("token")}));
  socket.onmessage = (message) => {
    if (JSON.parse(message.data).event !== "meters") return;
    from ||= performance.now();
    const passed = (performance.now() - from) / 1000;
    if (passed > seconds) { socket.close(); settle(count / passed); }
    count++;
  };
})"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (default %(default)s)")
    parser.add_argument("--period", type=int, default=256, help="samples of a block (default %(default)s)")
    parser.add_argument("--openings", type=int, default=100, help="of the page (default %(default)s)")
    parser.add_argument("--trips", type=int, default=200, help="changes that are timed (default %(default)s)")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Server(48000, options.period, synchronous=False, realtime=may_run_in_real_time()))
        os.environ.update(server.environment | {"XDG_CONFIG_HOME": str(work)})
        card = stack.enter_context(VirtualCard(server.name))
        card.set_idle(np.random.default_rng(0).normal(0.0, 0.02, card.rate).astype(np.float32))
        live = stack.enter_context(subprocess.Popen([*_LIVE, "--control", str(work / "live.sock")]))
        control = stack.enter_context(joined(work / "live.sock"))
        measure(live.pid, control, work / "live.sock", options)
        control.ask("quit")
    return 0


def measure(live: int, control: Control, path: Path, options: argparse.Namespace) -> None:
    """All figures of one session."""
    while status(control)["seconds"] < 3.0:
        time.sleep(0.1)
    print(f"load of the machine: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    print(f"session alone: {share((live,), options.seconds):.2f} % of a core")
    load = openings(control, path.with_name("nobody.sock"), options.openings, _OFF)
    with panel(path) as found, browser() as chromium:
        time.sleep(3.0)
        both = (live, found.process.pid)
        print(f"session and panel, no page: {share(both, options.seconds):.2f} % of a core")
        with opened(chromium, found.address) as page:
            page.evaluate(_FIRST_METER)
            time.sleep(_LISTED_SECONDS)
            print(f"session and panel, a page: {share(both, options.seconds):.2f} % of a core")
            print(f"updates: {page.evaluate(_UPDATES, 5.0):.1f} per second")
            trips = page.evaluate(_TRIPS, options.trips)
        print(f"change and answer: {quantiles(trips, 'ms')}")
    opened_all = openings(control, path, options.openings, _FIRST_METER)
    print(f"first meter: {quantiles(opened_all.firsts, 's')}")
    print(f"{options.openings} times opened, reloaded, closed: {opened_all.lost}")
    print(f"the same page of a panel without a session: {load.lost}")


class Openings(NamedTuple):
    """What happened while a page was opened, reloaded and closed."""

    firsts: list[float]
    lost: str


def openings(control: Control, path: Path, count: int, there: str) -> Openings:
    """Open, reload and close the page of a panel so often; it is there when the expression gives its seconds."""
    with panel(path) as found, browser() as chromium:
        began, firsts = status(control), []
        for _ in range(count):
            with opened(chromium, found.address) as page:
                firsts.append(page.evaluate(there))
                page.reload()
                firsts.append(page.evaluate(there))
        ended = status(control)
    losses = ", ".join(f"{name} {ended[name] - began[name]}" for name in LOSSES)
    return Openings(firsts, f"{losses} in {ended['seconds'] - began['seconds']:.0f} s of sound")


LOSSES = ("late_blocks", "lost_samples", "xruns")


def quantiles(values: Sequence[float], unit: str) -> str:
    """Median, 99th percentile and the largest."""
    median, most = np.percentile(values, (50, 99))
    return f"median {median:.2f} {unit}, p99 {most:.2f} {unit}, max {max(values):.2f} {unit}, n {len(values)}"


def status(control: Control) -> dict[str, Any]:
    """Of the session."""
    found: dict[str, Any] = control.ask("status")["status"]
    return found


def joined(path: Path) -> Control:
    """A connection, once the session listens; the first use on a machine compiles."""
    until = time.monotonic() + 300.0
    while True:
        try:
            return Control(path)
        except DeviceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def share(roots: Sequence[int], seconds: float) -> float:
    """Processor time of processes and all below them, as a percentage of one core."""
    before, began = spent(roots), time.monotonic()
    time.sleep(seconds)
    return 100.0 * (spent(roots) - before) / (time.monotonic() - began)


def spent(roots: Sequence[int]) -> float:
    """Seconds of processor time until now, with that of processes below that have ended."""
    found = 0.0
    for process in roots:
        folder = Path(f"/proc/{process}")
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            found += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
            below = [
                int(pid) for task in (folder / "task").iterdir() for pid in (task / "children").read_text().split()
            ]
            found += spent(below)
    return found


if __name__ == "__main__":
    sys.exit(main())
