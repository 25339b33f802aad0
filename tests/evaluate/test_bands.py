"""The benchmark of bands that end: what it does to signals, and that it measures what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import bands
from rtdenoise.evaluate.measures.metrics import delay_samples
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ


def level_above_db(samples, hz):
    """Level of what lies above a frequency, against all of it."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    above = np.fft.rfftfreq(samples.size, 1.0 / SAMPLE_RATE_HZ) > hz
    return 10.0 * np.log10(power[above].sum() / power.sum())


@pytest.fixture
def pair():
    white = np.random.default_rng(3).normal(0, 0.1, (2, 2 * SAMPLE_RATE_HZ)).astype(np.float32)
    return white[0], white[1]


@pytest.mark.parametrize("edge_khz", bands.EDGES_KHZ)
def test_nothing_is_left_above_the_edge_and_nothing_is_late(pair, edge_khz):
    clean, noisy = bands.CASES[f"{edge_khz:g}"](pair)
    for before, after in zip(pair, (clean, noisy), strict=True):
        assert after.shape == before.shape and after.dtype == np.float32
        assert level_above_db(after, 1e3 * edge_khz + 100.0) < -40.0
        assert delay_samples(before, after, 400) == 0
        kept = np.mean(after**2) / np.mean(before**2)
        assert kept == pytest.approx(edge_khz / 8.0, rel=0.1)


@pytest.mark.parametrize("case", ["telephone", "opus"])
def test_a_line_codes_the_mixture_and_not_the_speech(pair, speech, case):
    voice = speech[: 2 * SAMPLE_RATE_HZ].astype(np.float32)
    clean, coded = bands.CASES[case]((voice, voice))
    assert clean.shape == coded.shape == voice.shape
    assert delay_samples(clean, coded, 400) == 0
    off_db = 10.0 * np.log10(np.mean((coded - clean) ** 2) / np.mean(clean**2))
    assert -45.0 < off_db < -3.0
    if case == "telephone":
        assert max(level_above_db(samples, 4200.0) for samples in bands.CASES[case](pair)) < -30.0


def test_the_whole_benchmark_on_a_folder(library, tmp_path, capsys):
    pytest.importorskip("pesq", reason="package pesq is not installed")
    record = tmp_path / "new" / "bands.json"
    words = ["--speech", library / "speech", "--noise", library / "noise", "--every", 38, "--seconds", 2]
    words += ["--methods", "bypass", "--cases", "full,3.4,at 48 kHz,to 8 kHz,at 8 kHz", "--json", record]
    assert bands.main(list(map(str, words))) == 0
    rows = json.loads(record.read_text())["rows"]
    cases = ["full", "3.4", "at 48 kHz", "to 8 kHz", "at 8 kHz"]
    assert [(row["case"], row["system"]) for row in rows] == [(c, s) for c in cases for s in ("noisy", "bypass")]
    for unprocessed, bypassed in zip(rows[::2], rows[1::2], strict=True):  # what changes nothing gives what came in
        pesq = "pesq_nb" if unprocessed["case"].endswith("8 kHz") and "48" not in unprocessed["case"] else "pesq_wb"
        assert unprocessed[pesq] > 1.0
        for figure in (pesq, "estoi", "si_sdr_db"):
            assert bypassed[figure] == pytest.approx(unprocessed[figure], abs=0.002)
    for figure in ("pesq_nb", "estoi", "si_sdr_db"):  # of the noisy signal, it makes no difference when it comes down
        assert rows[6][figure] == pytest.approx(rows[8][figure], abs=0.01)
    assert capsys.readouterr().out.splitlines()[0] == f"| PESQ-wb / eSTOI / SI-SDR dB | {' | '.join(cases)} |"
    assert bands.main([*map(str, words[:-2]), "--clean"]) == 0
    assert "4.64 / 1.000" in capsys.readouterr().out


def test_unknown_cases_are_named(capsys):
    with pytest.raises(SystemExit):
        bands.main(["--data", "nothing.csv", "--cases", "narrow"])
    assert "give some of full,7.6,6,4,3.4,telephone,opus,at 48 kHz,to 8 kHz,at 8 kHz" in capsys.readouterr().err
    assert bands.main(["--data", "nothing.csv", "--methods", "bypass"]) == 1
    assert "nothing.csv" in capsys.readouterr().err
