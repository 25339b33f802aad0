"""Files and folders on the command line: what is printed, written and refused."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import COMMAND, names, start

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_main_job(call, make, tmp_path):
    make(n=48000)
    done = call("--input", "noisy.wav", "--method", "WF")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) == 1 and lines[0].startswith("noisy_WF_denoised.wav: 3.0 s, WF quality, noise -")
    assert soundfile.info(tmp_path / "noisy_WF_denoised.wav").frames == 48000


def test_short_forms_and_output_names(call, make, tmp_path):
    make()
    (tmp_path / "folder").mkdir()
    assert call("-f", "noisy.wav", "-a", "ss", "-o", "clean.flac").code == 0
    assert call("-f", "noisy.wav", "-a", "bypass", "-o", "folder").code == 0
    assert soundfile.info(tmp_path / "clean.flac").format == "FLAC"
    assert (tmp_path / "folder" / "noisy_BYPASS_denoised.wav").is_file()


def test_json_is_the_report_and_nothing_else(call, make):
    make(samples=np.full(3000, np.nan), subtype="FLOAT")
    done = call("-f", "noisy.wav", "--json", "--plot")
    report = json.loads(done.out)
    assert report["non_finite"] == 3000 and report["noise_reduction_db"] is None
    assert report["plot"] == "noisy_WF_denoised.png"
    assert report["latency_ms"]["total"] == 32.0
    assert (
        done.err.splitlines()[-1] == "rtdenoise: warning: noisy.wav: 3000 samples are NaN or infinite; they count as 0"
    )


def test_plot_writes_a_picture_beside_the_output(call, make, tmp_path):
    make(n=100, name="short.wav")
    make(n=1, name="one.wav")
    make(n=32000, channels=2, rate=44100, name="stereo.wav")
    for name in ("short", "one", "stereo"):
        done = call("-f", f"{name}.wav", "-a", "bypass", "--plot", "-o", f"{name}.flac")
        assert (done.code, done.out.splitlines()[-1]) == (0, f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)
    taken = call("-f", "one.wav", "-a", "bypass", "--plot", "-o", "one.wav.flac", "--overwrite")
    assert taken.code == 0
    (tmp_path / "new.png").touch()
    refused = call("-f", "one.wav", "-a", "bypass", "--plot", "-o", "new.wav")
    assert (
        refused.err
        == "rtdenoise: error: new.png: exists already; name another, or replace it (--overwrite, overwrite=True)\n"
    )
    assert not (tmp_path / "new.wav").exists()


def test_parameters_from_the_command_line_a_file_and_a_preset(call, make, tmp_path):
    make(n=48000)
    (tmp_path / "mine.yaml").write_text("preset: low\nattenuation_limit_db: 3\nmethod: SS\n")

    def reduction(*arguments: str) -> tuple[str, str, float]:
        report = json.loads(call("-f", "noisy.wav", "--json", "--overwrite", "-o", "x.wav", *arguments).out)
        return report["method"], report["preset"], report["noise_reduction_db"]

    assert reduction("--config", "mine.yaml")[:2] == ("SS", "low")
    assert reduction("--config", "mine.yaml")[2] <= 3.01
    assert reduction("--config", "mine.yaml", "--attenuation-limit", "0")[2] == pytest.approx(0.0, abs=0.01)
    assert reduction("--config", "mine.yaml", "--set", "attenuation_limit_db=1e0")[2] <= 1.01
    assert reduction("--config", "mine.yaml", "--preset", "quality", "--method", "WF")[:2] == ("WF", "quality")
    assert reduction("--mix", "0")[2] == pytest.approx(0.0, abs=0.01)
    assert reduction("--set", "mix=1", "--mix", "0")[2] == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-f", "nothing.wav"], 1, "nothing.wav: no such file"),
        (["-f", "empty.wav"], 1, "empty.wav: is empty (0 bytes)"),
        (["-f", "text.wav"], 1, "text.wav: not audio that can be read (Format not recognised)"),
        (["-f", "noisy.wav", "-o", "noisy.wav"], 1, "input and output are the same"),
        (["-f", "noisy.wav", "-o", "no/where.wav"], 1, "no/where.wav: cannot be written: no folder no"),
        (["-f", "noisy.wav", "-a", "XX"], 1, "unknown method 'XX'; valid: SS, WF, CAN, bypass"),
        (
            ["-f", "noisy.wav", "--preset", "lows"],
            1,
            "unknown preset 'lows'; valid: quality, balanced, asr, low, ultra",
        ),
        (["-f", "noisy.wav", "--set", "noise.traker=minimum"], 1, "did you mean 'tracker'?"),
        (["-f", "noisy.wav", "--set", "mix=2"], 1, "mix=2 must be a number from 0 to 1"),
        (["-f", "noisy.wav", "--set", "mix"], 2, "give KEY=VALUE"),
        (["-f", "noisy.wav", "--set", "mix=[1"], 2, "is not a value YAML can read"),
        (["-f", "noisy.wav", "--set", "noise=1", "--set", "noise.tracker=x"], 2, "noise was set to 1 before"),
        (
            ["-f", "noisy.wav", "--attenuation-limit", "-3"],
            2,
            "-limit': -3.0 is not in the range 0.0<=x<=100.0",
        ),
        (["-f", "noisy.wav", "--mix", "2"], 1, "mix=2.0 must be a number from 0 to 1"),
        (["-f", "noisy.wav", "-a", "WF", "--attenuation-limit", "nan"], 2, "'nan' is not a number of dB"),
        (["-f", "noisy.wav", "--preset", "can-small"], 2, "is a network, not a preset"),
        (["-f", "noisy.wav", "--set", "noise={tracker: minimum, tracker: minimum}"], 2, "'tracker' stands twice"),
        (["-f", "noisy.wav", "--attenuation-limit", "loud"], 2, "'loud' is not a valid float"),
        (["-f", "noisy.wav", "--config", "none.yaml"], 1, "cannot read the configuration none.yaml"),
        (["-f", "noisy.wav", "--config", "text.wav"], 1, "text.wav"),
        (["-f", "noisy.wav", "--rate", "16000"], 2, "belong to pipes"),
        (["-f", "noisy.wav", "--nonsense"], 2, "--nonsense"),
        (["--method", "WF"], 2, "--input is missing"),
        (["noisy.wav"], 2, "noisy.wav is no command; to denoise it: rtdenoise --input noisy.wav"),
        (["demmo"], 2, "No such command 'demmo'"),
        (["--method", "SS", "demo"], 2, "options go behind the command: rtdenoise demo --..."),
        (["-f", "nothing", "-o", "-"], 1, "nothing: no such file"),
        (["-f", "two\nlines.wav"], 1, "two lines.wav: no such file"),
    ],
)
def test_mistakes_are_one_line(call, make, tmp_path, arguments, code, message):
    make()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("[not: audio\n" * 30)
    before = names(tmp_path)

    done = call(*arguments)

    lines = done.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rtdenoise: error: ")
    assert message in lines[0]
    assert (done.code, done.out) == (code, "")
    assert names(tmp_path) == before


def test_quiet_prints_nothing_and_verbose_more(call, make):
    make(samples=np.array([np.inf, 0.5, 0.5] * 1000), subtype="FLOAT")
    assert (call("-f", "noisy.wav", "-a", "bypass", "-q").out, call("-f", "x.wav", "-q").code) == ("", 1)
    loud = call("-f", "noisy.wav", "-a", "bypass", "-v", "--overwrite")
    assert "WAV FLOAT, 16000 Hz, 1 channels" in loud.out and "algorithm" in loud.out
    quiet = call("-f", "noisy.wav", "-a", "bypass", "-q", "--overwrite")
    assert (quiet.out, quiet.err) == ("", "")


def test_a_folder_gives_a_table_and_its_failures(call, make, tmp_path):
    make("in/a.wav")
    make("in/[b] ü.flac", n=32000)
    (tmp_path / "in" / "bad.wav").write_text("no audio")

    done = call("-f", "in", "-a", "bypass", "--plot")

    assert done.code == 1
    assert "[b] ü.flac" in done.out
    assert "in_BYPASS_denoised: 2 files, 3.0 s of audio" in done.out and "1 failed" in done.out
    assert done.err.splitlines() == ["rtdenoise: error: in/bad.wav: not audio that can be read (Format not recognised)"]
    assert names(tmp_path / "in_BYPASS_denoised") == ["[b] ü.flac", "[b] ü.png", "a.png", "a.wav"]

    (tmp_path / "in" / "bad.wav").unlink()
    again = call("-f", "in", "-a", "bypass", "--json")
    assert again.code == 0 and len(json.loads(again.out)["skipped"]) == 2
    assert "2 skipped: their output exists; --overwrite makes it again" in call("-f", "in", "-a", "bypass").out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_file_leaves_nothing(make, tmp_path, number, code):
    make(n=100, rate=16000, name="warm.wav")
    with soundfile.SoundFile(tmp_path / "long.wav", "w", samplerate=48000, channels=2, subtype="PCM_16") as file:
        for _ in range(30):
            file.write(np.zeros((48000 * 60, 2), np.int16))
    process = start("-f", "long.wav", "-o", "out.flac", "-a", "bypass", folder=tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".rtdenoise-*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)

    process.send_signal(number)

    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, b"")
    assert err.decode() in ("", "rtdenoise: note: interrupted\n")
    assert names(tmp_path) == ["long.wav", "warm.wav"]


def test_an_interrupted_folder_leaves_whole_files_only_and_no_process(make, tmp_path):
    make("in/a.wav", n=8000)
    for i in range(2):
        with soundfile.SoundFile(tmp_path / f"in/long{i}.wav", "w", samplerate=48000, channels=2) as file:
            for _ in range(20):
                file.write(np.zeros((48000 * 60, 2), np.int16))
    process = start("-f", "in", "-o", "out", "-a", "bypass", "--jobs", "2", folder=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/.rtdenoise-*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)

    os.killpg(process.pid, signal.SIGINT)  # what a terminal does

    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.decode() == "rtdenoise: note: interrupted\n"
    for name in names(tmp_path / "out"):
        assert soundfile.info(tmp_path / "out" / name).frames == soundfile.info(tmp_path / "in" / name).frames
    while time.monotonic() < deadline + 10:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process of the group is still there")


def test_missing_standard_streams_are_survived(make, tmp_path):
    make()
    command = 'exec "$@" >&- 2>&- <&-'
    done = os.spawnvp(
        os.P_WAIT, "sh", ["sh", "-c", command, "sh", *COMMAND, "-f", str(tmp_path / "noisy.wav"), "-a", "bypass"]
    )
    assert done == 0
    assert Path(tmp_path / "noisy_BYPASS_denoised.wav").is_file()


@pytest.mark.skipif(os.name != "posix", reason="names are text there")
def test_names_that_are_no_text_and_files_that_are_none_never_end_a_folder(call, make, tmp_path):
    make("in/a.wav")
    sound = (tmp_path / "in" / "a.wav").read_bytes()
    odd = [os.fsdecode(b"m\xe9moire.wav"), "new\nline.wav", "\x1b[31m.wav", "z" * 251 + ".wav"]
    for name in odd:
        try:
            (tmp_path / "in" / name).write_bytes(sound)
        except OSError:
            pytest.skip("this disk takes no such names")
    os.mkfifo(tmp_path / "in" / "fifo.wav")
    (tmp_path / "in" / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "in" / "lost.wav").symlink_to("nowhere")
    (tmp_path / "in" / "zero.wav").symlink_to("/dev/zero")

    done = call("-f", "in", "-a", "bypass", "-o", "out", "--plot", "--json", "--jobs", "2")

    assert done.code == 1
    report = json.loads(done.out)
    json.dumps(report, ensure_ascii=False).encode()
    assert len(report["files"]) == 5 and "in/m\\xe9moire.wav" in [item["source"] for item in report["files"]]
    assert [Path(name).name for name in report["failed"]] == ["fifo.wav", "loop.wav", "lost.wav", "zero.wav"]
    assert len(done.err.splitlines()) == 4
    assert {"a.wav", *odd} < set(names(tmp_path / "out"))
    shown = call("-f", "in", "-a", "bypass", "-o", "out2").out
    assert "m\\xe9moire.wav" in shown and "new\\nline.wav" in shown and "\\x1b[31m.wav" in shown


def test_a_file_without_suffix_keeps_its_kind(call, make, tmp_path):
    make("talk", container="FLAC")
    assert call("-f", "talk", "-a", "bypass").code == 0
    assert soundfile.info(tmp_path / "talk_BYPASS_denoised.flac").format == "FLAC"


def test_failures_of_a_folder_read_alike_in_the_report_and_on_the_terminal(call, make, tmp_path, monkeypatch):
    """Also what the system says itself: without its numbers, with the name it is about."""
    make("in/a.wav")
    make("in/z.wav")
    (tmp_path / "out" / "z.wav").mkdir(parents=True)
    monkeypatch.setattr("rtdenoise.sound.writer.Target.write", lambda *_: Path("/nowhere/at/all").read_bytes())
    done = call("-f", "in", "-a", "bypass", "-o", "out", "--json", "--overwrite")
    assert done.code == 1
    failed = json.loads(done.out)["failed"]
    assert failed == {
        "in/a.wav": "/nowhere/at/all: No such file or directory",
        "in/z.wav": "out/z.wav: is a folder; name a file",
    }
    for path, message in failed.items():
        assert f"rtdenoise: error: {path}: {message}" in done.err


def test_a_picture_that_exists_is_told_alike_in_json_and_on_the_terminal(call, make, tmp_path):
    make("in/a.wav")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("mine")
    done = call("-f", "in", "-a", "bypass", "-o", "out", "--plot", "--json")
    (message,) = json.loads(done.out)["failed"].values()
    assert "replace it (--overwrite" in message and message in done.err
