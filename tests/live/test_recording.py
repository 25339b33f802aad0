"""Recordings in a bad world: a folder that may not be written, a disk that is full, a device at another rate."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from rtdenoise.cli.live.screen import Screen
from rtdenoise.live_audio.controls import Mark
from rtdenoise.live_audio.ends.recorder import Recorder, _Take
from rtdenoise.sound.encoding import Encoding
from rtdenoise.sound.writer import Target
from tests.live import lowered
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

needs_limits = pytest.mark.skipif(sys.platform != "linux", reason="limits and capabilities of Linux")
RECORD = """
from rtdenoise.cli.entry import run
arguments = ["live", "--input", "mic:virtual", "--output", "speaker:virtual", "--method", "bypass", "--quiet"]
sys.exit(run([*arguments, "--duration", "0.5", "--record", folder]))
"""


@contextmanager
def files_of_at_most(n_bytes: int):
    """A disk that is full, for this process."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@needs_limits
def test_a_folder_that_may_not_be_written_is_an_error_also_when_quiet(server, tmp_path):
    folder = tmp_path / "takes"
    folder.mkdir(mode=0o500)
    with VirtualCard(server.name):
        done = lowered.run(f"import sys; folder = {json.dumps(str(folder))}" + RECORD)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(folder) in line and "--record" in line
    assert list(folder.iterdir()) == []


@needs_limits
def test_what_was_recorded_before_the_disk_was_full_is_kept(server, tmp_path):
    told: list[str] = []
    with VirtualCard(server.name) as card, running(plan("bypass")) as live:
        card.set_idle(noise(4.0, card.rate))
        recorder = Recorder(live.session, tmp_path, told.append)
        screen = Screen(live.session, lambda: None, recorder, lambda: Mark(0.0, ""))
        try:
            with files_of_at_most(4 * 16000):
                recorder.start()
                live.wait(lambda: not recorder.running, 20.0)
                assert "recording" not in str(screen.render().renderables[0])
            (line,) = told
            assert "the recording" in line and "file too large" in line and "are kept" in line
            assert recorder.failed == line
            recorder.start()
            live.wait(lambda: recorder.running, 30.0)
            recorder.stop()
            assert recorder.failed == line, "a later one that goes well does not mend it"
        finally:
            screen.close()
    enhanced, noisy = (soundfile.read(path, dtype="float32")[0] for path in sorted(tmp_path.iterdir())[:2])
    assert noisy.size == enhanced.size > 0.8 * 16000
    np.testing.assert_array_equal(noisy, enhanced)
    assert np.abs(noisy[-1600:]).max() > 0.01


@needs_limits
@pytest.mark.parametrize("full_for", [0, 1])
def test_both_files_end_with_the_same_sample_whichever_is_refused(server, tmp_path, full_for):
    block = noise(0.05, 16000)[:, None]
    with VirtualCard(server.name), running(plan("bypass")) as live:
        take = _Take(live.session, tmp_path, lambda _line: None)
        for side in (0, 1, 0, 1):
            take.write(side, block)
        if full_for == 1:
            take.write(0, block)
        with files_of_at_most(4 * 2 * block.size + 200):
            take.write(full_for, block)
        take.close()
    assert "its 0.1 s until then are kept" in take.failed
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(soundfile.read(path, dtype="float32")[0], np.tile(block[:, 0], 2))
    assert len(list(tmp_path.iterdir())) == 2


def test_another_rate_begins_another_pair_of_files(server_of, tmp_path):
    server = server_of(realtime=False)
    told: list[str] = []
    with running(plan("bypass", source="mic", target="speaker")) as live:
        recorder = Recorder(live.session, tmp_path, told.append)
        recorder.start()
        time.sleep(1.2)
        server.kill()
        live.wait(lambda: live.session.state == "waiting", 30.0)
        server.rate = 48000
        server.start()
        live.wait(lambda: live.session.state == "running", 240.0)
        time.sleep(1.2)
        assert recorder.running
        recorder.stop()
        assert recorder.failed == ""
    (line,) = told
    assert "48000 Hz" in line
    found = [soundfile.info(path) for path in sorted(tmp_path.iterdir())]
    assert [info.samplerate for info in found] == [16000, 16000, 48000, 48000]
    for pair in (found[:2], found[2:]):
        assert pair[0].frames == pair[1].frames
        assert 0.5 < pair[0].duration < 30.0


def test_a_disk_that_is_slower_than_the_end_of_a_recording_harms_nothing(server, tmp_path):
    """Samples that come after the files were closed are nobody's: neither an error nor another pair of files."""
    block = noise(0.05, 16000)[:, None]
    with VirtualCard(server.name), running(plan("bypass")) as live:
        take = _Take(live.session, tmp_path, lambda _line: None)
        take.write(0, block)
        take.write(1, block)
        take.close()
        take.write(0, block)
    assert take.failed == ""
    assert [soundfile.info(path).frames for path in tmp_path.iterdir()] == [block.size] * 2


@pytest.mark.parametrize("container", ["WAV", "RF64"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_write_that_is_taken_back_leaves_what_was_before(tmp_path, container, channels):
    path = tmp_path / "take.wav"
    blocks = np.random.default_rng(0).normal(0.0, 0.1, (3, 1001, channels)).astype(np.float32)
    with Target(path, Encoding(container, "FLOAT", "FILE", 16000, channels, 0.0), {}, overwrite=False) as target:
        for block in blocks:
            target.write(block)
        assert target.take_back() == ""
        assert target.n_written == 2002
    read, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(read, blocks[:2].reshape(-1, channels))
