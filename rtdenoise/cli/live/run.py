"""Run a live session from a command line: signals, the clock, lines or a screen, and the summary at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtdenoise.cli.live.options import USUAL_PLACE
from rtdenoise.cli.live.stop_signals import StopSignals
from rtdenoise.cli.live.terminal import in_foreground
from rtdenoise.cli.live.wording import adaptation_notes, line
from rtdenoise.cli.messages import complain
from rtdenoise.cli.options import Options
from rtdenoise.live_audio.assembly import Assembly
from rtdenoise.live_audio.audio.ahead import Ahead
from rtdenoise.live_audio.controls import Controls
from rtdenoise.live_audio.device_names import STDIO
from rtdenoise.live_audio.ends.recorder import FOLDER
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.plan import LivePlan

if TYPE_CHECKING:
    from rtdenoise.live_audio.control.server import ControlServer

_STEP_SECONDS = 0.08
_LINE_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0


class LiveRun:
    """One session on the command line.

    Parameters
    ----------
    plan : LivePlan
    options : Options
    stop : StopSignals
    microphone : VirtualMicrophone, optional
        What the session plays goes into it.
    ahead : Ahead, optional
        The first audio process; by default it is started now.

    Attributes
    ----------
    live : Assembly
        The caller attaches files and pipes to it.
    """

    def __init__(
        self,
        plan: LivePlan,
        options: Options,
        stop: StopSignals,
        microphone: VirtualMicrophone | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self._plan, self._options, self._asked = plan, options, options.live
        self._stop, self._granted = stop, False
        self._screen: Any = None
        folder = Path(self._asked.record or self._asked.recordings or FOLDER)
        self.live = Assembly(plan, self.tell, folder, microphone, ahead)
        self.session, self.controls = self.live.session, Controls(self.live)
        self._server: ControlServer | None = None
        self._howls = 0
        self._noted: set[str] = set()

    def listen(self) -> None:
        """Open the control socket, if the user asked for one.

        Raises
        ------
        DeviceError
            If no socket can be made there.
        """
        if self._asked.control is not None:
            from rtdenoise.live_audio.control.place import usual_place
            from rtdenoise.live_audio.control.server import ControlServer

            path = usual_place() if self._asked.control == USUAL_PLACE else Path(self._asked.control)
            self._server = ControlServer(self.controls, path, self._quit).__enter__()

    def tell(self, line: str) -> None:
        """One line for the user."""
        if self._server is not None:
            self._server.tell(line)
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
            If the file that the sound goes to cannot be written, or the one that is played cannot be read on.
        """
        session, started, said = self.session, time.monotonic(), False
        show = self._view()
        ran: float | None = None
        while not self._stop.asked and self._step():
            now = time.monotonic()
            if session.state == "running" and ran is None:
                ran = now
                self._announce()
            if ran is None and not said and session.preparing and now - started > _PATIENCE_SECONDS:
                said = True
                self.tell(session.preparing)
            if ran is not None and self._asked.duration is not None and now - ran >= self._asked.duration:
                break
            if ran is not None or self._screen is not None:
                show(now)
            if ran is not None:
                self._tell_grants()
                self._tell_adaptations()
                self._tell_howls()
            time.sleep(_STEP_SECONDS)
        self.close()
        self._summary()
        if self.live.played is not None and self.live.played.failed is not None:
            raise self.live.played.failed
        return 0

    def _step(self) -> bool:
        with self.controls.lock:
            return self.live.step()

    def _view(self) -> Callable[[float], None]:
        """What shows the state while audio runs, called a dozen times a second."""
        if self._options.as_json:
            return self._json_view() if self._asked.every else lambda _now: None
        if self._options.quiet:
            return lambda _now: None
        if sys.stderr.isatty() and sys.stdin.isatty() and in_foreground():
            from rtdenoise.cli.live.screen import Screen

            self._screen = Screen(self.session, self._quit, self.live.recorder, self.controls.mark)
            update: Callable[[float], None] = self._screen.update
            return update
        return self._line_view()

    def _quit(self) -> None:
        self._stop.asked = True

    def _json_view(self) -> Callable[[float], None]:
        due, every = 0.0, self._asked.every or 1.0

        def show(now: float) -> None:
            nonlocal due
            due = due or now + every
            if now >= due:
                due += every * max(1, int((now - due) / every) + 1)
                self._print(json.dumps({"state": self.session.state, **self.session.monitor.interval()}))

        return show

    def _line_view(self) -> Callable[[float], None]:
        due, every = 0.0, self._asked.every or _LINE_SECONDS

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
        names = devices.names
        source, target = names["source"] or self._options.source, names["target"] or self._options.target or "nowhere"
        click.echo(
            f"{self._plan.settings.method}: {source} -> {target} at {devices.rate_hz:.0f} Hz, "
            f"{budget['total']:.1f} ms from input to output",
            err=True,
        )

    def _tell_howls(self) -> None:
        """Every time that the output was turned down because the microphone heard it."""
        howls = int(self.session.region.live["howls"][0])
        if howls > self._howls:
            self.tell("feedback: the microphone hears the speaker, so the output was turned down; use headphones")
        self._howls = howls

    def _tell_adaptations(self) -> None:
        """What of devices, file and options had to be adapted: once each, whatever is opened again."""
        file = (played.name, played.channels) if (played := self.live.played) is not None else None
        for text in adaptation_notes(self._plan, self.session.monitor.devices, file):
            if text not in self._noted:
                self._noted.add(text)
                self.tell(text)

    def _tell_grants(self) -> None:
        """Once: what the system granted, what it refused, and how to get that."""
        if self._granted or not self.session.grants:
            return
        self._granted = True
        granted = [f"{grant.name} ({grant.detail})" for grant in self.session.grants if grant.granted]
        if granted and not self._options.as_json:
            self.tell(f"granted: {', '.join(granted)}")
        for grant in self.session.grants:
            if not grant.granted:
                self.tell(f"{grant.name} was not granted: {grant.detail}")

    def summary(self) -> dict[str, Any]:
        """The whole run, for JSON."""
        monitor, output = self.session.monitor, self.live.output
        return {
            "method": self._plan.settings.method,
            "rate_hz": monitor.devices.rate_hz or None,
            "devices": monitor.devices.names,
            "reopened": self.session.reopened,
            "engine_restarts": self.session.engine_restarts,
            "grants": [asdict(grant) for grant in self.session.grants],
            **monitor.total(),
            "marks": [asdict(mark) for mark in self.controls.status().marks],
            "recording_missing_seconds": round(self.live.recorder.missing_seconds, 3),
            "output_missing_seconds": round(output.missing_seconds, 3) if output is not None else 0.0,
        }

    def _summary(self) -> None:
        if self._options.as_json:
            self._print(json.dumps({"state": "summary", **self.summary()}))
        elif not self._options.quiet:
            click.echo(line(self.summary()), err=True)

    def _print(self, text: str) -> None:
        click.echo(text, err=self._options.target == STDIO)

    @property
    def incomplete(self) -> str:
        """Why a file that was to be played or written is not whole; empty if all are."""
        return (self.live.recorder.failed if self._asked.record is not None else "") or self.live.incomplete

    def close(self) -> None:
        """End the session, then all that it wrote to; fine to call twice."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None
        if self._server is not None:
            self._server.close()
            self._server = None
        with self.controls.lock:
            self.live.close(self._in_a_hurry)

    def _in_a_hurry(self) -> bool:
        """Whether to drop pending output: a pipe must not delay stopping, but a file must be complete."""
        return self._stop.asked and self._options.target == STDIO
