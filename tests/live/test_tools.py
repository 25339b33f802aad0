"""The commands around a live session: devices, latency, doctor, the screen, taps and files."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import find_device, list_devices, sane_latency
from rtdenoise.live_audio.audio.loopback import chirp, find_chirp, measure
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.monitor import Monitor
from rtdenoise.live_audio.record import HISTOGRAM_BINS, LIVE, histogram_value_ns, percentile_ns
from tests.live.harness import device, plan, running
from tests.live.test_exactness import noise
from tests.virtual_card.card import VirtualCard

DEVICES = [
    device("USB Mic", index=0),
    device("USB Mic Pro", index=1, default=True),
    device("Speaker", 0, 2, index=2),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [("mic", 1), ("mic:usb mic", 0), ("USB Mic Pro", 1), ("pro", 1), ("0", 0), ("mic:usb pro alsa", 1), ("MIC", 1)],
)
def test_names_find_devices(wanted, index):
    assert find_device(DEVICES, wanted, "input").index == index


@pytest.mark.parametrize("wanted", ["usb", "pro usb", "7", "mic:speaker"])
def test_ambiguous_or_unknown_names_list_what_there_is(wanted):
    with pytest.raises(DeviceError, match=r"0: USB Mic \(ALSA\)"):
        find_device(DEVICES, wanted, "input")


def test_no_device_is_an_error_with_a_remedy():
    with pytest.raises(DeviceError, match="rtdenoise devices"):
        find_device(DEVICES[2:], "mic", "input")


def test_latency_of_a_day_is_not_believed():
    assert sane_latency(89478.485) == 0.0
    assert sane_latency(0.012) == 0.012


def test_percentiles_of_a_histogram():
    histogram = np.zeros(HISTOGRAM_BINS, np.int64)
    histogram[100], histogram[200] = 99, 1
    assert percentile_ns(histogram, 0.5) == histogram_value_ns(100)
    assert percentile_ns(histogram, 0.99) == histogram_value_ns(100)
    assert percentile_ns(histogram, 1.0) == histogram_value_ns(200)
    assert percentile_ns(np.zeros_like(histogram), 0.5) == 0.0


def test_reports_hold_the_histogram_of_their_own_span():
    live = np.zeros(1, LIVE)
    live["rate"], live["block"], live["channels"] = 16000, 128, 1
    monitor = Monitor()
    monitor.open(live, Opened())
    live["compute_histogram"][0, [100, 200]] = 3, 1
    first = monitor.interval()["compute_histogram_us"]
    live["compute_histogram"][0, 100] += 2
    assert [count for _, count in first] == [3, 1]
    assert [count for _, count in monitor.interval()["compute_histogram_us"]] == [2]
    total = monitor.total()["compute_histogram_us"]
    assert [count for _, count in total] == [5, 1]
    assert total[0][0] == pytest.approx(histogram_value_ns(100) / 1e3, abs=0.01)


def lost_by(lead_of_the_clock, *, told=True) -> int:
    """What the monitor counts when the device's clock is so many samples ahead of what came."""
    live = np.zeros(1, LIVE)
    live["rate"], live["block"], live["channels"], live["channels_in"] = 16000, 128, 1, 1
    monitor = Monitor()
    monitor.open(live, Opened())
    for block in range(3000):
        seconds = (block * 128 + lead_of_the_clock(block * 128 / 16000)) / 16000
        live["callbacks"], live["n"] = block + 2, block * 128
        live["adc_seconds"], live["last_ns"] = (7.0 + seconds if told else 0.0), int((seconds + 1.0) * 1e9)
        live["first_ns"] = int(1e9)
        monitor.update()
    return monitor.lost


@pytest.mark.parametrize("told", [True, False])
def test_monitor_counts_samples_that_never_came(told):
    assert lost_by(lambda t: 4000.0 * (t > 8.0), told=told) == pytest.approx(4000, abs=128)
    assert lost_by(lambda t: 4000.0 * (t > 8.0) + 900.0 * (t > 14.0), told=told) == pytest.approx(4900, abs=256)


def test_monitor_counts_nothing_where_a_late_server_catches_up_or_clocks_differ():
    assert lost_by(lambda t: 4000.0 * np.exp(t and 8.0 - t) * np.cos(2.0 * (t - 8.0)) * (t > 8.0)) == 0
    assert lost_by(lambda t: 2e-4 * 16000 * t) == 0
    assert lost_by(lambda t: -2e-4 * 16000 * t) == 0


def test_chirp_is_found_in_noise_and_nothing_is_found_without():
    sent = chirp(16000)
    heard = np.random.default_rng(1).normal(0, 0.02, 40000).astype(np.float32)
    assert find_chirp(heard, sent, 1000) is None
    heard[1000 + 321 : 1000 + 321 + sent.size] += 0.1 * sent
    assert find_chirp(heard, sent, 1000) == 321


def test_loopback_measures_the_virtual_cable(server):
    """JACK's dummy card does not loop by itself: a wire between its ports does."""
    with VirtualCard(server.name) as card:
        card.set_feedback(1.0)
        trip = measure("virtual_microphone", "virtual_speaker")
    assert len(set(trip.samples)) == 1, "one clock: the same every time"
    assert 0 < trip.samples[0] <= 8 * card.period


def test_loopback_without_a_cable_says_so(server):
    with VirtualCard(server.name), pytest.raises(DeviceError, match="did not hear"):
        measure("virtual_microphone", "virtual_speaker")


def test_devices_are_listed_by_their_names(server):
    with VirtualCard(server.name):
        listed = list_devices()
        done = subprocess.run(
            [sys.executable, "-m", "rtdenoise", "devices", "--json"], capture_output=True, text=True, check=True
        )
    names = {d.name for d in listed}
    assert {"virtual_microphone", "virtual_speaker"} <= names
    assert {d["name"] for d in json.loads(done.stdout)} == names


def test_recording_and_file_are_aligned_and_of_equal_length(server, tmp_path):
    with VirtualCard(server.name) as card:
        card.set_idle(noise(4.0, card.rate))
        live = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass", "--input", "mic:virtual", "--quiet"]
        target = tmp_path / "out.wav"
        subprocess.run(
            [*live, "--output", str(target), "--record", str(tmp_path / "takes"), "--duration", "2"],
            check=True,
            timeout=120,
        )
    noisy_path, clean_path = sorted((tmp_path / "takes").iterdir())
    noisy, rate = soundfile.read(noisy_path, dtype="float32")
    clean, _ = soundfile.read(clean_path, dtype="float32")
    faded = int(0.06 * rate)
    assert noisy.size == clean.size
    n = noisy.size - 4 * 160  # the end is faded out
    assert n > 1.5 * rate
    np.testing.assert_array_equal(clean[faded:n], noisy[faded:n])
    written, _ = soundfile.read(target, dtype="float32")
    np.testing.assert_allclose(written[faded:n], noisy[faded:n], atol=2.0**-23)


def test_as_many_channels_as_asked_for_are_processed(server, tmp_path):
    with VirtualCard(server.name):
        live = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass", "--input", "mic:virtual", "--quiet"]
        for number, option in enumerate(("--channels", "--live-channels")):
            target = tmp_path / f"{number}.wav"
            subprocess.run([*live, option, "2", "--output", target, "--duration", "0.5"], check=True, timeout=120)
            assert soundfile.info(target).channels == 2


def test_file_is_played_whole_and_the_session_ends(server, tmp_path):
    source = tmp_path / "in.wav"
    soundfile.write(source, noise(1.0, server.rate), server.rate, subtype="FLOAT")
    with VirtualCard(server.name):
        live = [sys.executable, "-m", "rtdenoise", "live", "--method", "bypass", "--input", str(source), "--json"]
        done = subprocess.run(
            [*live, "--output", "speaker:virtual"], capture_output=True, text=True, check=True, timeout=120
        )
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["n"] >= server.rate
    assert summary["missing"] == 0


def test_limiter_keeps_bursts_under_the_ceiling(server):
    with VirtualCard(server.name) as card, running(plan("bypass")) as live:
        card.wait_connected()
        heard = card.play_record(8.0 * noise(0.5, card.rate), fast=True)
        limited, ceiling = int(live.session.region.live["limited"][0]), live.session.region.live["ceiling"][0]
    assert abs(heard).max() <= ceiling * np.float32(1 + 1e-6)
    assert limited > 0


def test_keys_change_what_is_heard(server, tmp_path):
    from rtdenoise.cli.live.screen import Screen
    from rtdenoise.live_audio.controls import Mark
    from rtdenoise.live_audio.ends.recorder import Recorder

    with VirtualCard(server.name) as card, running(plan("WF")) as live:
        card.wait_connected()
        pressed: list[str] = []
        recorder = Recorder(live.session, tmp_path / "takes", pressed.append)
        screen = Screen(live.session, lambda: pressed.append("quit"), recorder, lambda: Mark(1.0, ""))
        record = live.session.region.live
        try:
            screen.press("b")
            live.wait(lambda: record["weight"][0] == 0.0, 30.0)
            screen.press("b")
            live.wait(lambda: record["weight"][0] == 1.0, 30.0)
            gain_min = float(record["gain_min"][0])
            screen.press("+")
            assert float(record["gain_min"][0]) < gain_min
            screen.press("r")
            time.sleep(0.5)
            assert recorder.running
            screen.press("r")
            assert not recorder.running
            screen.press("m")
            assert "marked 1.0 s" in str(screen.render().renderables[-1])
            screen.press("q")
            assert pressed == ["quit"]
        finally:
            screen.close()
    noisy, enhanced = (soundfile.read(path)[0] for path in sorted((tmp_path / "takes").iterdir(), reverse=True))
    assert noisy.size == enhanced.size > 0.2 * 16000


def test_virtual_microphone_without_a_desktop_names_the_remedy(monkeypatch):
    monkeypatch.setattr(
        "rtdenoise.live_audio.ends.virtual_microphone.shutil", SimpleNamespace(which=lambda _name: None)
    )
    with pytest.raises(DeviceError, match="pulseaudio-utils"), VirtualMicrophone():
        pass


@pytest.mark.parametrize(("system", "driver"), [("darwin", "BlackHole"), ("win32", "VB-CABLE")])
def test_virtual_microphone_elsewhere_names_the_driver_and_how_to_use_it(monkeypatch, system, driver):
    monkeypatch.setattr("rtdenoise.live_audio.ends.virtual_microphone.sys", SimpleNamespace(platform=system))
    with pytest.raises(DeviceError, match=f"install {driver}.*--output speaker:.*pick"), VirtualMicrophone():
        pass


@pytest.mark.flaky(reruns=2)  # JACK does not answer within the eight seconds of a query where it stalls (test_crashes)
def test_doctor_reports_and_tells_scripts(server):
    command = [sys.executable, "-m", "rtdenoise", "doctor", "--method", "WF", "--seconds", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    findings = {f["name"]: f for f in json.loads(done.stdout)}
    assert findings["devices"]["state"] == "ok", findings["devices"]
    assert findings["streams"]["state"] == "ok" and "0 samples lost" in findings["streams"]["found"]
    assert "method WF" in findings
    assert done.returncode == int(any(f["state"] == "failed" for f in findings.values()))
    assert all(f["remedy"] for f in findings.values() if f["state"] != "ok")
