"""What pystray 0.19 leaves to do where icons are windows of X11, without a desktop's library in between."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from Xlib.display import Display
from Xlib.error import ConnectionClosedError, XError
from Xlib.protocol.event import ClientMessage
from Xlib.X import ButtonPressMask

_LOOK_SECONDS = 0.5


def takes_icons() -> bool:
    """Whether a system tray is there, by freedesktop.org's protocol."""
    display = Display()
    try:
        return _has_tray(display)
    finally:
        display.close()


def take_clicks(icon: Any) -> None:
    """Have clicks sent: pystray handles them, but does not ask for them."""
    window = icon._window
    window.change_attributes(event_mask=window.get_attributes().your_event_mask | ButtonPressMask)


def stay_docked(icon: Any) -> None:
    """Ask for a place while the icon is in no tray, and only then.

    A tray that starts may miss the request, and one that ends lets icons go; pystray asks at every change of the
    picture, at which a tray may take the icon out and in again, and a click meanwhile is lost.
    """
    ask = icon._dock_window

    def ask_outside() -> None:
        if _is_outside(icon._window):
            ask()

    icon._dock_window = ask_outside
    icon._display.set_error_handler(lambda *_: None)  # the window may be gone already
    threading.Thread(target=_stay_docked, args=(icon, icon._window.id), daemon=True).start()


def _stay_docked(icon: Any, number: int) -> None:
    with suppress(XError, ConnectionClosedError):  # the icon, or the display, has gone
        display = Display()
        window = display.create_resource_object("window", number)
        while True:
            time.sleep(_LOOK_SECONDS)
            _wake(display, window)
            if _is_outside(window) and icon.visible and _has_tray(display):
                icon.icon = icon.icon  # what pystray docks at


def _wake(display: Any, window: Any) -> None:
    """Send the icon's thread an event without effect: requests of other threads are read only after an event."""
    kind = display.intern_atom("_RTDENOISE_WAKE")
    window.send_event(ClientMessage(window=window, client_type=kind, data=(32, [0] * 5)))
    display.flush()


def _is_outside(window: Any) -> bool:
    tree = window.query_tree()
    return bool(tree.parent == tree.root)


def _has_tray(display: Any) -> bool:
    name = display.intern_atom(f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}")
    return bool(display.get_selection_owner(name))
