"""Help, version, the list of methods, the demonstration, and how little is imported for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtdenoise
from rtdenoise.cli.app import app
from rtdenoise.config import METHODS, preset_names
from rtdenoise.demo.noise import room_noise
from rtdenoise.evaluate.measures.metrics import si_sdr_db
from rtdenoise.methods.can.models import model_names
from rtdenoise.methods.can.streaming import build_can
from rtdenoise.streaming.rate import RateAdapter, band_hz
from tests.cli.conftest import names

HEAVY = {"numpy", "numba", "scipy", "soundfile", "matplotlib", "tensorflow", "llvmlite", "sounddevice"}


def test_help_loads_nothing_heavy():
    code = (
        "import sys, rtdenoise.cli.entry as e\n"
        "for arguments in (['--help'], ['demo', '--help'], ['methods', '--help'], ['--version'], []):\n"
        "    assert e.run(arguments) == 0, arguments\n"
        "print(sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.strip("[]\n").replace("'", "").split(", "))
    assert "click" in loaded and not loaded & HEAVY
    assert f"rtdenoise {rtdenoise.__version__}\n" in done.stdout


def test_every_command_is_a_module_and_is_described(call):
    from rtdenoise.cli import commands

    names = sorted(path.stem for path in Path(commands.__file__).parent.rglob("*.py") if path.stem != "__init__")
    shown = call("--help").out
    for name in names:
        command = app.get_command(None, name)
        assert f"\n  {name} " in shown and command.help
    assert app.list_commands(None) == names and {"demo", "methods"} <= set(names)


def test_methods_lists_what_can_be_chosen(call):
    listing = json.loads(call("methods", "--json").out)
    assert list(listing["methods"]) == list(METHODS)
    assert list(listing["presets"]) == preset_names()
    delays = [preset["delay_ms"] for preset in listing["presets"].values()]
    assert delays == sorted(delays, reverse=True) and delays[-1] == 4.0
    shown = call("methods").out
    for key in ("noise.tracker", "wiener.rule", "attenuation_limit_db", "framing.span_seconds"):
        assert f"  {key} " in shown
    assert "quality" in shown and "32.0 ms" in shown


def test_listed_delays_are_those_of_the_streams(call):
    presets = json.loads(call("methods", "--json").out)["presets"]
    for name in ("low", "quality"):
        stream = rtdenoise.stream("WF", sample_rate=16000, preset=name)
        assert presets[name]["delay_ms"] == (stream.latency_samples + stream.hop) / 16
        assert presets[name]["hop_ms"] == stream.hop / 16


def test_listed_networks_are_there_with_their_delays(call):
    networks = json.loads(call("methods", "--json").out)["networks"]
    assert set(networks) == set(model_names())
    for name, listed in networks.items():
        can = build_can(name)
        assert listed["delay_ms"] == (can.latency_samples + can.hop) / 16 and listed["hop_ms"] == can.hop / 16
    ultra = rtdenoise.stream("CAN", sample_rate=16000, preset="ultra")
    assert (ultra.latency_samples + ultra.hop) / 16 == networks["can-ultra"]["delay_ms"] == 8.0


def test_listed_figures_at_48_khz_are_those_of_denoisers_there(call):
    listing = json.loads(call("methods", "--json").out)
    for name in ("low", "ultra"):
        listed, stream = listing["presets"][name]["at_48_khz"], rtdenoise.stream("WF", sample_rate=48000, preset=name)
        assert listed["delay_ms"] == (stream.latency_samples + stream.hop) / 48 == listing["presets"][name]["delay_ms"]
        assert listed["band_hz"] == 24000.0
    for name, network in listing["networks"].items():
        listed, inner = network["at_48_khz"], build_can(name, sample_rate=48000)
        there = inner if inner.sample_rate == 48000 else RateAdapter(inner, 48000)
        assert listed["delay_ms"] == pytest.approx((there.latency_samples + there.hop) / 48)
        assert listed["hop_ms"] == there.hop / 48 and listed["band_hz"] == band_hz(there)
        assert (listed["delay_ms"] == network["delay_ms"]) == (network["sees"] == "spectra")


def test_the_list_of_methods_fits_into_100_columns(call):
    shown = call("methods").out
    assert max(map(len, shown.splitlines())) <= 100
    assert (
        "  can-live                       16.0 ms  8.0 ms  16.0 ms   24 kHz  256 + 32 x 32 channels, spectra\n" in shown
    )
    assert "  germain2018-causal              8.0 ms  8.0 ms  11.2 ms  7.2 kHz  64 channels, samples\n" in shown


def test_demo_in_an_empty_folder(call, tmp_path):
    done = call("demo")
    assert done.code == 0
    files = ["clean.wav", "demo.png", "denoised.wav", "noisy.wav"]
    assert names(tmp_path / "rtdenoise-demo") == files
    assert (tmp_path / "rtdenoise-demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    for text in ("waiting for what comes next    8.0", "together                      16.0", "p99", "%\n", "SI-SDR"):
        assert text in done.out

    again = json.loads(call("demo", "--json", "--preset", "low", "--method", "SS").out)

    assert again["folder"] == "rtdenoise-demo-2" and (again["method"], again["preset"]) == ("SS", "low")
    clean, noisy, denoised = (
        soundfile.read(tmp_path / "rtdenoise-demo-2" / name, dtype="float32")[0] for name in (
            "clean.wav", "noisy.wav", "denoised.wav")
    )  # fmt: skip
    assert again["si_sdr_before_db"] == pytest.approx(si_sdr_db(clean, noisy), abs=0.02)
    assert again["si_sdr_after_db"] == pytest.approx(si_sdr_db(clean, denoised), abs=0.02)
    assert again["si_sdr_after_db"] > again["si_sdr_before_db"] + 2.0
    whole = rtdenoise.denoise(noisy, 16000, "SS", preset="low")
    np.testing.assert_allclose(denoised, whole, atol=2e-4)  # both files are rounded to 16 bits
    assert again["latency_ms"] == {"algorithm": 4.0, "hop": 4.0, "total": 8.0}
    compute, budget = again["compute_us"], again["budget_percent"]
    assert 0 < compute["p50"] <= compute["p99"] <= compute["max"]
    assert budget["p99"] == pytest.approx(compute["p99"] / 4000 * 100, rel=0.05)
    assert again["hops"] == -(-(len(noisy) + 64) // 64)


def test_demo_says_something_before_it_loads_anything_heavy(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "rtdenoise", "demo", "--method", "bypass"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
    before = told[: told.index("rtdenoise: note: preparing the demonstration")]
    assert "click" in before and not {"numpy", "numba", "rich.console", "soundfile"} & set(before.split())
    assert {"numpy", "rich.console"} <= set(told.split())


def test_demo_never_overwrites_unasked(call, tmp_path):
    assert call("demo", "-o", "here", "-a", "bypass").code == 0
    before = (tmp_path / "here" / "denoised.wav").read_bytes()
    refused = call("demo", "-o", "here", "-a", "WF")
    assert refused.code == 1 and "--overwrite replaces it" in refused.err
    assert (tmp_path / "here" / "denoised.wav").read_bytes() == before
    assert call("demo", "-o", "here", "-a", "WF", "--overwrite").code == 0
    assert (tmp_path / "here" / "denoised.wav").read_bytes() != before
    assert "rtdenoise: error: /proc/none: cannot be made" in call("demo", "-o", "/proc/none").err
    assert call("demo", "-a", "bypass").code == call("demo", "-a", "bypass", "--overwrite").code == 0
    assert names(tmp_path) == ["here", "rtdenoise-demo"]


def test_demo_noise_comes_from_its_seed():
    first, again, other = (room_noise(16000, 16000, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other) and np.sqrt(np.mean(first**2)) == pytest.approx(1.0)


def test_slow_preparation_is_announced_once_and_quick_preparation_not(capsys, monkeypatch, tmp_path):
    import time

    from rtdenoise.cache import entries
    from rtdenoise.cli.console import Preparing, stderr_console

    monkeypatch.setattr(entries, "_this", entries._ThisProcess())
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    with Preparing(stderr_console(quiet=False), "WF") as preparing:
        preparing.done()
        time.sleep(0.9)
    with Preparing(stderr_console(quiet=False), "WF"):
        time.sleep(1.0)  # a slow import or a slow disk, but nothing to compile
    assert capsys.readouterr().err == ""
    entries.find("compiled code")
    with Preparing(stderr_console(quiet=False), "WF"):
        time.sleep(1.6)
    assert capsys.readouterr().err == (
        "rtdenoise: note: preparing WF: the first use after an installation compiles it for this machine\n"
    )
    with Preparing(stderr_console(quiet=True), "WF"):
        time.sleep(1.0)
    assert capsys.readouterr().err == ""


def test_a_long_preparation_shows_a_bar_and_the_time_on_a_terminal(monkeypatch, tmp_path):
    import io
    import time

    from rich.console import Console

    from rtdenoise.cache import entries
    from rtdenoise.cli.console import Preparing

    monkeypatch.setattr(entries, "_this", entries._ThisProcess())
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path))
    entries.find("compiled code")
    screen = io.StringIO()
    with Preparing(Console(file=screen, force_terminal=True, width=80), "WF"):
        time.sleep(2.0)
    assert "\u2501" in screen.getvalue()
    assert "0:00:01" in screen.getvalue()


def test_preparation_promises_no_second_start_where_nothing_can_be_kept(capsys, monkeypatch, tmp_path):
    import time

    from rtdenoise.cache import entries
    from rtdenoise.cli.console import Preparing, stderr_console

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(entries, "_this", entries._ThisProcess())
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    entries.find("compiled code")
    with Preparing(stderr_console(quiet=False), "WF"):
        time.sleep(1.0)
    assert capsys.readouterr().err == "rtdenoise: note: preparing WF: compiling it for this machine\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--channels", "2"), "--channels 2: a number is for live audio"),
        (("--block", "128"), "--block is for live audio: give it with --input mic"),
        (("--live-channels", "2"), "--live-channels is for live audio"),
        (("--channels", "both"), "'both' is not one of linked, each, downmix, or a number from 1 to 8"),
    ],
)
def test_options_of_live_audio_mean_nothing_for_files_and_are_refused(call, arguments, message):
    done = call("--input", "noisy.wav", *arguments)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--plot",), ("--jobs", "2"), ("--rate", "8000"), ("--pipe-channels", "2")])
def test_options_of_files_mean_nothing_for_live_audio_and_are_refused(call, arguments):
    done = call("--input", "mic", *arguments)
    assert done.code == 2 and f"{arguments[0]} is for files and pipes" in done.err and done.err.count("\n") == 1


def test_a_network_is_chosen_by_its_own_options(call, make):
    make("noisy.wav")
    done = call("-f", "noisy.wav", "--model", "can-small", "--engine", "litert", "--device", "cpu", "--json")
    found = json.loads(done.out)
    assert done.code == 0 and found["method"] == "CAN"
    assert (found["network"], found["engine"]) == ("can-small", "litert")
    keys = ("--set", "can.model=can-small", "--set", "can.engine=litert")
    by_key = call("-f", "noisy.wav", "-a", "CAN", *keys, "-o", "other.wav")
    assert ", CAN can-small (litert), " in by_key.out
    assert by_key.code == 0 and Path("other.wav").read_bytes() == Path("noisy_CAN_denoised.wav").read_bytes()
    for arguments, message in (
        (("-a", "SS", "--model", "can-small"), "--model is for networks: --method CAN, not SS"),
        (("--device", "gpu"), "--engine tf"),
        (("--set", "can.model="), "must be the name or the folder of a network"),
    ):
        done = call("-f", "noisy.wav", "-o", "third.wav", *arguments)
        assert done.code and message in done.err and done.err.count("\n") == 1


def test_ctrl_c_while_the_command_line_is_imported_is_one_line():
    code = (
        "import sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'click':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "from rtdenoise.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) in (
        (130, "rtdenoise: note: interrupted\n"),
        (-2, "rtdenoise: note: interrupted\n"),
    )
