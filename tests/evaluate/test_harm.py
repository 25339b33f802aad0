"""The benchmark of recordings that need no denoiser: its material and figures on signals of which they are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harm
from benchmarks.harm import Clip
from rtdenoise.evaluate.compared import systems
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = systems.System(systems.NOISY, systems.NOISY, "")


@pytest.fixture
def halved(monkeypatch):
    """A system that halves whatever it hears in the first 50 ms after two seconds."""

    def enhance(noisy):
        out = noisy.copy()
        begin = 2 * SAMPLE_RATE_HZ
        out[begin : begin + 800] *= 0.5
        return out

    monkeypatch.setattr(harm, "enhancer", lambda system, rate_hz: enhance)
    return IDENTITY


def test_words_are_cut_where_a_pause_was(speech):
    words = harm.cut_words(speech)
    assert 8 <= len(words) <= 12  # a syllable every 0.4 s, a pause after every third
    for word in words:
        assert 0.2 <= word.size / SAMPLE_RATE_HZ < 1.3
        assert np.mean(word[:80] ** 2) > 1e-4 * np.mean(word**2)


def test_words_stand_where_the_starts_say(speech):
    words = harm.cut_words(speech)
    joined, starts = harm.with_pauses(words)
    pause = round(harm.PAUSE_SECONDS * SAMPLE_RATE_HZ)
    assert len(starts) == len(words)
    for start, word in zip(starts, words, strict=True):
        assert not joined[start - pause : start].any()
        heard = joined[start : start + word.size]
        assert np.corrcoef(heard, word)[0, 1] == pytest.approx(1.0)
        assert harm.power(heard) == pytest.approx(1.0)


def test_the_onset_is_what_is_left_of_the_first_50_ms(halved):
    voice = np.ones(4 * SAMPLE_RATE_HZ, np.float32)
    lost = harm.onset_row("onset", [Clip(voice, voice, (2 * SAMPLE_RATE_HZ,))], halved)
    assert lost["figures"] == {"median_db": -6.02, "tenth_db": -6.02} and lost["holds"] is False
    kept = harm.onset_row("onset", [Clip(voice, voice, (SAMPLE_RATE_HZ,))], halved)
    assert kept["figures"]["median_db"] == pytest.approx(0.0) and kept["holds"] is True


def test_held_vowels_last_five_seconds_at_their_pitch():
    for n, (pitch_hz, vibrato, _) in enumerate(harm.VOWELS):
        vowel = harm.held_vowel(n, 1)
        begin, end = 2 * SAMPLE_RATE_HZ, 7 * SAMPLE_RATE_HZ
        assert vowel.clean[begin:end].any() and not vowel.clean[:begin].any() and not vowel.clean[end:].any()
        noise = vowel.noisy - vowel.clean
        assert harm.power(vowel.clean[begin:end]) == pytest.approx(900 * harm.power(noise), rel=0.05)
        assert np.abs(vowel.noisy).max() < 1.0
        size = np.abs(np.fft.rfft(vowel.clean[begin:end]))
        hz = np.arange(size.size) / 5.0
        near = np.abs(hz / pitch_hz - np.round(hz / pitch_hz)) * pitch_hz < np.maximum(hz * vibrato * 1.5, 8.0)
        assert np.sum(size[near] ** 2) > 0.95 * np.sum(size**2)


def test_the_second_that_has_changed_most_counts(halved):
    quiet = harm.held_row([harm.held_vowel(0, 1)], halved)["figures"]
    assert 0.0 < -quiet["worst_db"] < 0.2  # 50 ms of a second, down by 6 dB
    unchanged = harm.held_row([harm.held_vowel(n, 1) for n in range(8)], IDENTITY)
    assert abs(unchanged["figures"]["worst_db"]) < 0.3 and unchanged["holds"] is True


def test_the_whole_benchmark_on_a_folder(library, tmp_path):
    record = tmp_path / "new" / "harm.json"
    words = ["--speech", library / "speech", "--noise", library / "noise", "--clips", 2, "--json", record]
    assert harm.main([*map(str, words), "--methods", "bypass", "--cases", "onset,snr,held"]) == 0
    rows = json.loads(record.read_text())["rows"]
    assert [r["case"] for r in rows] == [
        *(f"onset {n} dB" for n in (24, 34, 54)),
        *(f"SNR {n} dB" for n in (20, 30, 40)),
        "held vowel",
    ]
    for entry in rows:
        assert entry["n"] >= 2 and all(np.isfinite(v) for v in entry["figures"].values())
        if "in_db" in entry["figures"]:  # what changes nothing gives what came in
            assert entry["figures"]["out_db"] == pytest.approx(entry["figures"]["in_db"], abs=0.02)
        elif entry["case"] != "onset 24 dB":  # noise adds to a quiet beginning
            assert entry["holds"] is True
    report = harm.report(rows)
    assert report.count("\n") == 2 and "| bypass |" in report and report.endswith("| none |")


def test_the_report_names_the_targets_that_are_missed():
    rows = [
        {"case": "SNR 30 dB", "system": "a", "n": 1, "figures": {"in_db": 30.0, "out_db": 25.0}, "holds": False},
        {"case": "SNR 30 dB", "system": "b", "n": 1, "figures": {"in_db": 30.0, "out_db": 29.5}, "holds": True},
    ]
    assert harm.report(rows).splitlines()[2:] == ["| a | 25 | SNR 30 dB |", "| b | 29.5 | none |"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--speech", "nothing", "--noise", "nothing", "--methods", "bypass"], 1, "no such folder"),
        (["--data", "nothing.csv", "--methods", "nothing"], 1, "nothing"),
        (["--data", "nothing.csv", "--cases", "onsets"], 2, "give some of onset,snr,held,clean"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words, code, message):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.harm", *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == code and message in done.stderr.splitlines()[-1]
