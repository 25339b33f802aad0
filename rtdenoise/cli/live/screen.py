"""The live screen: meters, latency parts, counters, and keys."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rtdenoise.cli.live.terminal import in_foreground, keys_at_once, on_continue, pressed_key
from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.controls import Mark
from rtdenoise.live_audio.ends.recorder import Recorder
from rtdenoise.live_audio.monitor import count_xruns
from rtdenoise.live_audio.session import Session
from rtdenoise.live_audio.supervise.processor import Processor

_REFRESH_SECONDS = 0.25
_INTERVAL_SECONDS = 1.0
_METER_WIDTH = 40
_METER_FLOOR_DB = -70.0
_LIMIT_STEP_DB = 3.0
_LINES = 4
_METHODS = ("SS", "WF", "CAN")
_KEYS = "[b] bypass  [s] SS/WF/CAN  [+/-] attenuation limit  [m] mark  [r] record  [q] quit"


class Screen:
    """Draws a session four times a second and takes its keys.

    Parameters
    ----------
    session : Session
    quit_ : callable
        Called for the key q.
    recorder : Recorder
        For the key r.
    mark : callable
        For the key m.
    """

    def __init__(
        self, session: Session, quit_: Callable[[], None], recorder: Recorder, mark: Callable[[], Mark]
    ) -> None:
        self._session, self._quit, self._recorder, self._mark = session, quit_, recorder, mark
        self._lines: list[str] = []
        self._awaited = ""  # method that was chosen and is not yet there
        self._limit_db: float | None = None  # of the last stream; one that is being opened has none yet
        self._drawn = self._reported = 0.0
        self._report: dict[str, Any] = session.monitor.interval()
        self._processor, self._percent = Processor(), 0.0
        self._restore = keys_at_once()
        self._former = on_continue(keys_at_once)
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def tell(self, line: str) -> None:
        """Show a line for the user."""
        self._lines.append(line)

    def update(self, now: float) -> None:
        """Look for a key and draw if it is time."""
        while in_foreground() and (key := pressed_key()) is not None:
            self.press(key)
        if self._awaited and self._session.method == self._awaited:
            self.tell(f"{self._awaited} is there")
            self._awaited = ""
        if now - self._reported >= _INTERVAL_SECONDS:
            self._reported, self._report = now, self._session.monitor.interval()
            self._percent = self._processor.percent()
        if now - self._drawn >= _REFRESH_SECONDS:
            self._drawn = now
            self._live.update(self.render(), refresh=True)

    def press(self, key: str) -> None:
        """Handle a key."""
        session = self._session
        if key == "q":
            self._quit()
        elif key in "bs" and not session.monitor.devices.rate_hz:
            self.tell("audio has not started yet")
        elif key == "b":
            self._toggle_bypass()
        elif key == "s":
            self._switch()
        elif key in "+-=":
            self._change_limit(_LIMIT_STEP_DB if key in "+=" else -_LIMIT_STEP_DB)
        elif key == "m":
            try:
                self.tell(f"marked {self._mark().seconds:.1f} s")
            except RtDenoiseError as error:
                self.tell(str(error))
        elif key == "r":
            self.tell(self._recorder.toggle())

    def _toggle_bypass(self) -> None:
        """Hear the input and back; behind a bypass that was chosen as the method stands the Wiener filter."""
        if self._session.bypassed and self._session.method == "bypass":
            self._choose("WF")
        else:
            self._session.set_bypass(not self._session.bypassed)

    def _change_limit(self, step_db: float) -> None:
        session = self._session
        if session.state == "running":
            session.set_attenuation_limit_db(min(60.0, max(0.0, session.attenuation_limit_db + step_db)))

    def _limit(self) -> str:
        if self._session.state == "running":
            self._limit_db = self._session.attenuation_limit_db
        return "limit -" if self._limit_db is None else f"limit {self._limit_db:.0f} dB"

    def _switch(self) -> None:
        wanted = self._session.plan.settings.method
        known = _METHODS.index(wanted) if wanted in _METHODS else -1
        self._choose(_METHODS[(known + 1) % len(_METHODS)])

    def _choose(self, method: str) -> None:
        self._session.set_method(method)
        self._awaited = method if self._session.method != method else ""
        if self._awaited:
            self.tell(f"{method} is being loaded")

    def render(self) -> Group:
        """Everything, as one picture."""
        session, report = self._session, self._report
        live = session.region.live[0]
        method = "bypass" if session.bypassed else session.method
        recording = "  recording" if self._recorder.running else ""
        head = Text(f"rtdenoise  {method}  {session.plan.settings.preset}  {session.state}{recording}", style="bold")
        table = Table.grid(padding=(0, 2))
        table.add_row("in", meter(session.monitor.level_in_db, float(live["peak_in"])))
        table.add_row("out", meter(session.monitor.level_out_db, float(live["peak_out"])))
        reduction, limit = session.monitor.noise_reduction_db(), self._limit()
        table.add_row("noise", f"{-reduction:+.1f} dB ({limit})" if reduction is not None else f"- ({limit})")
        parts = [f"{name.replace('_', ' ')} {value:.1f}" for name, value in session.monitor.budget().items()]
        table.add_row("latency", "  ".join(parts) + " ms" if parts else "-")
        used = report["budget_used_percent"]
        table.add_row(
            "budget", f"{used.get('p50', 0.0):.1f} % of a block's time used, p99 {used.get('p99', 0.0):.1f} %"
        )
        table.add_row(
            "CPU", f"{self._percent:.1f} % of a core" + ("" if self._processor.whole else ", without the audio")
        )
        total = session.monitor.total()
        late, xruns = total["late_blocks"] + total["dry_blocks"], count_xruns(report)
        table.add_row("late", f"{late} blocks, {xruns} xruns in the last second, {total['lost']} samples lost")
        return Group(head, table, Text(_KEYS, style="dim"), *(Text(line) for line in self._lines[-_LINES:]))

    def close(self) -> None:
        """Give the terminal back; its messages stay on it."""
        with suppress(OSError, ValueError):
            self._live.stop()
            for line in self._lines:
                self._live.console.print(line, markup=False, highlight=False)
        self._former()
        self._restore()


def meter(level_db: float, peak: float) -> Text:
    """A bar from -70 dBFS to 0 with the level in numbers; red where it clips."""
    share = min(1.0, max(0.0, 1.0 - level_db / _METER_FLOOR_DB))
    filled = round(share * _METER_WIDTH)
    style = "red" if peak >= 1.0 else "yellow" if level_db > -12.0 else "green"
    bar = Text("█" * filled, style=style)
    bar.append("─" * (_METER_WIDTH - filled), style="dim")
    bar.append(f" {level_db:6.1f} dBFS" if level_db > -200.0 else "  silence")
    return bar
