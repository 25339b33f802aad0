"""A live session from Python: `rtdenoise.live`."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtdenoise
from rtdenoise.errors import AudioFileError, ConfigError, DeviceError
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

ENDS = {"input": "mic:virtual_microphone", "output": "speaker:virtual_speaker"}


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_session_is_opened_told_what_to_do_and_ended(server, tmp_path):
    with VirtualCard(server.name) as card, rtdenoise.live("bypass", **ENDS) as session:
        card.wait_connected()
        until(lambda: session.status().callbacks > 100)
        status = session.status()
        assert (status.state, status.method, status.bypass, status.rate_hz) == ("running", "bypass", True, server.rate)
        assert status.latency_ms["total"] > 0.0 and status.compute_us["max"] > 0.0
        with pytest.raises(ConfigError, match="method='ML2' must be one of: SS, WF, bypass, CAN"):
            session.method = "ML2"
        session.method = "SS"
        until(lambda: session.status().method == "SS")
        assert not session.bypass
        session.attenuation_limit_db = 12
        assert session.attenuation_limit_db == pytest.approx(12.0, abs=1e-3)
        session.attenuation_limit_db = None
        assert session.attenuation_limit_db is None
        session.bypass = True
        with session.record(tmp_path / "takes") as recording:
            assert session.status().recording
            with pytest.raises(ConfigError, match=r"a recording into .*takes is being made; stop it first"):
                session.record(tmp_path)
            card.play_record(noise(0.5, card.rate))
        assert recording.failed == "" and not session.status().recording
        assert not session.wait(0.05)
    frames = {soundfile.info(path).frames for path in (tmp_path / "takes").iterdir()}
    assert len(frames) == 1 and frames.pop() >= 0.5 * server.rate
    assert session.status().state == "finished" and session.wait(0.0)
    ended = "the live session has ended; rtdenoise.live"
    for name, value in (("method", "SS"), ("bypass", False), ("attenuation_limit_db", 3)):
        with pytest.raises(DeviceError, match=ended):
            setattr(session, name, value)
    with pytest.raises(DeviceError, match=ended):
        session.record(tmp_path / "late")
    with pytest.raises(DeviceError, match=ended):
        session.open()
    assert not (tmp_path / "late").exists()


def test_a_file_is_played_to_its_end_and_the_microphone_written_to_a_file(server, tmp_path):
    samples = noise(1.0, server.rate)
    soundfile.write(tmp_path / "in.wav", samples, server.rate, subtype="FLOAT")
    with VirtualCard(server.name):
        with rtdenoise.live("bypass", input=tmp_path / "in.wav", output=ENDS["output"]) as session:
            assert session.wait(60.0)
            assert session.status().missing_samples == 0
        with rtdenoise.live("bypass", input=ENDS["input"], output=tmp_path / "out.wav") as session:
            until(lambda: session.status().callbacks > 100)
        assert soundfile.info(tmp_path / "out.wav").frames > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("there.wav", "there.wav: exists"), ("no/out.wav", "its folder does not exist"), ("a.xyz", "xyz")],
)
def test_a_file_that_cannot_be_written_is_refused_before_any_device_is_looked_for(tmp_path, name, message):
    (tmp_path / "there.wav").touch()
    with pytest.raises(AudioFileError, match=message):
        rtdenoise.live("bypass", input="no such microphone", output=tmp_path / name).open()


def test_what_fails_at_the_start_is_raised_at_the_start(server, tmp_path):
    with VirtualCard(server.name):
        with pytest.raises(DeviceError, match="no input device '97'"), rtdenoise.live(input=97):
            pass
        with pytest.raises(AudioFileError, match=r"nothing\.wav"), rtdenoise.live(input=tmp_path / "nothing.wav"):
            pass


def test_an_error_of_the_program_is_not_hidden_and_what_was_heard_is_kept(server, tmp_path):
    session = rtdenoise.live("bypass", input=ENDS["input"], output=tmp_path / "out.wav")
    with VirtualCard(server.name), pytest.raises(ZeroDivisionError), session:
        until(lambda: session.status().callbacks > 20)
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["out.wav"]
    assert soundfile.info(tmp_path / "out.wav").frames > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input": None}, "input=None: name a microphone or a file; only output may be None"),
        ({"input": "-"}, "input='-' is for the command line; here push chunks through rtdenoise.stream"),
        ({"input": Path("a.wav"), "output": Path("b.wav")}, "live audio needs a microphone or a speaker"),
        ({"method": "wiener"}, "wiener"),
        ({"channels": 0}, "channels=0 must be from 1"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message) as error:
        rtdenoise.live(**arguments)
    assert "\n" not in str(error.value)


def test_a_session_that_is_not_open_says_how_to_open_it():
    session = rtdenoise.live()
    with pytest.raises(DeviceError, match="not open: use it in a `with` statement, or call open"):
        session.status()
    with pytest.raises(ConfigError, match="method='ML2' must be one of: SS, WF, bypass, CAN"):
        session.method = "ML2"
    with pytest.raises(ConfigError, match="attenuation_limit_db=-3 must be from 0 to 100 dB, or None"):
        session.attenuation_limit_db = -3
    session.close()


def test_a_busy_program_does_not_disturb_it(server):
    with VirtualCard(server.name) as card, rtdenoise.live("WF", **ENDS) as session:
        card.wait_connected()
        until(lambda: session.status().callbacks > 100)
        before, end = session.status(), time.monotonic() + 1.0
        while time.monotonic() < end:
            np.sort(list(range(20_000)))
        after = session.status()
    assert after.callbacks > before.callbacks and after.lost_samples == before.lost_samples
