"""What is kept of a panel's choices, and in which form they go to a session."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdenoise.cli.app import app
from rtdenoise.errors import ConfigError
from rtdenoise.live_audio.audio.devices import Device
from rtdenoise.live_audio.device_names import is_live
from rtdenoise.panel.choices import USUAL, as_options, checked_choices, microphone_of, networks, ways
from rtdenoise.panel.memory import Memory


def device(index: int, name: str, host: str = "ALSA", *, inputs: int = 1, default: bool = False) -> Device:
    return Device(
        index=index,
        name=name,
        host_api=host,
        channels_in=inputs,
        channels_out=2,
        rate_hz=48000,
        latency_in_seconds=0.0,
        latency_out_seconds=0.0,
        default_input=default,
        default_output=default,
    )


def test_each_microphone_has_its_own_settings_and_the_last_ones_are_for_a_new_one(tmp_path):
    memory = Memory(tmp_path / "new/panel.json")
    assert memory.choices == USUAL and memory.of("headset") == {}
    memory.note({"method": "SS", "attenuation_limit_db": 12}, "headset")
    memory.note({"input": "mic:webcam"}, "webcam")
    memory.note({"preset": "ultra"}, "webcam")
    again = Memory(tmp_path / "new/panel.json")
    assert again.of("headset") == {"method": "SS", "preset": "low", "model": "can-live", "attenuation_limit_db": 12}
    assert again.of("webcam") == {"method": "SS", "preset": "ultra", "model": "can-live"}, "a preset has its own limit"
    assert again.choices == USUAL | {"method": "SS", "preset": "ultra", "input": "mic:webcam"}
    assert again.microphones == ["headset", "webcam"] and not again.keep
    again.forget("headset")
    again.set_keep(True)
    third = Memory(tmp_path / "new/panel.json")
    assert third.microphones == ["webcam"] and third.keep


@pytest.mark.parametrize("content", ["", "[", "[]", '{"choices": 1}', '{"microphones": {"x": 3}}', "\xff"])
def test_a_damaged_file_is_replaced(tmp_path, content):
    path = tmp_path / "panel.json"
    path.write_bytes(content.encode("latin-1"))
    memory = Memory(path)
    assert memory.choices == USUAL
    memory.note({"mix": 0.5}, "")
    assert json.loads(path.read_text())["choices"] == USUAL | {"mix": 0.5} and memory.complaint == ""


def test_what_is_not_valid_any_more_is_left_out(tmp_path):
    path = tmp_path / "panel.json"
    kept = {"choices": {"model": "gone", "mix": 0.5, "x": 1}, "microphones": {"a": {"preset": "/etc", "method": "SS"}}}
    path.write_text(json.dumps(kept))
    memory = Memory(path)
    assert memory.choices == USUAL | {"mix": 0.5} and memory.of("a") == {"method": "SS"}


def test_a_folder_that_cannot_be_written_is_told_and_nothing_else_fails(tmp_path):
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file/panel.json")
    memory.note({"mix": 0.5}, "headset")
    assert memory.choices["mix"] == 0.5 and memory.complaint.startswith("your settings are not kept: ")


def test_devices_of_equal_names_are_told_apart_and_the_default_is_known():
    devices = [
        device(0, "Headset", default=True),
        device(1, "Webcam"),
        device(2, "Webcam", "JACK"),
        device(3, "Speaker", inputs=0),
    ]
    assert [way["value"] for way in ways(devices, "input")] == ["mic:Headset", "mic:Webcam, ALSA", "mic:Webcam, JACK"]
    assert [way["value"] for way in ways(devices, "output")][-1] == "speaker:Speaker"
    assert microphone_of("mic", devices) == "Headset" and microphone_of("mic:Webcam, JACK", devices) == "Webcam"
    assert microphone_of("mic:gone", devices) == "" == microphone_of("mic", [])


def test_choices_become_options_that_exist():
    live = app.get_command(None, "live")
    choices = USUAL | {"method": "CAN", "attenuation_limit_db": None, "mix": 0.5, "input": "mic:-x"}
    options = as_options(choices)
    assert "--attenuation-limit=100.0" in options and "--model=can-live" in options
    context = live.make_context("live", options)
    assert (context.params["source"], context.params["attenuation_limit"]) == ("mic:-x", 100.0)
    assert not any(option.startswith("--model") for option in as_options(USUAL)), "it would choose the network"
    assert {"can-live", "can-small"} <= set(networks()) and "germain2018" not in networks()


@given(value=st.one_of(st.text(max_size=300), st.none(), st.integers(), st.lists(st.text(), max_size=2)))
def test_whatever_a_page_calls_a_device_it_is_none_but_a_device(value):
    for name in ("input", "output"):
        try:
            checked_choices({name: value})
        except ConfigError as error:
            assert "\n" not in str(error)
        else:
            assert is_live(value) and "\n" not in value
