"""The icon from its start to its end: where it is shown, its menu, what a click does."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtdenoise.errors import DeviceError, MissingExtraError, reason
from rtdenoise.live_audio.control.place import usual_place
from rtdenoise.tray.follower import Follower
from rtdenoise.tray.shown import LIVE, NONE, Status, state_of, title_of

METHODS = ("WF", "SS", "CAN")
_PANEL = (sys.executable, "-m", "rtdenoise", "panel")
_INSTEAD = "`rtdenoise panel` shows and controls the session in your browser"
_NO_MENUS = (
    "menus need PyGObject here, this tray takes clicks alone: one switches between the method and the original, or, "
    "without a session, opens the panel; Ctrl-C takes the icon away"
)
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_LOOK_SECONDS = 0.25


class Tray:
    """The icon and its menu.

    Parameters
    ----------
    pystray : module
    path : Path
        Of the control socket.
    tell : callable
        Called with one line for the user.
    """

    def __init__(self, pystray: Any, path: Path, tell: Callable[[str], None]) -> None:
        from rtdenoise.tray.picture import picture

        self._path, self._tell = path, tell
        self._status: Status | None = None
        self._picture = picture
        self._follower = Follower(path, self.show, self._complain)
        self.icon = pystray.Icon("rtdenoise", picture(NONE), title_of(None), self._menu(pystray))

    def run(self) -> None:
        """Show the icon until Quit or `stop`; on the main thread, which macOS demands."""
        self.icon.run(self._begin)

    def stop(self) -> None:
        """Take the icon away; from any thread, but from no signal's handler."""
        self.icon.stop()

    def show(self, status: Status | None) -> None:
        """Show a status, or that there is no session."""
        before, self._status = self._status, status
        self.icon.title = title_of(status)
        if state_of(status) != state_of(before):
            self.icon.icon = self._picture(state_of(status))
        if _choices(status) != _choices(before):
            self.icon.update_menu()

    def _begin(self, icon: Any) -> None:
        icon.visible = True
        self._follower.start()

    def _menu(self, pystray: Any) -> Any:
        item, there = pystray.MenuItem, self._is_there
        methods = [
            item(name, self._chooser(name), checked=self._is_chosen(name), radio=True, enabled=there)
            for name in METHODS
        ]
        return pystray.Menu(
            item("Denoise", self._follower.toggle_bypass, checked=self._is_live, enabled=there, default=there),
            item("Method", pystray.Menu(*methods), enabled=there),
            item("Open the panel", self._open_panel, default=lambda _item: not self._is_there()),
            pystray.Menu.SEPARATOR,
            item("Stop the session", lambda: self._follower.ask("quit"), enabled=there),
            item("Quit", self.stop),
        )

    def _is_there(self, _item: object = None) -> bool:
        return self._status is not None

    def _is_live(self, _item: object = None) -> bool:
        return state_of(self._status) == LIVE

    def _is_chosen(self, name: str) -> Callable[[object], bool]:
        return lambda _item: self._status is not None and self._status["method"] == name

    def _chooser(self, name: str) -> Callable[[], None]:
        return lambda: self._follower.ask("set", method=name)

    def _open_panel(self) -> None:
        """In a session of its own: it goes on when the icon goes."""
        threading.Thread(target=_run_panel, args=(self._path,), daemon=True).start()

    def _complain(self, line: str) -> None:
        self._tell(line)
        if self.icon.HAS_NOTIFICATION:
            self.icon.notify(line[:200], "rtdenoise")


def run(path: Path, tell: Callable[[str], None], *, wait_seconds: float = 0.0) -> None:
    """Show the icon until it is told to quit.

    Parameters
    ----------
    path : Path
        The control socket of the session.
    tell : callable
        Called with one line for the user.
    wait_seconds : float
        How long a tray may take to appear.

    Raises
    ------
    DeviceError
        If there is no tray.
    MissingExtraError
        If pystray or Pillow is not installed.
    """
    logging.getLogger("pystray").setLevel(logging.CRITICAL)  # it logs tracebacks of what it tries again
    pystray = _pystray()
    if _goes_to_x11(pystray):
        _wait_for_tray(wait_seconds)
    if not pystray.Icon.HAS_MENU:
        tell(_NO_MENUS)
    tray = Tray(pystray, path, tell)
    if _goes_to_x11(pystray):
        from rtdenoise.tray import x11

        x11.take_clicks(tray.icon)
        x11.stay_docked(tray.icon)
    _end_with_signals(tray.stop)
    tray.run()


def _pystray() -> Any:
    """The package, which looks for a tray of this system when it is imported."""
    try:
        import PIL  # noqa: F401 - what pystray's icons are made of
        import pystray
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "the tray icon needs the packages pystray and Pillow: pip install 'rtdenoise[tray]'"
        ) from error
    except Exception as error:  # each of its backends has errors of its own
        raise DeviceError(f"there is no tray here: {reason(error)}; {_INSTEAD}") from error
    return pystray


def _wait_for_tray(seconds: float) -> None:
    """Somebody has to take the icon."""
    from rtdenoise.tray.x11 import takes_icons

    end = time.monotonic() + seconds
    while not takes_icons():
        if time.monotonic() >= end:
            raise DeviceError(f"there is no tray here: no program on this display takes icons; {_INSTEAD}")
        time.sleep(_LOOK_SECONDS)


def _goes_to_x11(pystray: Any) -> bool:
    """Whether icons are windows of X11, without a desktop's library in between."""
    return bool(pystray.Icon.__module__ == "pystray._xorg")


def _end_with_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at a signal, on another thread.

    The main thread may be in the middle of talking to the display, or go to wait for it just as a signal arrives, and
    then run no handler until something happens there; Python's wakeup descriptor is written to at once.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)

    def wait(_writing: socket.socket) -> None:  # holds it open
        while reading.recv(1):
            stop()

    for number in (getattr(signal, name) for name in _ENDING if hasattr(signal, name)):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=wait, args=(writing,), daemon=True).start()


def _choices(status: Status | None) -> tuple[str, str]:
    """What the menu shows of a status."""
    return state_of(status), status["method"] if status is not None else ""


def _run_panel(path: Path) -> None:
    where = () if path == usual_place() else ("--control", str(path))
    nowhere = subprocess.DEVNULL
    command = [*_PANEL, *where]
    subprocess.run(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, check=False)
