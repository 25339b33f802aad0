"""The programs in examples/ do what their first lines say."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import rtdenoise
from tests.files.conftest import voice
from tests.lab.conftest import data_folder
from tests.live.conftest import server, server_of
from tests.streaming import test_presence as heard
from tests.virtual_card.card import VirtualCard

__all__ = ["data_folder", "server", "server_of"]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def start(name: str, *arguments: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def skip_without(package: str) -> None:
    """The program imports it, in a process of its own: aiortc crashes in one that has loaded TensorFlow."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs pip install 'rtdenoise[{package}]'")


def run(name: str, *arguments: object) -> tuple[int, str, str]:
    with start(name, *arguments) as process:
        out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def test_pushed_chunks_give_what_a_whole_array_gives(tmp_path):
    noisy = voice(20800, 16000, 1)
    soundfile.write(tmp_path / "noisy.wav", noisy, 16000, subtype="FLOAT")
    code, out, err = run("push.py", tmp_path / "noisy.wav", tmp_path / "clean.wav")
    assert (code, err) == (0, "") and out == "1.3 s, 8.0 ms of delay if this were live\n"
    clean, _ = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    expected = rtdenoise.denoise(noisy[:, 0].astype(np.float32), 16000, "WF", preset="low")
    np.testing.assert_allclose(clean, expected, atol=2**-14)  # stored with 16 bits


def test_a_recording_goes_over_in_blocks(tmp_path):
    noisy = voice(20801, 16000, 2)
    soundfile.write(tmp_path / "noisy.wav", noisy, 16000)
    code, out, err = run("over.py", tmp_path / "noisy.wav", tmp_path / "clean.wav")
    assert (code, err) == (0, "") and out == "<Stream: WF low, 16000 Hz, 2 channels, 8.0 ms of delay>\n"
    noisy, _ = soundfile.read(tmp_path / "noisy.wav", dtype="float32")
    clean, _ = soundfile.read(tmp_path / "clean.wav", dtype="float32")
    np.testing.assert_allclose(clean, rtdenoise.denoise(noisy, 16000, "WF", preset="low"), atol=2**-14)


def test_an_effect_gives_the_same_whole_and_in_pieces(tmp_path):
    soundfile.write(tmp_path / "noisy.wav", voice(20801, 16000, 2), 16000)
    code, out, err = run("effect.py", tmp_path / "noisy.wav", tmp_path / "clean.wav")
    assert (code, err) == (0, "") and out == "<Effect: WF low>: 20801 samples, 0.0 apart\n"
    assert soundfile.info(tmp_path / "clean.wav").frames == 20801


def test_speech_is_found_where_it_is(tmp_path):
    soundfile.write(tmp_path / "noisy.wav", heard.NOISY, 16000, subtype="FLOAT")
    code, out, err = run("speech.py", tmp_path / "noisy.wav")
    assert (code, err) == (0, "")
    found = np.zeros(len(heard.SPEECH), bool)
    for since, until in re.findall(r"^(\S+) to (\S+) s$", out, re.MULTILINE):
        found[round(100 * float(since)) : round(100 * float(until))] = True
    assert found[heard.SPEECH].mean() > 0.8 and found[heard.NOISE].mean() < 0.1


def test_the_service_gives_every_sample_back_whatever_the_packets():
    noisy = np.round(voice(16000, 16000, 1)[:, 0] * 2**15).astype("<i2")
    process = start("service.py", 0)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(" ")[2])
        with socket.create_connection(("localhost", port), timeout=60) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start_at in range(0, 2 * len(noisy), 333):  # odd: half a sample at the end of every other packet
                client.sendall(noisy.tobytes()[start_at : start_at + 333])
                time.sleep(0.003)  # so that it arrives alone
            client.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: client.recv(65536), b""))
    finally:
        process.kill()
        process.communicate()
    stream = rtdenoise.stream("WF", sample_rate=16000, preset="low")
    expected = np.concatenate([stream.process(noisy), stream.flush()])[stream.latency_samples :]
    np.testing.assert_array_equal(np.frombuffer(received, "<i2"), expected)


def test_in_a_conference_each_hears_the_others_without_their_noise():
    signals = [np.round(voice(48000, 48000, seed)[:, 0] * 2**14).astype("<i2") for seed in (1, 2)]
    process = start("conference.py", 0, "can-small")
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(" ")[2])
        connect = functools.partial(socket.create_connection, ("localhost", port), timeout=60)
        with connect() as listener:
            for signal in signals:  # one after the other, in the same place
                with connect() as speaker:
                    speaker.sendall(signal.tobytes())
                    speaker.shutdown(socket.SHUT_WR)
                    heard_by_itself = b"".join(iter(functools.partial(speaker.recv, 65536), b""))
                assert not any(heard_by_itself)
            received = np.frombuffer(_all_there(listener), "<i2")
    finally:
        process.kill()
        process.communicate()
    stream = rtdenoise.stream("CAN", sample_rate=48000, model="can-small")
    packet = 2 * stream.hop
    for signal in signals:
        stream.reset()
        whole = signal[: signal.size // packet * packet].astype(np.float32) / 2**15
        expected = np.rint(stream.process(whole) * 2**15).astype("<i2")
        begin = _find(received, expected)
        np.testing.assert_array_equal(received[begin : begin + expected.size], expected)


def _all_there(listener: socket.socket) -> bytes:
    """What a connection has received and not read."""
    listener.settimeout(0.5)
    found = b""
    with contextlib.suppress(TimeoutError):
        while received := listener.recv(65536):
            found += received
    return found


def _find(received: np.ndarray, part: np.ndarray) -> int:
    """Where `part` begins, whose first samples may be silent."""
    first = int(np.flatnonzero(part)[0])
    begins = part[first : first + 200].tobytes()
    return received.tobytes().find(begins) // 2 - first


def test_a_folder_is_done_although_a_file_is_damaged(tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.wav", "b.flac"):
        soundfile.write(source / name, voice(8000, 16000, 1), 16000)
    (source / "c.wav").write_bytes(b"no sound")
    code, out, err = run("folder.py", source, target)
    assert code == 1 and out.count("0.5 s, RTF") == 2
    assert err.startswith(f"{source / 'c.wav'}: ") and err.count("\n") == 1
    assert sorted(path.name for path in target.iterdir()) == ["a.wav", "b.flac"]


def test_live_audio_is_watched(server):
    with VirtualCard(server.name) as card:
        card.set_idle(0.1 * np.sin(np.arange(server.rate) * 0.3).astype(np.float32))
        devices = ("--input", "mic:virtual", "--output", "speaker:virtual")
        code, out, err = run("monitor.py", 4, "--method", "bypass", *devices)
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) >= 3 and lines[-1].startswith("summary: ")
    assert all(re.search(r": -\d.* dBFS, [\d.]+ % of the time there is, \d+ samples lost$", line) for line in lines[1:])


def test_a_session_is_changed_watched_and_recorded(server, tmp_path):
    with VirtualCard(server.name):
        code, out, err = run("session.py", 3, "mic:virtual", "speaker:virtual", tmp_path / "takes")
    assert code == 0, err
    lines = [line for line in out.splitlines() if "ms from input to output" in line]
    assert len(lines) == 3 and lines[0].startswith("WF: ") and lines[-1].startswith("SS: ")
    assert len({soundfile.info(path).frames for path in (tmp_path / "takes").iterdir()}) == 1


@pytest.mark.parametrize(
    ("name", "package"),
    [("agent_pipecat.py", "pipecat"), ("track_livekit.py", "livekit"), ("track_aiortc.py", "aiortc")],
)
def test_frameworks_denoise_a_recording(name, package, tmp_path):
    skip_without(package)
    rate = 48000 if package == "aiortc" else 16000
    noisy = voice(rate, rate, 1)
    soundfile.write(tmp_path / "noisy.wav", noisy, rate, subtype="PCM_16")
    code, out, err = run(name, tmp_path / "noisy.wav", tmp_path / "clean.wav")
    assert code == 0, err
    assert out.endswith(" late\n")
    clean, _ = soundfile.read(tmp_path / "clean.wav")
    assert len(clean) >= 0.9 * rate and 0.0 < np.std(clean) < np.std(noisy)


def test_pipecat_says_when_somebody_speaks(tmp_path):
    skip_without("pipecat")
    samples = np.concatenate([np.zeros(16000), voice(32000, 16000, 1).reshape(-1) * 2.0])
    noise = np.random.default_rng(0).normal(0.0, 0.003, samples.size)
    soundfile.write(tmp_path / "noisy.wav", np.clip(samples + noise, -1.0, 1.0), 16000, subtype="PCM_16")
    code, out, err = run("vad_pipecat.py", tmp_path / "noisy.wav")
    assert code == 0, err
    found = re.fullmatch(r"3\.0 s, somebody speaks in (\d+)% of it\n", out)
    assert found is not None and 15 < int(found[1]) < 85


def test_a_tiny_network_is_trained_and_used(data_folder, tmp_path):
    pytest.importorskip("tensorflow", reason="training needs TensorFlow")
    code, out, err = run("train_tiny.py", data_folder, tmp_path / "tiny", 4)
    assert code == 0, err
    assert "step 4 of 4" in out and "SI-SDR" in out
    assert (tmp_path / "tiny/demo/denoised.wav").is_file()


def test_every_example_is_listed_and_tested():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8")))
    assert all(f'"{name}"' in Path(__file__).read_text(encoding="utf-8") for name in names)
