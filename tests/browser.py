"""A real browser for pages that are made here: Chromium without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ALL_PICTURES = (
    "(async () => { const all = [...document.images]; all.forEach(i => i.loading = 'eager');"
    "await Promise.all(all.map(i => i.decode())); return all.map(i => i.naturalWidth); })()"
)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, list[str]]]:
    """A page in Chromium, and the problems that it has told until now; skips where there is no browser."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium: apt install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="package playwright is not installed")
    problems: list[str] = []
    with sync_api.sync_playwright() as play:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = play.chromium.launch(executable_path=program, args=arguments)
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.goto(path.as_uri())
        yield page, problems
        browser.close()


def lengths_of_sounds(page: Any) -> list[float]:
    """Seconds of every player, once the browser knows them."""
    page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)")
    return list(page.evaluate("[...document.querySelectorAll('audio')].map(a => a.duration)"))


def widths_of_pictures(page: Any) -> list[int]:
    """Pixels of every picture, decoded."""
    return list(page.evaluate(_ALL_PICTURES))


def play_the_first(page: Any) -> None:
    """Play the first sound and wait until it is under way."""
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0.05")


def is_too_wide(page: Any) -> bool:
    """Whether one has to scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
