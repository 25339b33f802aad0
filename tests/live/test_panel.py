"""A real browser drives the panel of a real session on a virtual card."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("aiohttp", reason="needs pip install 'rtdenoise[panel]'")

from rtdenoise.live_audio.control.client import Control
from tests.live.panels import browser, opened, panel, until
from tests.live.test_control import connected
from tests.live.test_control import session as live
from tests.live.test_exactness import noise
from tests.live.test_virtual_microphone import desktop, talking
from tests.virtual_card.card import VirtualCard

__all__ = ["desktop"]

START_SECONDS = 300.0  # the first use on a machine compiles
PIXELS = "document.querySelector('#%s').toDataURL()"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A user without settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def state(page: Any) -> str:
    return str(page.text_content("#state"))


def start(page: Any) -> None:
    """Choose the virtual card, press Start, and wait for sound."""
    until(lambda: page.locator("#input option").count() > 1)
    page.select_option("#input", "mic:virtual_microphone")
    page.select_option("#output", "speaker:virtual_speaker")
    page.click("#start")
    until(lambda: state(page).startswith("Live"), START_SECONDS)


def changes(page: Any, expression: str) -> bool:
    """Whether the expression gives something else within a second."""
    before, end = page.evaluate(expression), time.monotonic() + 1.0
    while page.evaluate(expression) == before:
        if time.monotonic() > end:
            return False
        time.sleep(0.07)
    return True


def loudness(card: VirtualCard, sound: np.ndarray) -> float:
    """Of what the speaker plays against what the microphone hears, once the method knows the noise."""
    heard = card.play_record(sound)
    half = sound.size // 2
    return float(np.std(heard[half : sound.size]) / np.std(sound[half:]))


def test_the_page_starts_shows_changes_records_plays_and_ends_a_session(server, place, chromium):
    takes = place / "takes"
    with (
        VirtualCard(server.name) as card,
        panel(place / "live.sock", "--recordings", takes) as found,
        opened(chromium, found.address) as page,
    ):
        card.set_idle(noise(1.0, card.rate))
        until(lambda: state(page) == "Off")
        assert not page.is_visible("#stop") and page.locator("#record").is_disabled()
        start(page)
        assert not page.is_visible("#start")
        for side in ("before", "after"):
            assert changes(page, PIXELS % side) and "dBFS" in page.inner_text(f"#{side}-level")
            assert changes(page, f"document.querySelector('#{side}-meter i').style.transform")
        assert float(page.inner_text("#delay").removesuffix(" ms")) > 4.0
        assert page.locator("#delay-parts dt").all_inner_texts()[2] == "method"

        sound = noise(3.0, card.rate)
        assert loudness(card, sound) < 0.5
        page.check("input[name=heard][value=before]", force=True)
        until(lambda: state(page) == "Live, original")
        assert loudness(card, sound) == pytest.approx(1.0, abs=0.01)
        page.keyboard.down("b")
        until(lambda: state(page) == "Live, WF")
        page.keyboard.up("b")
        until(lambda: state(page) == "Live, original")
        page.check("input[name=heard][value=after]", force=True)
        until(lambda: state(page) == "Live, WF")
        box = page.locator("#hold").bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        until(lambda: state(page) == "Live, original")
        page.mouse.up()
        until(lambda: state(page) == "Live, WF")

        with Control(found.socket) as control:
            status = lambda: control.ask("status")["status"]  # noqa: E731
            page.select_option("#method", "SS")
            until(lambda: status()["method"] == "SS")
            page.evaluate("limit.value = 12; limit.dispatchEvent(new Event('input'))")
            until(lambda: status()["attenuation_limit_db"] == pytest.approx(12.0, abs=0.1))
            page.focus("#mix")
            page.keyboard.press("ArrowLeft")
            until(lambda: status()["mix"] == pytest.approx(0.95))
            page.select_option("#preset", "ultra")
            until(lambda: status()["preset"] == "ultra" and status()["state"] == "running")
            page.fill("#mark", "a bus")
            page.click("#mark-form button")
            until(lambda: [mark["text"] for mark in status()["marks"]] == ["a bus"])
            control.ask("set", method="WF")  # another program's changes are shown, too
            until(lambda: page.input_value("#method") == "WF")

        until(lambda: not page.locator("#record").is_disabled())
        page.click("#record")
        until(lambda: page.inner_text("#record") == "Stop recording")
        time.sleep(1.0)
        page.click("#record")
        until(lambda: "recorded" in page.inner_text("#log"))
        assert len(list(takes.glob("*.wav"))) == 2
        until(lambda: page.inner_text("#record") == "Record")
        page.click("#test")
        until(lambda: page.is_visible("#test-progress"))
        until(lambda: page.is_visible("#play"), 30.0)
        before, after = sorted(takes.glob("*.wav"), key=lambda path: path.stat().st_mtime)[-2:]
        assert soundfile.info(before).frames == soundfile.info(after).frames
        assert soundfile.info(before).duration == pytest.approx(10.0, abs=1.0)
        page.click("#play")
        until(lambda: float(page.input_value("#position")) > 0.5)
        page.check("input[name=side][value=before]", force=True)
        assert page.inner_text("#play") == "Stop"
        page.click("#play")
        assert float(page.evaluate("position.max")) == pytest.approx(10.0, abs=1.0)

        page.click("#stop")
        until(lambda: state(page) == "Off")
        assert not found.socket.exists() and page.problems == [] and page.inner_text("#alerts") == ""
        assert not page.is_visible("#trouble")
        assert found.end() == 0 and found.words == []
    kept = json.loads((place / "config/rtdenoise/panel.json").read_text())
    assert kept["choices"]["input"] == "mic:virtual_microphone"
    assert kept["microphones"]["virtual_microphone"]["preset"] == "ultra"


def test_devices_come_and_go_and_each_microphone_has_its_settings(server, place, chromium):
    with panel(place / "live.sock") as found, opened(chromium, found.address) as page:
        with VirtualCard(server.name) as card:
            card.set_idle(noise(1.0, card.rate))
            start(page)
            page.select_option("#method", "SS")
            until(lambda: state(page) == "Live, SS")
        until(lambda: state(page) == "Waiting for the device")
        assert page.locator("#hold").is_disabled()
        with (
            VirtualCard(server.name) as card,
            VirtualCard(server.name, "headset_microphone", "headset_speaker") as other,
        ):
            for each in (card, other):
                each.set_idle(noise(1.0, card.rate))
            until(lambda: state(page) == "Live, SS")
            until(
                lambda: (
                    page.focus("#preset") or page.focus("#input") or "mic:headset_microphone" in values(page, "input")
                )
            )
            page.select_option("#input", "mic:headset_microphone")
            with Control(found.socket) as control:
                status = lambda: control.ask("status")["status"]  # noqa: E731
                until(lambda: status()["devices"]["source"] == "headset_microphone" and status()["state"] == "running")
                page.select_option("#method", "WF")
                until(
                    lambda: (
                        status()["method"] == "WF"
                        and page.inner_text("#remembered") == "Remembered for headset_microphone"
                    )
                )
                page.select_option("#input", "mic:virtual_microphone")
                until(lambda: status()["devices"]["source"] == "virtual_microphone" and status()["method"] == "SS")
                until(lambda: page.inner_text("#remembered") == "Remembered for virtual_microphone")
                page.click("#forget")
                until(lambda: page.inner_text("#remembered") == "")
        assert page.problems == []


def values(page: Any, name: str) -> list[str]:
    return list(page.eval_on_selector_all(f"#{name} option", "all => all.map(each => each.value)"))


def test_two_panels_and_two_pages_show_one_session_and_what_a_page_holds_it_lets_go(server, place, chromium):
    path = place / "live.sock"
    with (
        VirtualCard(server.name) as card,
        live(path, "--recordings", place / "takes") as process,
        panel(path) as one,
        panel(path) as two,
        opened(chromium, one.address) as first,
        opened(chromium, two.address) as second,
    ):
        card.set_idle(noise(1.0, card.rate))
        with opened(chromium, one.address) as third:
            for page in (first, second, third):
                until(lambda page=page: state(page) == "Live, WF", START_SECONDS)
                assert changes(page, PIXELS % "after")
            third.keyboard.down("b")
            for page in (first, second):
                until(lambda page=page: state(page) == "Live, original")
        until(lambda: state(first) == "Live, WF", 10.0)  # the page that held it is closed
        first.select_option("#method", "SS")
        until(lambda: second.input_value("#method") == "SS")
        assert one.end() == 0
        until(lambda: state(first) == "No panel")
        assert "Is rtdenoise panel still running?" in first.inner_text("#alerts")
        assert process.poll() is None and state(second) == "Live, SS", "it was started elsewhere, so it goes on"
        second.click("#stop")
        until(lambda: state(second) == "Off")
        assert process.wait(30) == 0


@pytest.mark.flaky(reruns=4)  # as in test_virtual_microphone
def test_a_killed_session_is_told_with_what_the_doctor_says_and_the_next_takes_its_socket(desktop, place, chromium):
    path = place / "live.sock"
    with panel(path) as found, opened(chromium, found.address) as page:  # JACK may hang where a client is killed
        until(lambda: state(page) == "Off")
        page.click("#start")
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        child = next(int(pid) for pid in children(found.process.pid) if " live " in words(int(pid)))
        os.kill(child, signal.SIGKILL)
        until(lambda: "The session ended without a word" in page.inner_text("#trouble"))
        until(lambda: state(page) == "Off")
        assert path.exists()
        until(lambda: page.locator("#findings li").count() or "fine" in page.inner_text("#trouble-busy"), 200.0)
        page.click("#dismiss")
        assert not page.is_visible("#trouble")
        page.click("#start")
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        with Control(path) as control:
            control.ask("use", input="no such microphone")
        until(lambda: "no input device 'no such microphone'" in page.inner_text("#log"))
        page.click("#stop")
        until(lambda: state(page) == "Off")


def test_a_session_that_cannot_start_is_told_with_what_the_doctor_says(server, place, chromium):
    server.kill()
    with panel(place / "live.sock") as found, opened(chromium, found.address) as page:
        until(lambda: state(page) == "Off")
        page.select_option("#output", "speaker")
        page.click("#start")
        until(lambda: "no input device" in page.inner_text("#trouble-line"), 180.0)
        until(lambda: page.locator("#findings li.failed").count(), 200.0)
        assert "What to do:" in page.inner_text("#findings") and state(page) == "Off"
        assert "trouble" in page.locator("section:has(#findings)").get_attribute("aria-labelledby")


def children(process: int) -> list[str]:
    return [pid for task in Path(f"/proc/{process}/task").iterdir() for pid in (task / "children").read_text().split()]


def words(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")


@pytest.mark.parametrize("keep", [True, False])
def test_the_session_goes_on_or_ends_with_its_panel_as_chosen(server, place, chromium, keep):
    path = place / "live.sock"
    with VirtualCard(server.name), panel(path) as found:
        with opened(chromium, found.address) as page:
            start(page)
            if keep:
                page.check("#keep")
                until(lambda: json.loads((place / "config/rtdenoise/panel.json").read_text())["keep"])
            page.click("#leave")
            assert found.process.wait(30) == 0
        assert path.exists() == keep
        if keep:
            with panel(path) as again, opened(chromium, again.address) as page:
                until(lambda: state(page) == "Live, WF")
                page.click("#stop")
                until(lambda: not path.exists())


def test_a_panel_joins_and_starts_at_once_when_asked(server, place):
    path = place / "live.sock"
    (place / "config/rtdenoise").mkdir(parents=True)
    choices = {"input": "mic:virtual_microphone", "output": "speaker:virtual_speaker", "preset": "nonesuch", "x": 1}
    (place / "config/rtdenoise/panel.json").write_text(json.dumps({"choices": choices}))
    with VirtualCard(server.name), panel(path, "--start") as found, connected(path) as control:
        until(lambda: control.ask("status")["status"]["state"] == "running", START_SECONDS)
        assert control.ask("status")["status"]["preset"] == "low"
        with panel(path, "--start") as other:
            time.sleep(2.0)
            assert other.end() == 0
        assert control.ask("status")["status"]["state"] == "running"
        assert found.end() == 0
    assert not path.exists()


@pytest.mark.flaky(reruns=4)  # as in test_virtual_microphone
def test_on_a_desktop_it_is_one_click_to_a_default_microphone_and_back(desktop, place, chromium):
    default = lambda: desktop.pactl("get-default-source").strip()  # noqa: E731
    with (
        talking(desktop, place),
        panel(place / "live.sock") as found,
        opened(chromium, found.address) as page,
    ):
        until(lambda: state(page) == "Off")
        page.click("#start")
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        assert page.input_value("#output") == "virtual-mic" and "rtdenoise" in desktop.names("sources")
        for side in ("before", "after"):
            assert changes(page, PIXELS % side)
        page.check("#default")
        until(lambda: default() == "rtdenoise")
        time.sleep(4.0)
        assert changes(page, PIXELS % "before"), "it goes on hearing"
        page.click("#stop")
        until(lambda: state(page) == "Off" and default() == "mic")
        page.click("#start")
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        until(lambda: page.locator("#default").is_enabled())
        page.check("#default")
        until(lambda: default() == "rtdenoise")
        child = next(int(pid) for pid in children(found.process.pid) if " live " in words(int(pid)))
        os.kill(child, signal.SIGKILL)
        until(lambda: "the default microphone is mic again" in page.inner_text("#log"))
        assert default() == "mic" and page.problems == []
        until(lambda: page.locator("#start").is_visible())
        page.click("#start")
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        page.select_option("#output", "speaker")  # the microphone goes with its session
        until(lambda: "rtdenoise" not in desktop.names("sources"))
        until(lambda: state(page) == "Live, WF", START_SECONDS)
        assert page.input_value("#output") == "speaker" and page.locator("#default").is_disabled()
