"""Figures above 8 kHz: their definitions, and that each of them notices what it is there for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from scipy import signal

from benchmarks import full_band as benchmark
from benchmarks import full_band_material as material
from rtdenoise.errors import SignalError
from rtdenoise.evaluate.compared.systems import System, parse_own
from rtdenoise.evaluate.measures import full_band
from rtdenoise.evaluate.measures.full_band import log_spectral_distance_db
from rtdenoise.methods.can.models import ABOVE, open_model
from tests.tolerances import MEASURE_RTOL

RATE = 48000


def distance_by_the_book(clean, enhanced, rate_hz, low_hz, high_hz):
    """The definition in the docstring, frame by frame and bin by bin."""
    size = 2 * round(0.016 * rate_hz)
    window = np.hanning(size)

    def powers(samples):
        starts = range(0, samples.size - size + 1, size // 2)
        every = [np.abs(np.fft.rfft(samples[s : s + size].astype(np.float64) * window)) ** 2 for s in starts]
        bins = [k for k in range(size // 2 + 1) if low_hz < k * rate_hz / size <= high_hz]
        return [[float(frame[k]) for k in bins] for frame in every]

    speech, after = powers(clean), powers(enhanced)
    floor = 1e-4 * float(np.percentile([sum(frame) / len(frame) for frame in speech], 95))
    total = 0.0
    for ours, theirs in zip(speech, after, strict=True):
        squares = [(10.0 * np.log10((e + floor) / (c + floor))) ** 2 for c, e in zip(ours, theirs, strict=True)]
        total += (sum(squares) / len(squares)) ** 0.5
    return total / len(speech)


@pytest.fixture
def parts():
    """Clean: half a second of silence, a tone below 8 kHz, and bursts of hiss above.  Noise: white, 25 dB below."""
    rng = np.random.default_rng(5)
    time = np.arange(3 * RATE) / RATE
    sounding = (time > 0.5).astype(float)
    hiss = signal.sosfilt(signal.butter(6, 8500, "high", fs=RATE, output="sos"), rng.standard_normal(time.size))
    clean = sounding * (0.1 * np.sin(2 * np.pi * 440 * time) + 0.05 * hiss * (time % 0.5 < 0.2))
    noise = 0.005 * rng.standard_normal(time.size)
    return clean.astype(np.float32), noise.astype(np.float32)


def above(samples, gain):
    """The same with another gain above 8 kHz."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(samples.size, 1 / RATE) > 8000.0] *= gain
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)


@pytest.mark.parametrize("band", [(0.0, 8000.0), (8000.0, 24000.0), (8000.0, 14000.0)])
def test_the_distance_is_what_its_definition_says(parts, band):
    clean, noise = parts
    found = log_spectral_distance_db(clean, clean + noise, RATE, band)
    assert found == pytest.approx(distance_by_the_book(clean, clean + noise, RATE, *band), rel=MEASURE_RTOL)
    assert found > 3.0
    assert log_spectral_distance_db(clean, clean, RATE, band) == 0.0


def test_the_distance_in_both_halves_is_that_of_the_bands(parts):
    clean, noise = parts
    found = full_band.full_band(clean, clean + noise, clean + noise, RATE)
    assert found["lsd_below_db"] == log_spectral_distance_db(clean, clean + noise, RATE, (0.0, 8000.0))
    assert found["lsd_above_db"] == log_spectral_distance_db(clean, clean + noise, RATE, (8000.0, np.inf))
    assert tuple(found) == full_band.NAMES


def test_a_change_of_level_is_a_distance_of_so_many_db_where_there_is_sound():
    white = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)
    assert log_spectral_distance_db(white, 0.5 * white, RATE) == pytest.approx(6.02, abs=0.1)


def test_each_figure_notices_what_it_is_for_and_nothing_else(parts):
    clean, noise = parts
    noisy = clean + noise
    duller = full_band.full_band(clean, noisy, above(clean, 10 ** (-6 / 20)), RATE)
    assert duller["fricatives_db"] == pytest.approx(-6.0, abs=0.1)
    assert duller["lsd_below_db"] < 0.2 < 1.0 < duller["lsd_above_db"]
    cleaner = full_band.full_band(clean, noisy, clean + above(0.1 * noise, 0.1), RATE)
    assert cleaner["attenuation_below_db"] == pytest.approx(20.0, abs=0.5)
    assert cleaner["attenuation_above_db"] == pytest.approx(40.0, abs=0.5)
    assert cleaner["fricatives_db"] == pytest.approx(0.0, abs=0.1)
    assert cleaner["lsd_above_db"] < 0.3 * full_band.full_band(clean, noisy, noisy, RATE)["lsd_above_db"]


def test_what_cannot_be_measured_is_nan_or_an_error(parts):
    clean, noise = parts
    nothing = np.zeros_like(clean)
    found = full_band.full_band(nothing, noise, noise, RATE)
    assert np.isnan(found["lsd_above_db"]) and np.isnan(found["fricatives_db"])
    assert np.isnan(full_band.full_band(clean[:90], clean[:90], clean[:90], RATE)["lsd_below_db"])
    with pytest.raises(SignalError, match="16000 Hz must be 28000 or more"):
        full_band.full_band(clean, clean, clean, 16000)
    with pytest.raises(SignalError, match="lengths equal"):
        full_band.full_band(clean, noise, noise[:-1], RATE)


@pytest.mark.parametrize("edge_hz", [10000, 15000, 17000, None])
def test_the_end_of_a_band_is_found(edge_hz):
    white = 0.1 * np.random.default_rng(2).standard_normal(RATE)
    if edge_hz:
        white = signal.sosfiltfilt(signal.ellip(9, 0.1, 80, edge_hz, fs=RATE, output="sos"), white)
    found = material.band_hz(np.round(white * 32767) / 32768, RATE)
    assert found == pytest.approx(edge_hz or RATE / 2, abs=1000)
    assert (material.unfit(white, RATE) == "") == (edge_hz is None or edge_hz >= 17000)
    assert material.unfit(white, 32000) == "low rate" and material.unfit(0 * white, RATE)


def test_the_whole_benchmark_on_a_folder(tmp_path, parts, capsys):
    clean, noise = parts
    for name, samples in (("speech/a/1.wav", clean), ("speech/b/1.wav", clean), ("noise/white/1.wav", noise)):
        (tmp_path / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / name, samples, RATE, subtype="FLOAT")
    words = ["--speech", tmp_path / "speech", "--noise", tmp_path / "noise", "--methods", "bypass", "--peers", "none"]
    assert benchmark.main([*map(str, words), "--seconds", "3", "--json", str(tmp_path / "new" / "record.json")]) == 0
    rows = json.loads((tmp_path / "new" / "record.json").read_text())["rows"]
    assert [row["case"] for row in rows] == 2 * ["0 dB", "5 dB", "10 dB", "clean"]
    for unprocessed, bypassed in zip(rows[:4], rows[4:], strict=True):
        assert bypassed["lsd_above_db"] == pytest.approx(unprocessed["lsd_above_db"], abs=0.01)
    assert rows[0]["lsd_above_db"] > rows[2]["lsd_above_db"] > rows[3]["lsd_above_db"] == 0.0
    assert capsys.readouterr().out.splitlines()[0].startswith("| in noise | LSD above, 0 dB |")
    assert benchmark.main([*map(str, words), "--labels", "rain"]) == 1


def test_networks_are_measured_without_their_head_and_others_once(tmp_path):
    system = parse_own("CAN:can-small")
    without, as_it_is = benchmark.headless(system, tmp_path)
    assert (without.name, as_it_is) == ("CAN:can-small, one gain", system)
    assert ABOVE not in open_model(without.spec.partition(":")[2]).parts()
    assert ABOVE in open_model("can-small").parts()
    for other in (System("noisy", "noisy", ""), parse_own("WF:low"), parse_own("CAN:germain2018-causal")):
        assert benchmark.headless(other, tmp_path) == [other]
