"""A real tray on a virtual screen takes the icon, real clicks switch a session, and the items of its menu work."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtdenoise.tray.shown import LIVE, NONE, ORIGINAL
from tests.live.panels import until
from tests.live.test_control import connected
from tests.live.test_control import session as live
from tests.virtual_card.card import VirtualCard

INSTEAD = "; `rtdenoise panel` shows and controls the session in your browser\n"
DRIVEN = """
import json, sys, threading
from pathlib import Path
import pystray
from rtdenoise.tray.icon import Tray
from rtdenoise.tray.x11 import stay_docked

def shown(menu):
    return {item.text: [item.checked, item.enabled, item.default, shown(item.submenu) if item.submenu else None]
            for item in menu if item is not pystray.Menu.SEPARATOR}

def drive(tray):
    for line in sys.stdin:
        menu = tray.icon.menu
        *submenus, name = line.rstrip().split("/")
        for submenu in submenus:
            menu = next(item.submenu for item in menu if item.text == submenu)
        if name:
            next(item for item in menu if item.text == name)(tray.icon)
        print(json.dumps(shown(tray.icon.menu) | {"title": tray.icon.title}), flush=True)

tray = Tray(pystray, Path(sys.argv[1]), lambda line: print(line, file=sys.stderr, flush=True))
stay_docked(tray.icon)
threading.Thread(target=drive, args=(tray,), daemon=True).start()
tray.run()
"""
"""An icon whose menu, which trays of X11 do not show, is used by lines: an item's name, or none to look."""


class Screen:
    """A display that nobody sees."""

    def __init__(self, name: str) -> None:
        from Xlib.display import Display

        self.display = Display(name)
        self.root = self.display.screen().root

    def has_tray(self) -> bool:
        return bool(self.display.get_selection_owner(self.display.intern_atom("_NET_SYSTEM_TRAY_S0")))

    def icon(self) -> Any:
        """The window of an icon that is in the tray and can be seen, or None."""
        from Xlib.error import XError
        from Xlib.X import IsViewable

        todo = [(self.root, 0)]
        while todo:
            window, depth = todo.pop()
            with contextlib.suppress(XError):  # it has gone in between
                todo += [(child, depth + 1) for child in window.query_tree().children]
                inside = depth > 1 and (window.get_wm_class() or ("",))[0] == "rtdenoiseSystemTrayIcon"
                if inside and window.get_attributes().map_state == IsViewable:
                    return window
        return None

    def title(self) -> str:
        icon = self.icon()
        return "" if icon is None else str(icon.get_wm_name())

    def brightness(self) -> float:
        """Of the icon as it is on the screen, 0 to 255."""
        from Xlib.X import ZPixmap

        icon = until(self.icon)
        size = icon.get_geometry()
        data = icon.get_image(0, 0, size.width, size.height, ZPixmap, 0xFFFFFFFF).data
        return float(np.frombuffer(data, np.uint8).reshape(-1, 4)[:, :3].mean())

    def click(self) -> None:
        """Move the pointer over the icon; press and release its first button."""
        from Xlib.ext.xtest import fake_input
        from Xlib.X import ButtonPress, ButtonRelease, MotionNotify

        place = self.icon().translate_coords(self.root, 0, 0)  # where the root's corner is, seen from the icon
        fake_input(self.display, MotionNotify, x=-place.x + 8, y=-place.y + 8)
        for event in (ButtonPress, ButtonRelease):
            fake_input(self.display, event, 1)
        self.display.sync()


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process, ended at the end."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def screen(monkeypatch) -> Iterator[Screen]:
    for program, package in (("Xvfb", "xvfb"), ("trayer", "trayer")):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: apt install {package}")
    pytest.importorskip("Xlib", reason="needs pip install 'rtdenoise[tray]'")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "400x300x24", "-nolisten", "tcp"]
    with os.fdopen(reading, encoding="ascii") as told, running(command, pass_fds=[writing], stderr=subprocess.DEVNULL):
        os.close(writing)
        name = f":{told.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        monkeypatch.setenv("PYSTRAY_BACKEND", "xorg")
        found = Screen(name)
        yield found
        found.display.close()


@pytest.fixture
def trayer(screen) -> Iterator[None]:
    with tray_of(screen):
        yield


@contextlib.contextmanager
def tray_of(screen: Screen) -> Iterator[None]:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(["trayer", "--edge", "top", "--widthtype", "request"], **silent):
        until(screen.has_tray)
        yield


def tray(path: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "rtdenoise", "tray", "--control", str(path), *more]


def test_the_icon_shows_a_session_that_comes_changes_and_ends_and_clicks_switch_it(server, screen, tmp_path):
    path = tmp_path / "live.sock"
    with VirtualCard(server.name), running(tray(path, "--wait", "60"), stderr=subprocess.PIPE) as icon, tray_of(screen):
        until(lambda: screen.title() == "rtdenoise: no session")
        nothing = screen.brightness()
        with live(path) as process, connected(path) as control:
            bypass = lambda: control.ask("status")["status"]["bypass"]  # noqa: E731
            until(lambda: re.fullmatch(r"rtdenoise: WF, \d+ ms", screen.title()))
            until(lambda: screen.brightness() < nothing - 30.0)
            screen.click()
            until(lambda: screen.title() == "rtdenoise: original")
            assert bypass()
            until(lambda: screen.brightness() > nothing + 30.0)
            screen.click()
            until(lambda: screen.title().startswith("rtdenoise: WF"))
            assert not bypass()
            control.ask("set", method="SS")
            until(lambda: screen.title().startswith("rtdenoise: SS"))
            icon.send_signal(signal.SIGSTOP)
            control.ask("quit")
            assert process.wait(60) == 0
            icon.send_signal(signal.SIGCONT)
        until(lambda: screen.title() == "rtdenoise: no session")
        until(lambda: abs(screen.brightness() - nothing) < 1.0)
        with live(path) as process:
            until(lambda: screen.title().startswith("rtdenoise: WF"))
            process.kill()
        until(lambda: screen.title() == "rtdenoise: no session")
        icon.send_signal(signal.SIGTERM)
        assert icon.wait(30) == 0
        until(lambda: screen.icon() is None)
        note = icon.stderr.read()
        assert note.startswith("rtdenoise: note: menus need PyGObject here") and note.count("\n") == 1, note


class Driven:
    """The icon of `DRIVEN`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def use(self, item: str = "") -> dict[str, Any]:
        """Use an item; the menu afterwards."""
        self.process.stdin.write(item + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the menu is so."""
        until(lambda: condition(self.use()))


@pytest.fixture
def driven(screen, trayer, tmp_path) -> Iterator[Driven]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with running([sys.executable, "-c", DRIVEN, str(tmp_path / "live.sock")], **pipes) as process:
        until(screen.icon)
        yield Driven(process)


def test_the_items_of_the_menu_do_what_they_say(server, driven, tmp_path):
    path = tmp_path / "live.sock"
    off = driven.use()
    assert list(off) == ["Denoise", "Method", "Open the panel", "Stop the session", "Quit", "title"]
    enabled = [name for name, item in off.items() if item[1] is True]
    assert enabled == ["Open the panel", "Quit"] and off["Denoise"] == [False, False, False, None]
    driven.use("Stop the session")
    assert "live.sock: no session listens there" in driven.process.stderr.readline()
    with VirtualCard(server.name), live(path) as process, connected(path) as control:
        status = lambda: control.ask("status")["status"]  # noqa: E731
        driven.until(lambda menu: menu["title"].startswith("rtdenoise: WF"))
        assert driven.use()["Denoise"] == [True, True, True, None]
        assert not driven.use()["Open the panel"][2]
        for on in (False, True):
            driven.use("Denoise")
            driven.until(lambda menu, on=on: menu["Denoise"][0] is on)
            assert status()["bypass"] is not on
        for name in ("CAN", "SS", "WF"):
            driven.use(f"Method/{name}")
            driven.until(lambda menu, name=name: [n for n, item in menu["Method"][3].items() if item[0]] == [name])
            assert status()["method"] == name
        driven.use("Stop the session")
        assert process.wait(60) == 0
    driven.until(lambda menu: menu == off)
    with contextlib.suppress(json.JSONDecodeError):  # it may end before it has answered
        driven.use("Quit")
    assert driven.process.wait(30) == 0


def test_a_click_without_a_session_opens_the_panel_which_goes_on_without_the_icon(
    screen, trayer, tmp_path, monkeypatch
):
    pytest.importorskip("aiohttp", reason="needs pip install 'rtdenoise[panel]'")
    note, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$PPID $1" >"{note}.new" && mv "{note}.new" "{note}"\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with running(tray(tmp_path / "live.sock"), stderr=subprocess.DEVNULL) as icon:
        until(screen.icon)
        screen.click()
        until(note.exists)
        panel, address = note.read_text().split()
        try:
            assert address.startswith("http://127.0.0.1:") and os.getsid(int(panel)) == int(panel)
            icon.send_signal(signal.SIGINT)
            assert icon.wait(30) == 0
            os.kill(int(panel), 0)
        finally:
            os.kill(int(panel), signal.SIGINT)


def test_the_icon_comes_back_with_a_tray_that_ended(screen, tmp_path):
    with running(tray(tmp_path / "live.sock", "--wait", "60"), stderr=subprocess.DEVNULL):
        for _ in range(2):
            with tray_of(screen):
                until(screen.icon)
            until(lambda: not screen.has_tray())


def test_without_a_tray_one_line_says_what_else_there_is(screen, tmp_path):
    done = subprocess.run(tray(tmp_path / "live.sock"), capture_output=True, text=True, check=False, timeout=60)
    message = "rtdenoise: error: there is no tray here: no program on this display takes icons"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message + INSTEAD)


def test_without_a_display_one_line_says_what_else_there_is(tmp_path, monkeypatch):
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always one on this system")
    if find_spec("pystray") is None:  # looking for it does not import it: that needs a display
        pytest.skip("needs pip install 'rtdenoise[tray]'")
    monkeypatch.delenv("DISPLAY", raising=False)
    done = subprocess.run(tray(tmp_path / "live.sock"), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("rtdenoise: error: there is no tray here: ") and done.stderr.endswith(INSTEAD)


def test_the_icons_differ_without_colours_at_the_size_of_a_tray():
    pytest.importorskip("PIL", reason="needs pip install 'rtdenoise[tray]'")
    from rtdenoise.tray.picture import picture

    grey = {s: np.asarray(picture(s).convert("L").resize((16, 16)), np.float32) for s in (LIVE, ORIGINAL, NONE)}
    for one, other in itertools.combinations(grey.values(), 2):
        assert abs(one.mean() - other.mean()) > 30.0
        shapes = [(image > image.mean()) for image in (one, other)]
        assert (shapes[0] != shapes[1]).mean() > 0.1
