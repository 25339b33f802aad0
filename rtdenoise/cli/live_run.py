"""Run a live session from a command line: signals, the clock, lines or a screen, and the summary at the end."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rtdenoise.cli.entry import complain
from rtdenoise.cli.live_options import LiveOptions
from rtdenoise.cli.live_record import FOLDER, Recorder
from rtdenoise.cli.live_request import LiveRequest
from rtdenoise.cli.options import STDIO
from rtdenoise.cli.terminal import in_foreground
from rtdenoise.errors import AudioFileError, RtDenoiseError
from rtdenoise.live.feeding import Feeding
from rtdenoise.live.monitor import count_xruns
from rtdenoise.live.plan import LivePlan
from rtdenoise.live.session import Session
from rtdenoise.live.taps import TapThread
from rtdenoise.live.virtual_microphone import VirtualMicrophone

_STEP_SECONDS = 0.08
_LINE_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0
_STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class StopSignals:
    """Ctrl-C, SIGTERM and a closed terminal ask for an orderly end, from entry to exit, however often they come.

    Attributes
    ----------
    asked : bool
        Whether to end; others may set it, too.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at_once = False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        for name in _STOP_SIGNALS:
            if hasattr(signal, name):
                number = getattr(signal, name)
                self._handlers[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if self._at_once and first:  # not in the midst of clearing up
            raise SystemExit(0)

    @contextmanager
    def ending_at_once(self) -> Iterator[None]:
        """For work before the first sample that nobody asks in between: imports, reading a file's head."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False


class LiveRun:
    """One session on the command line.

    Parameters
    ----------
    plan : LivePlan
    options : LiveRequest
    live : LiveOptions
    stop : StopSignals
    microphone : VirtualMicrophone, optional
        What the session plays goes into it.
    """

    def __init__(
        self,
        plan: LivePlan,
        options: LiveRequest,
        live: LiveOptions,
        stop: StopSignals,
        microphone: VirtualMicrophone | None = None,
    ) -> None:
        self._plan, self._options, self._live = plan, options, live
        self._stop, self._granted = stop, False
        self.output: TapThread | None = None  # what carries the sound to a file or a pipe, if that is where it goes
        self._screen: Any = None
        self.session = Session(plan, self.tell)
        self.recorder = Recorder(self.session, Path(live.record or FOLDER), self.tell)
        self._feeding = Feeding(microphone, self.session, self.tell) if microphone is not None else None
        self._howls = 0

    def tell(self, line: str) -> None:
        """One line for the user."""
        if self._screen is not None:
            self._screen.tell(line)
        elif not self._options.quiet:
            complain(line, kind="note")

    def drive(self) -> int:
        """Until the end of the duration, of the file, or of the user's patience.

        Returns
        -------
        exit code
            0, also after Ctrl-C: that is how live audio ends.

        Raises
        ------
        AudioFileError
            If the file that the sound goes to cannot be written.
        """
        session, started, said = self.session, time.monotonic(), False
        show = self._view()
        ran: float | None = None
        while not self._stop.asked and session.step():
            now = time.monotonic()
            if session.state == "running" and ran is None:
                ran = now
                self._announce()
            if ran is None and not said and session.preparing and now - started > _PATIENCE_SECONDS:
                said = True
                self.tell(session.preparing)
            if ran is not None and self._live.duration is not None and now - ran >= self._live.duration:
                break
            if ran is not None or self._screen is not None:
                show(now)
            if ran is not None:
                self._tell_grants()
                self._tell_howls()
            self._check_output()
            time.sleep(_STEP_SECONDS)
        self.close()
        self._summary()
        return 0

    def _check_output(self) -> None:
        """A file that cannot be written is the end; so is a pipe that nobody reads any more, without a word."""
        failed = self.output.failed if self.output is not None else None
        if isinstance(failed, BrokenPipeError):
            self._stop.asked = True
        elif isinstance(failed, RtDenoiseError):
            raise failed
        elif failed is not None:
            raise AudioFileError(f"{self._options.target}: {failed}") from failed

    def _view(self) -> Callable[[float], None]:
        """What shows the state while audio runs, called a dozen times a second."""
        if self._options.as_json:
            return self._json_view() if self._live.every else lambda _now: None
        if self._options.quiet:
            return lambda _now: None
        if sys.stderr.isatty() and sys.stdin.isatty() and in_foreground():
            from rtdenoise.cli.live_screen import Screen

            self._screen = Screen(self.session, self._plan, self._quit, self.recorder)
            update: Callable[[float], None] = self._screen.update
            return update
        return self._line_view()

    def _quit(self) -> None:
        self._stop.asked = True

    def _json_view(self) -> Callable[[float], None]:
        due, every = 0.0, self._live.every or 1.0

        def show(now: float) -> None:
            nonlocal due
            due = due or now + every
            if now >= due:
                due += every * max(1, int((now - due) / every) + 1)
                self._print(json.dumps({"state": self.session.state, **self.session.monitor.interval()}))

        return show

    def _line_view(self) -> Callable[[float], None]:
        due, every = 0.0, self._live.every or _LINE_SECONDS

        def show(now: float) -> None:
            nonlocal due
            due = due or now + every
            if now >= due:
                due = now + every
                elapsed = {"seconds": self.session.monitor.total()["seconds"]}
                click.echo(line(self.session.monitor.interval() | elapsed), err=True)

        return show

    def _announce(self) -> None:
        """What was opened and what the system granted."""
        if self._options.quiet or self._screen is not None:
            return
        devices, budget = self.session.monitor.devices, self.session.monitor.budget()
        names = [devices[key]["name"] if devices.get(key) else None for key in ("source", "target")]
        source, target = names[0] or self._options.source, names[1] or self._options.target or "nowhere"
        click.echo(
            f"{self._plan.settings.method}: {source} -> {target} at {devices['rate']:.0f} Hz, "
            f"{budget['total']:.1f} ms from input to output",
            err=True,
        )

    def _tell_howls(self) -> None:
        """Every time that the output was turned down because the microphone heard it."""
        howls = int(self.session.region.live["howls"][0])
        if howls > self._howls:
            self.tell("feedback: the microphone hears the speaker, so the output was turned down; use headphones")
        self._howls = howls

    def _tell_grants(self) -> None:
        """Once: what the system granted, what it refused, and how to get that."""
        if self._granted or not self.session.grants:
            return
        self._granted = True
        granted = [f"{grant['name']} ({grant['detail']})" for grant in self.session.grants if grant["granted"]]
        if granted and not self._options.as_json:
            self.tell(f"granted: {', '.join(granted)}")
        for grant in self.session.grants:
            if not grant["granted"]:
                self.tell(f"{grant['name']} was not granted: {grant['detail']}")

    def summary(self) -> dict[str, Any]:
        """The whole run, for JSON."""
        monitor = self.session.monitor
        devices = {key: (monitor.devices.get(key) or {}).get("name") for key in ("source", "target")}
        return {
            "method": self._plan.settings.method,
            "rate_hz": monitor.devices.get("rate"),
            "devices": devices,
            "reopened": self.session.reopened,
            "engine_restarts": self.session.engine_restarts,
            "grants": self.session.grants,
            **monitor.total(),
        }

    def _summary(self) -> None:
        if self._options.as_json:
            self._print(json.dumps({"state": "summary", **self.summary()}))
        elif not self._options.quiet:
            click.echo(line(self.session.monitor.total()), err=True)

    def _print(self, text: str) -> None:
        click.echo(text, err=self._options.target == STDIO)

    def close(self) -> None:
        """End the session; fine to call twice."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
        if self._feeding is not None:
            self._feeding.stop()
        self.session.close()


def line(report: dict[str, Any]) -> str:
    """A report in one line."""
    budget, used = report["latency_ms"], report["budget_used_percent"]
    reduction = report["noise_reduction_db"]
    parts = [
        f"{report['seconds']:.0f} s",
        f"in {report['level_in_dbfs']:.0f} dBFS",
        f"out {report['level_out_dbfs']:.0f} dBFS",
        f"noise {-reduction:+.1f} dB" if reduction is not None else "noise -",
        f"latency {budget.get('total', 0.0):.1f} ms",
        f"budget used {used.get('p50', 0.0):.1f} % (p99.9 {used.get('p99.9', 0.0):.1f} %)",
        f"late {report['late_blocks'] + report['dry_blocks']}",
        f"xruns {count_xruns(report)}",
        f"lost {report['lost']}",
    ]
    return "  ".join(parts)
