"""What live audio says by itself: channels and latencies that do not fit, damaged files, what is missing, its load."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from rtdenoise.cli.live.options import LiveOptions
from rtdenoise.cli.live.run import LiveRun
from rtdenoise.cli.live.stop_signals import StopSignals
from rtdenoise.cli.live.wording import adaptation_notes, line
from rtdenoise.cli.options import MethodOptions, Options
from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.monitor import Monitor
from rtdenoise.live_audio.record import LIVE, histogram_value_ns
from rtdenoise.live_audio.supervise.processor import Processor
from tests.live.harness import device, plan, running
from tests.live.test_exactness import noise
from tests.live.test_screen import row, screen_of, stream
from tests.virtual_card.card import VirtualCard

ROOT = [sys.executable, "-m", "rtdenoise"]
ORDINARY = ("preparing", "granted", "was not granted")


def called(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ROOT, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False)


def notes(*arguments: object) -> list[str]:
    """What a moment of bypass says beside what it always says."""
    done = called("live", "--method", "bypass", "--duration", "0.4", *arguments)
    assert done.returncode == 0, done.stderr
    told = [text.removeprefix("rtdenoise: note: ") for text in done.stderr.splitlines() if "rtdenoise: note: " in text]
    return [text for text in told if not any(word in text for word in ORDINARY)]


MONO = ("--input", "mic:virtual", "--output", "speaker:virtual")
STEREO = ("--input", "mic:system", "--output", "speaker:system")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (MONO, []),
        ((*STEREO, "--channels", "2"), []),
        (
            ("--input", "mic:virtual", "--output", "speaker:system"),
            ["'system' has 2 channels: the voice is played on both"],
        ),
        (
            ("--input", "mic:system", "--output", "speaker:virtual"),
            ["'system' has 2 channels, of which 1 is used; --channels 2 keeps all"],
        ),
        (
            ("--input", "mic:virtual", "--output", "speaker:system", "--channels", "2"),
            ["--channels 2: 'virtual_microphone' has 1 channel, which is in all of them; use --channels 1"],
        ),
        (
            ("--input", "mic:system", "--output", "speaker:virtual", "--channels", "2"),
            ["--channels 2: 'virtual_speaker' has 1 channel, so they are mixed; use --channels 1"],
        ),
        ((*MONO, "--latency", "safe"), ["--latency safe changes nothing on JACK"]),
    ],
)
def test_what_does_not_fit_is_one_line_with_a_remedy(server, options, told):
    with VirtualCard(server.name):
        said = notes(*options)
    assert len(said) == len(told)
    assert all(text.startswith(words) for text, words in zip(said, told, strict=True)), said


def test_a_stereo_file_on_a_mono_speaker_is_one_line(server, tmp_path):
    soundfile.write(tmp_path / "in.wav", np.stack([noise(0.5, server.rate)] * 2, 1), server.rate)
    with VirtualCard(server.name):
        mixed = notes("--input", tmp_path / "in.wav", "--output", "speaker:virtual")
        both = notes("--input", tmp_path / "in.wav", "--output", "speaker:system", "--channels", "2")
    assert mixed == ["'in.wav' has 2 channels, mixed to one; --channels 2 keeps all"]
    assert both == []


def test_latency_that_changes_nothing_is_as_low_and_an_engine_gets_its_hops():
    """On JACK; a host that listens to it is not spoken of."""
    opened = Opened(source=device("mic", host_api="JACK Audio Connection Kit"))
    inside = [plan("WF", latency=latency) for latency in ("low", "safe", 0.1)]
    assert [len(adaptation_notes(each, opened, None)) for each in inside] == [0, 1, 1]
    engine = [plan("WF", latency=latency, engine_always=True) for latency in ("low", "safe", 0.1)]
    assert [len(adaptation_notes(each, opened, None)) for each in engine] == [0, 0, 1]
    assert adaptation_notes(plan("WF", latency="safe"), Opened(source=device("mic", host_api="ALSA")), None) == []


def test_channels_without_end_are_a_servers_and_no_misfit():
    opened = Opened(source=device("default", 64, 64), target=device("default", 64, 64))
    assert adaptation_notes(plan("WF"), opened, None) == []


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
@pytest.mark.parametrize("command", [(), ("live",)])
def test_a_damaged_file_is_played_as_far_as_it_goes_and_ends_with_1(server, tmp_path, command, quiet):
    source = tmp_path / "in.flac"
    soundfile.write(source, noise(3.0, server.rate), server.rate)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with VirtualCard(server.name):
        options = ("--input", source, "--output", "speaker:virtual", "--method", "bypass", "--json", *quiet)
        done = called(*command, *options)
    assert done.returncode == 1
    assert json.loads(done.stdout)["n"] >= 16384, "what libsndfile gives of it"
    assert done.stderr.count("ends after 1.28 s of 3.00 s; the rest is missing") == 1
    assert not quiet or done.stderr.count("\n") == 1


def test_a_file_of_which_nothing_can_be_read_is_an_error(server, tmp_path):
    source = tmp_path / "in.flac"
    soundfile.write(source, noise(1.0, server.rate), server.rate)
    whole = source.read_bytes()
    source.write_bytes(whole[:100] + bytes(len(whole) - 100))
    with VirtualCard(server.name):
        done = called("--input", source, "--output", "speaker:virtual", "--method", "bypass")
    assert done.returncode == 1
    assert done.stderr.startswith("rtdenoise: error: ") and done.stderr.count("\n") == 1
    assert "it cannot be decoded" in done.stderr


def test_the_name_of_a_microphone_is_told_from_a_file_that_is_not_there(server, tmp_path):
    with VirtualCard(server.name):
        for name, words in (
            (
                "virtual_mic",
                "virtual_mic: no such file; the microphone 'virtual_microphone' is --input 'mic:virtual_mic'",
            ),
            ("JACK", "several microphones are called so"),
            ("nobody", "nobody: no such file; a microphone is mic:NAME"),
        ):
            done = called("--input", name)
            assert (done.returncode, done.stderr.count("\n")) == (1, 1)
            assert words in done.stderr
        for name in ("talk.wav", tmp_path / "talk"):
            assert called("--input", name).stderr == f"rtdenoise: error: {name}: no such file\n"


def test_the_last_line_says_what_is_missing(server, capsys):
    method = MethodOptions(method="bypass", preset=None, config=None, overrides={})
    options = Options(source="mic", target="speaker", method=method, live=LiveOptions(duration=0.3))
    with VirtualCard(server.name), StopSignals() as stop:
        run = LiveRun(plan("bypass"), options, stop)
        try:
            run.live.recorder.missing_seconds = 1.25
            assert run.drive() == 0
        finally:
            run.close()
    assert capsys.readouterr().err.splitlines()[-1].endswith("lost 0  missing in the recording 1.25 s")


def test_lost_samples_are_told_in_seconds_too():
    monitor = Monitor()
    monitor.open(stream(), Opened())
    report = {**monitor.total(), "rate_hz": 16000.0}
    assert line(report).endswith("lost 0")
    assert line({**report, "lost": 4000}).endswith("lost 4000 (0.25 s)")


def test_the_longest_time_is_told_as_it_was_measured():
    """Also of a stream before; a histogram tells it to 2 %."""
    monitor = Monitor()
    for longest_ns in (123_456, 98_765):
        live = stream()
        monitor.open(live, Opened())
        live["compute_histogram"][0, 120] = 4
        live["callbacks"], live["compute_sum_ns"], live["compute_max_ns"] = 4, 4 * 98_000, longest_ns
    report = monitor.total()
    assert report["compute_us"]["max"] == 123.5
    assert report["compute_us"]["mean"] == 98.0
    assert report["compute_us"]["p50"] == pytest.approx(histogram_value_ns(120) / 1e3, abs=0.1)
    assert report["budget_used_percent"]["max"] == pytest.approx(100 * 123.5 / 8000, abs=0.01)
    assert "max 1.5 %" in line(report)


BURN = "import time\nwhile time.process_time() < 0.5: pass\nprint('done', flush=True)\ninput()"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells of other processes")
def test_processor_time_is_that_of_all_processes():
    processor, began = Processor(), time.monotonic()
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"done\n"
        percent, seconds = processor.percent(), time.monotonic() - began
        child.communicate(b"\n")
    assert processor.whole
    assert percent * seconds / 100 > 0.45
    assert processor.percent() >= 0.0, "a child that ended is not counted backwards"


def test_processor_time_of_a_moment_is_not_taken_for_a_share_of_it():
    """A screen that was only just opened said 688 % of a core."""
    processor = Processor()
    processor._used -= 1.0
    assert processor.percent() == 0.0
    processor._at -= 1.0
    assert 50.0 < processor.percent() == processor.percent()


def test_the_screen_tells_budget_from_processor_and_no_noise_reduction_in_bypass(server, tmp_path):
    with VirtualCard(server.name) as card, running(plan("WF")) as live, screen_of(live.session, tmp_path) as screen:
        card.set_idle(noise(1.0, card.rate))
        monitor = live.session.monitor
        live.wait(lambda: monitor.noise_reduction_db() is not None, 30.0)
        screen.update(time.monotonic())
        assert "% of a core" in row(screen, "CPU")
        assert "% of a block's time used" in row(screen, "budget")
        assert " dB (" in row(screen, "noise")
        screen.press("b")
        assert row(screen, "noise").split()[1] == "-"
        n = int(live.session.region.live["n"][0])
        live.wait(lambda: int(live.session.region.live["n"][0]) > n + 2 * card.rate, 30.0)
        assert row(screen, "noise").split()[1] == "-"
        screen.press("b")
        assert row(screen, "noise").split()[1] == "-", "nothing of before the bypass"
        live.wait(lambda: monitor.noise_reduction_db() is not None, 30.0)


@pytest.mark.parametrize(("field", "value"), [("rule", 1), ("gain_min", 0.5), ("share_target", 1.0)])
def test_levels_of_another_method_or_limit_are_forgotten(field, value):
    monitor, live = Monitor(), np.zeros(1, LIVE)
    live["rate"], live["block"], live["channels"], live["wet_target"] = 16000, 128, 1, 1.0
    monitor.open(live, Opened())
    monitor._path = ()
    monitor.update()
    monitor._levels.extend([(-40.0, -60.0)] * 20)
    assert monitor.noise_reduction_db() == 20.0
    live[field] = value
    monitor.update()
    assert monitor.noise_reduction_db() is None
