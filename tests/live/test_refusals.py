"""What a live command line refuses before any device is opened, and callers that are no ordinary terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace

import pytest

from rtdenoise.config import load_settings
from rtdenoise.live_audio.plan import LivePlan
from tests.virtual_card.card import VirtualCard

LIVE = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass"]
BY_SHELL = f"{sys.executable} -m rtdenoise live --method bypass --duration 1 "


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--output", "x.xyz"], 1, "the suffix '.xyz' names no audio format"),
        (["--output", "x.wav", "--monitor-only"], 2, "leave --output out"),
        (["--duration", "nan"], 2, "'nan' is not a number of seconds"),
        (["--every", "nan"], 2, "'nan' is not a number of seconds"),
        (["--duration", "inf"], 2, "'inf' is not a number of seconds"),
    ],
)
def test_refused_in_one_line_without_devices(options, code, message, tmp_path):
    environment = os.environ | {"JACK_DEFAULT_SERVER": "nobody", "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [*LIVE, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code and message in done.stderr
    assert done.stderr.strip().count("\n") == 0 and not list(tmp_path.iterdir())


def test_a_session_that_cannot_begin_leaves_no_folder_for_its_recordings(tmp_path):
    environment = os.environ | {"JACK_DEFAULT_SERVER": "nobody", "JACK_NO_START_SERVER": "1"}
    done = subprocess.run(
        [*LIVE, "--input", "mic:of nobody", "--record", "takes/today", "--duration", "1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("rtdenoise: error: ")
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


def test_sound_does_not_go_to_a_terminal():
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            [*LIVE, "--output", "-"], stdout=follower, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 2 and "standard output is a terminal" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(server, closed):
    with VirtualCard(server.name):
        done = subprocess.run(["sh", "-c", BY_SHELL + closed], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ended" not in done.stderr


def test_a_job_in_the_background_does_not_touch_the_terminal(server):
    leader, follower = pty.openpty()
    session = (
        "import fcntl, os, subprocess, sys, termios\n"
        "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "job = subprocess.Popen(sys.argv[1:], process_group=0)\n"
        "sys.exit(os.waitpid(job.pid, os.WUNTRACED)[1])\n"
    )
    command = [*LIVE, "--input", "mic:virtual", "--output", "speaker:virtual", "--duration", "2", "--every", "1"]
    try:
        with VirtualCard(server.name):
            done = subprocess.run(
                [sys.executable, "-c", session, *command],
                stdin=follower,
                stdout=follower,
                stderr=follower,
                check=False,
                timeout=120,
            )
        told = os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 0, "not stopped for touching it"
    assert told.count("budget used") >= 2, "lines in place of the screen"


def test_without_a_terminal_nothing_is_in_the_foreground():
    done = subprocess.run(
        [sys.executable, "-c", "from rtdenoise.cli.live.terminal import in_foreground as f; print(f())"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_names_of_devices_are_whole_in_a_pipe_and_on_a_narrow_terminal(server):
    with VirtualCard(server.name):
        for columns in ("80", "200"):
            listed = subprocess.run(
                [sys.executable, "-m", "rtdenoise", "devices"],
                env=os.environ | {"COLUMNS": columns}, capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            assert "virtual_microphone" in listed and "virtual_speaker" in listed
            assert "…" not in listed


@pytest.mark.parametrize(
    ("mode", "channels", "engine"), [("linked", 2, False), ("each", 2, True), ("downmix", 2, True), ("each", 1, False)]
)
def test_channels_that_share_no_gain_run_in_the_engine(mode, channels, engine):
    settings = load_settings(method="WF", preset="low", overrides={"channel_mode": mode})
    live = LivePlan(settings=settings, channels=channels)
    assert live.uses_engine is engine
    assert not replace(
        live, settings=load_settings(method="bypass", preset="low", overrides={"channel_mode": mode})
    ).uses_engine
