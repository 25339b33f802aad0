"""The virtual microphone among others: how desktops show it, and that a session never hears itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rtdenoise.live_audio.ends import virtual_microphone
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from tests.live.test_faults import wait_until
from tests.live.test_virtual_microphone import desktop, recorder_of

__all__ = ["desktop"]

# PipeWire 0.3.65 stops a graph with two clocks once in a while on a busy machine: the next server has another chance
pytestmark = pytest.mark.flaky(reruns=4)

DUPLEX = """
import sounddevice, time
with sounddevice.Stream(samplerate=44100, channels=1, callback=lambda i, o, n, t, s: o.fill(0)):
    time.sleep(600)
"""


@contextmanager
def playing() -> Iterator[tuple[VirtualMicrophone, int]]:
    """The microphone, and a process that records the default source and plays into it as a session's does."""
    with VirtualMicrophone() as microphone, subprocess.Popen([sys.executable, "-c", DUPLEX]) as process:
        try:
            wait_until(lambda: microphone.attach(process.pid), 30.0)
            yield microphone, process.pid
        finally:
            process.kill()


def heard_by(desktop, process: int) -> set[str]:
    """Names of the sources that a process records."""
    names = dict(line.split("\t")[:2] for line in desktop.pactl("list", "short", "sources").splitlines())
    streams = virtual_microphone._streams_of(process, "source-outputs", "Source")
    return {names.get(number, "nothing") for number in streams.values()}


def led_to(desktop, microphone: VirtualMicrophone, process: int, names: set[str]) -> None:
    """A server takes its time to move a stream, and may forget it meanwhile: a session looks every three seconds."""

    def looked() -> bool:
        microphone.attach(process)
        return heard_by(desktop, process) == names

    wait_until(looked, 10.0)


def make_default(desktop, name: str) -> None:
    desktop.pactl("set-default-source", name)
    wait_until(lambda: f"Default Source: {name}\n" in desktop.pactl("info"), 10.0)
    time.sleep(1.0)


def another_microphone(desktop, name: str) -> None:
    desktop.pactl("load-module", "module-remap-source", "master=room.monitor", f"source_name={name}")
    wait_until(lambda: name in desktop.names("sources"), 10.0)


def test_desktops_show_it_by_name_and_icon(desktop):
    with VirtualMicrophone():
        entries = desktop.pactl("list", "sources").split("Source #")
        shown = next(entry for entry in entries if re.search(r"Name: rtdenoise$", entry, re.MULTILINE))
        assert "Description: rtdenoise microphone\n" in shown
        assert re.search(r'device\.icon_name = "audio-input-microphone"', shown)
        if desktop.kind == "pipewire":
            dumped = json.loads(subprocess.run(["pw-dump"], capture_output=True, check=True, timeout=20).stdout)
            nodes = [item["info"]["props"] for item in dumped if item["type"].endswith(":Node")]
            node = next(props for props in nodes if props.get("node.name") == "rtdenoise")
            assert node["node.description"] == node["node.nick"] == "rtdenoise microphone"
            assert node["device.icon-name"] == node["media.icon-name"] == "audio-input-microphone"
            assert node["media.class"] == "Audio/Source" and node["node.virtual"] is True


def test_made_the_default_it_does_not_hear_itself(desktop):
    with playing() as (microphone, process):
        assert heard_by(desktop, process) == {"mic"}
        make_default(desktop, "rtdenoise")
        led_to(desktop, microphone, process, {"mic"})
        with recorder_of("rtdenoise") as recorder:
            assert len(recorder.stdout.read(4096)) == 4096, "others hear it"


def test_it_follows_a_new_default_and_comes_back_to_it(desktop):
    with playing() as (microphone, process):
        another_microphone(desktop, "headset")
        for default, heard in (
            ("headset", "headset"),
            ("rtdenoise", "headset"),
            ("mic", "mic"),
            ("headset", "headset"),
        ):
            make_default(desktop, default)
            led_to(desktop, microphone, process, {heard})


def test_the_default_already_when_it_starts_it_hears_the_real_one(desktop):
    with playing():
        make_default(desktop, "rtdenoise")
    with playing() as (microphone, process):  # a session manager remembers what was chosen
        led_to(desktop, microphone, process, {"mic"})


def test_neither_volume_nor_place_of_an_earlier_session_comes_back(desktop):
    if desktop.kind != "pipewire":
        pytest.skip("PulseAudio is told the place by name")
    with playing() as (_, process):
        for number in virtual_microphone._streams_of(process, "sink-inputs", "Sink"):
            desktop.pactl("set-sink-input-volume", number, "20%")
        time.sleep(2.0)  # until it is remembered
    with playing() as (_, process):
        (number,) = virtual_microphone._streams_of(process, "sink-inputs", "Sink")
        assert "100%" in virtual_microphone.entries("sink-inputs")[number]
