"""The benchmark of voices that are easily lost: its figures on signals of which they are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import robustness
from benchmarks.robustness import Clip
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_left_alone_is_kept_whole(speech):
    voice = speech.astype(np.float32)
    assert robustness.score(Clip(voice, voice), voice) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    kept, lost, burst = robustness.score(Clip(voice, voice), 0.5 * voice)
    assert (kept, lost) == pytest.approx((-6.02, 0.0), abs=0.01) and burst <= 0.0


def test_a_muted_half_is_lost_and_a_burst_is_found(speech):
    voice = speech.astype(np.float32)
    muted = voice.copy()
    muted[voice.size // 2 :] = 0.0
    kept, lost, _ = robustness.score(Clip(voice, voice), muted)
    assert kept == pytest.approx(-3.0, abs=0.7) and lost == pytest.approx(0.5, abs=0.1)
    loud = voice.copy()
    loud[20000:21000] += 0.5
    assert robustness.score(Clip(voice, voice), loud)[2] > 10.0
    before = Clip(voice, voice, 30000)  # only what comes later counts
    assert robustness.score(before, loud) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


def test_beside_something_else_only_the_voice_counts(speech):
    rng = np.random.default_rng(1)
    clip = robustness.beside(speech.astype(np.float32), robustness.onset(speech.size, rng), 5.0)
    assert clip.begin == speech.size // 2
    half = 0.5 * clip.voice + 0.1 * (clip.noisy - clip.voice)
    assert robustness.score(clip, half)[0] == pytest.approx(-6.0, abs=0.5)
    noise = (clip.noisy - clip.voice)[clip.begin :]
    loud = robustness._powers(clip.voice)
    power = loud[robustness._spoken(loud)].mean()
    assert 10 * np.log10(power / np.mean(np.square(noise, dtype=float))) == pytest.approx(5.0, abs=0.1)


def test_a_whisper_has_the_spectrum_of_the_voice_and_no_pitch(speech):
    voice = speech.astype(np.float32)
    breath = robustness.whispered(voice, np.random.default_rng(1))

    def pitch(samples: np.ndarray) -> float:
        part = samples[4000:7000].astype(float)  # within a syllable
        correlation = np.correlate(part, part, "full")[part.size - 1 :]
        return float(correlation[80:200].max() / correlation[0])  # 80 to 200 Hz

    assert pitch(voice) > 0.6 > 0.45 > pitch(breath)
    spectra = [np.abs(np.fft.rfft(s)) ** 2 for s in (voice, breath)]
    low, high = ([band.sum() for band in (s[:4000], s[8000:16000])] for s in spectra)
    assert low[0] > 3 * low[1] and high[0] > 3 * high[1]


def test_the_whole_benchmark_on_a_folder(library, tmp_path):
    record = tmp_path / "robustness.json"
    words = ["--data", library / "speech", "--clips", 1, "--silence-minutes", 0.02, "--methods", "WF:low"]
    command = [sys.executable, "-m", "benchmarks.robustness", *map(str, words), "--json", str(record)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    rows = json.loads(record.read_text())["rows"]
    assert len(rows) == 12 and all(row["case"] in done.stdout for row in rows)
    assert all(-60.0 < row["kept_db_lowest"] <= row["kept_db_median"] < 3.0 for row in rows)
    words[1] = tmp_path / "nothing"
    command = [sys.executable, "-m", "benchmarks.robustness", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no such folder" in done.stderr


def test_first_moments_begin_with_the_voice(speech):
    clip = robustness.first_moments(speech.astype(np.float32))
    n = SAMPLE_RATE_HZ // 10
    assert (clip.begin, clip.end) == (0, n)
    assert np.mean(clip.voice[:n] ** 2) > 2 * np.mean(speech**2)
