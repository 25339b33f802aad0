"""Readers that do not keep up with the audio: what is missing is told, and both files of a recording stay aligned."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

from rtdenoise.live_audio.ends.recorder import Recorder
from rtdenoise.live_audio.ends.taps import Gaps, Tap, TapThread, pull_together
from rtdenoise.live_audio.record import prepare
from rtdenoise.live_audio.shared_memory import Region
from tests.live.harness import plan, running
from tests.live.test_exactness import noise
from tests.live.test_faults import wait_for_line, wait_until
from tests.virtual_card.card import VirtualCard

LIVE = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass", "--input", "mic:virtual"]
RATE, DELAY = 16000, 64


class Stream:
    """A region whose samples say where they belong: noisy p is p, clean p is p - DELAY."""

    def __init__(self) -> None:
        self.region = Region()
        live = self.region.live
        prepare(live, rate=RATE, channels=1, channels_in=1, channels_out=1, hop=16, latency=DELAY)
        live["wait"], live["block"] = 0, 128
        self.rings = self.region.attached_rings()
        live["capacity"] = self.rings["noisy"].shape[0]

    def play(self, n: int) -> None:
        live = self.region.live
        p = np.arange(int(live["n"][0]), int(live["n"][0]) + n)
        for ring, values in (("noisy", p), ("clean", p - DELAY)):
            self.rings[ring][p % self.rings[ring].shape[0], 0] = values
        live["n"] += n
        live["n_in"] += n

    @property
    def n(self) -> int:
        return int(self.region.live["n"][0])


class Overtaken(Tap):
    """While it copies, the audio thread writes on."""

    def peek(self, n):
        half = super().peek(n)
        self.session.play(3 * RATE)
        return np.concatenate([half[:100], super().peek(n)[100:]])


def both(stream, kind=Tap) -> tuple[Tap, Tap]:
    return Tap(stream, "noisy", held=True), kind(stream, "clean", late=True)


def test_what_is_overwritten_before_or_while_it_is_copied_is_left_out_of_both():
    for kind, played in ((Tap, 10 * RATE), (Overtaken, 3 * RATE), (Overtaken, 10 * RATE)):
        stream = Stream()
        stream.play(played)
        missing, (noisy, clean) = pull_together(both(stream, kind), stream.region, stream.n)
        assert_array_equal(noisy[:, 0], np.arange(missing, played - DELAY))
        assert_array_equal(clean, noisy)
        assert missing > 0 and noisy.size > 0


class Kept:
    """A sink that is at first so slow that the ring turns over."""

    def __init__(self, stall=lambda: None) -> None:
        self.pieces, self.missing, self._stall = [], 0, stall

    def write(self, samples, missing=0):
        self._stall()
        self._stall = lambda: None
        self.missing += missing
        self.pieces += [np.zeros((missing, 1), np.float32), samples]


def test_a_sink_that_stalls_does_not_harm_the_other():
    stream = Stream()
    sinks = Kept(lambda: stream.play(20 * RATE)), Kept()
    stream.play(RATE)
    thread = TapThread(zip(both(SimpleNamespace(region=stream.region)), sinks, strict=True), lambda _line: None)
    while not sinks[1].pieces:
        time.sleep(0.01)
    assert thread.finish(20.0) == 0
    noisy, clean = (np.concatenate(sink.pieces)[:, 0] for sink in sinks)
    assert_array_equal(noisy, clean)
    assert noisy.size == stream.n - DELAY
    assert sinks[0].missing == sinks[1].missing > 15 * RATE
    assert_array_equal(noisy[:RATE], np.r_[: RATE - DELAY, [0.0] * DELAY])
    assert noisy[-1] == stream.n - DELAY - 1


def test_what_is_left_of_a_stream_that_ended_comes_before_the_next():
    first, second = Stream(), Stream()
    session, sink = SimpleNamespace(region=first.region), Kept(lambda: time.sleep(0.3))
    first.play(1000)
    thread = TapThread([(Tap(session, "noisy"), sink)], lambda _line: None)
    time.sleep(0.15)
    first.play(500)
    second.play(200)
    session.region = second.region
    assert thread.finish(20.0) == 0
    assert_array_equal(np.concatenate(sink.pieces)[:, 0], np.r_[:1500, :200])


def test_gaps_in_quick_succession_are_told_once():
    told: list[str] = []
    gaps = Gaps("{missing} at {at}", told.append)
    for at in range(5):
        gaps.add(0.5, at)
    assert told == ["0.50 at 0.0"]
    gaps.tell()
    assert told == ["0.50 at 0.0", "2.00 at 1.0"]
    assert gaps.seconds == 2.5


@contextmanager
def started(*arguments: str, **options):
    process = subprocess.Popen([*LIVE, "--json", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    try:
        wait_for_line(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_process_that_was_stopped_records_silence_for_that_time_and_ends_with_1(server, tmp_path):
    with VirtualCard(server.name) as card:
        card.set_idle(noise(1.0, card.rate))
        with started("--output", "speaker:virtual", "--record", str(tmp_path)) as process:
            wait_until(lambda: sum(p.stat().st_size > 3 * card.rate for p in tmp_path.rglob("*.part")) == 2, 20)
            process.send_signal(signal.SIGSTOP)
            time.sleep(6.0)
            process.send_signal(signal.SIGCONT)
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            out, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"the disk or this process did not keep up" in told
    missing = round(json.loads(out.splitlines()[-1])["recording_missing_seconds"] * card.rate)
    assert missing > card.rate
    noisy, clean = (soundfile.read(path, dtype="float32")[0] for path in sorted(tmp_path.iterdir(), reverse=True))
    assert noisy.size == clean.size
    whole = slice(1000, -1000)  # start and end are faded
    assert_array_equal(noisy[whole], clean[whole])
    assert np.count_nonzero(noisy == 0.0) == pytest.approx(missing, abs=card.rate // 20)
    period = card.rate
    again = noisy[1000:9000], noisy[1000 + noisy.size // period * period - 2 * period :][:8000]
    assert_array_equal(*again, "the time axis is kept")


def pipe_report(told: bytes) -> dict:
    return json.loads(next(line for line in told.splitlines() if line.startswith(b'{"state": "summary"')))


def read_late(server, seconds: float, *, after: float) -> tuple[dict, int, bytes]:
    """What a run of so many seconds reported, the samples that its late reader got, and what was told."""
    with (
        VirtualCard(server.name),
        started("--output", "-", "--duration", str(seconds), pipesize=4096) as process,
    ):
        time.sleep(after)
        out, told = process.communicate(timeout=30)
    assert process.returncode == 0
    return pipe_report(told), len(out) // 2, told


def test_a_reader_that_comes_late_gets_all_of_a_run_that_ends_by_itself(server):
    report, read, _ = read_late(server, 1.5, after=4.0)
    assert report["output_missing_seconds"] == 0.0
    assert 0 <= report["n"] - read < 1000, "but for the delay"


def test_a_reader_that_is_too_slow_is_told_what_was_left_out(server):
    report, read, told = read_late(server, 7, after=6.0)
    missing = round(report["output_missing_seconds"] * server.rate)
    assert b"the reader of standard output is too slow" in told
    assert missing > server.rate
    assert 0 <= report["n"] - read - missing < 1000


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_pipe_that_nobody_reads_is_given_up_and_that_is_told(server, by_signal):
    with VirtualCard(server.name), started("--output", "-", "--duration", "2", pipesize=4096) as process:
        if by_signal:
            time.sleep(1.0)
            process.send_signal(signal.SIGTERM)
        lines = process.stderr.read()
        assert process.wait(10) == 0
    assert b"the reader of standard output is too slow" in lines
    assert pipe_report(lines)["output_missing_seconds"] > 0.3


def test_recordings_of_one_second_into_one_folder_are_all_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr("rtdenoise.live_audio.ends.recorder.time.strftime", lambda _form: "20260101-120000")
    told: list[str] = []
    with VirtualCard(server.name), running(plan("bypass")) as live:
        recorders = [Recorder(live.session, tmp_path, told.append) for _ in range(3)]
        for recorder in recorders:
            recorder.start()
        time.sleep(1.0)
        (tmp_path / "20260101-120000-1-bypass.wav").write_text("of somebody else")
        for recorder in recorders:
            recorder.stop()
    assert told == [] and not any(recorder.failed for recorder in recorders)
    found = {path.name for path in tmp_path.iterdir()}
    stems = ["20260101-120000", "20260101-120000-2", "20260101-120000-3"]
    assert found == {f"{stem}-{role}.wav" for stem in stems for role in ("noisy", "bypass")} | {
        "20260101-120000-1-bypass.wav"
    }
    assert (tmp_path / "20260101-120000-1-bypass.wav").read_text() == "of somebody else"
