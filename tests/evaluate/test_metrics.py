"""Metrics: their extremes, their order, their definitions; packages that carry them are skipped only where absent."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from rtdenoise.errors import MissingExtraError, SignalError
from rtdenoise.evaluate.measures import metrics

needs_pesq = pytest.mark.skipif(find_spec("pesq") is None, reason="package pesq is not installed")
needs_pystoi = pytest.mark.skipif(find_spec("pystoi") is None, reason="package pystoi is not installed")
needs_dnsmos = pytest.mark.skipif(
    find_spec("speechmos") is None or find_spec("onnxruntime") is None,
    reason="packages speechmos and onnxruntime are not installed",
)


@pytest.fixture
def pair(speech):
    """Clean, and the same with noise at 20 and at 0 dB."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal(speech.size) * np.std(speech)
    return tuple(s.astype(np.float32) for s in (speech, speech + 0.1 * noise, speech + noise))


def test_si_sdr_is_the_ratio_that_was_mixed(pair):
    clean, good, bad = pair
    assert metrics.si_sdr_db(clean, good) == pytest.approx(20.0, abs=0.3)
    assert metrics.si_sdr_db(clean, bad) == pytest.approx(0.0, abs=0.3)


def test_si_sdr_ignores_scale_and_offset(pair):
    clean, good, _ = pair
    assert metrics.si_sdr_db(clean, 0.1 * good + 0.05) == pytest.approx(metrics.si_sdr_db(clean, good), abs=1e-3)


def test_si_sdr_of_orthogonal_parts():
    t = np.arange(16000) / 16000
    tone, other = np.sin(2 * np.pi * 100 * t), np.sin(2 * np.pi * 200 * t)
    assert metrics.si_sdr_db(tone, tone + 0.1 * other) == pytest.approx(20.0, abs=1e-6)


def test_segmental_snr_is_clamped_and_exact_on_steady_frames():
    t = np.arange(16384) / 16000
    tone = np.sin(2 * np.pi * 1000 * t)
    assert metrics.segmental_snr_db(tone, tone) == pytest.approx(35.0)
    assert metrics.segmental_snr_db(tone, 0.9 * tone) == pytest.approx(20.0, abs=1e-6)
    assert metrics.segmental_snr_db(tone, 50.0 * tone) == pytest.approx(-10.0)


def test_segmental_snr_leaves_out_digital_silence():
    tone = np.sin(2 * np.pi * 1000 * np.arange(5120) / 16000)
    padded, worse = np.concatenate([tone, np.zeros(5120)]), np.concatenate([0.9 * tone, np.ones(5120)])
    assert metrics.segmental_snr_db(padded, worse) == pytest.approx(20.0, abs=1e-6)


@needs_pesq
def test_pesq_orders_and_tops_out(pair):
    clean, good, bad = pair
    assert metrics.pesq_wideband(clean, clean) == pytest.approx(4.64, abs=0.01)
    assert metrics.pesq_wideband(clean, good) > metrics.pesq_wideband(clean, bad)


@needs_pesq
def test_pesq_of_silence_is_undefined():
    silence = np.zeros(32000, np.float32)
    assert np.isnan(metrics.pesq_wideband(silence, silence))


@needs_pystoi
@pytest.mark.parametrize("extended", [False, True])
def test_stoi_orders_and_tops_out(pair, extended):
    clean, good, bad = pair
    assert metrics.stoi(clean, clean, extended=extended) == pytest.approx(1.0, abs=1e-6)
    assert metrics.stoi(clean, good, extended=extended) > metrics.stoi(clean, bad, extended=extended)


@needs_pystoi
def test_stoi_of_a_too_short_signal_is_undefined(pair):
    assert np.isnan(metrics.stoi(pair[0][:3000], pair[1][:3000], extended=False))


@needs_dnsmos
def test_dnsmos_hears_noise_and_ignores_how_long(pair):
    clean, _, bad = pair
    quiet, loud = metrics.dnsmos(clean), metrics.dnsmos(bad)
    assert quiet["dnsmos_bak"] > loud["dnsmos_bak"] + 0.3
    assert all(1.0 <= v <= 5.0 for v in (*quiet.values(), *loud.values()))


@needs_dnsmos
@needs_pesq
@needs_pystoi
def test_measure_returns_every_name(pair):
    clean, good, bad = pair
    wide = set(metrics.NAMES) - {"pesq_nb"}
    found = metrics.measure(clean, good, noisy=bad)
    assert set(found) == wide
    assert found["delay_samples"] == 0.0
    without = metrics.measure(clean, good, with_dnsmos=False)
    assert set(without) == wide - {"dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", *EFFECT}
    narrow = metrics.measure(clean[::2], good[::2], noisy=bad[::2], rate_hz=8000)
    assert set(narrow) == set(metrics.NAMES) - {"pesq_wb", "dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak"}


EFFECT = ("noise_reduction_db", "speech_distortion_db")
AGREE = 1e-6  # with the packages that the metrics come from


@needs_pesq
def test_pesq_is_that_of_its_package(pair):
    from pesq import pesq

    clean, good, _ = pair
    assert metrics.pesq_wideband(clean, good) == pytest.approx(pesq(16000, clean, good, "wb"), abs=AGREE)
    assert metrics.pesq_narrowband(clean, good, 16000) == pytest.approx(pesq(16000, clean, good, "nb"), abs=AGREE)
    low = pesq(8000, clean[::2], good[::2], "nb")
    assert metrics.pesq_narrowband(clean[::2], good[::2]) == pytest.approx(low, abs=AGREE)


@needs_pystoi
def test_stoi_is_that_of_its_package(pair):
    from pystoi import stoi

    clean, good, _ = pair
    for extended in (False, True):
        expected = stoi(clean, good, 16000, extended=extended)
        assert metrics.stoi(clean, good, extended=extended) == pytest.approx(expected, abs=AGREE)


@needs_dnsmos
@pytest.mark.filterwarnings("ignore")  # what the package warns about is its own
def test_dnsmos_is_that_of_its_package(pair):
    dnsmos = pytest.importorskip("speechmos.dnsmos", reason="the package's own program does not run here")
    bad = pair[2] / np.max(np.abs(pair[2]))
    expected = dnsmos.run(bad, sr=16000)
    found = metrics.dnsmos(bad)
    for ours, theirs in (("dnsmos_ovrl", "ovrl_mos"), ("dnsmos_sig", "sig_mos"), ("dnsmos_bak", "bak_mos")):
        assert found[ours] == pytest.approx(expected[theirs], abs=AGREE)


@pytest.mark.parametrize("delay", [-240, -1, 0, 1, 77, 1000])
def test_delay_is_found_and_undone(speech, delay):
    clean = speech.astype(np.float32)
    late = metrics.shift(clean, -delay, clean.size)
    assert metrics.delay_samples(clean, late, 2000) == delay
    inside = slice(1000, -1000)
    np.testing.assert_array_equal(metrics.shift(late, delay, clean.size)[inside], clean[inside])


def test_delay_of_an_inverted_copy(speech):
    clean = speech.astype(np.float32)
    assert metrics.delay_samples(clean, -metrics.shift(clean, -5, clean.size), 100) == 5


@pytest.mark.parametrize(
    ("clean", "enhanced", "reason"),
    [
        (np.zeros(5), np.zeros(4), "equally long"),
        (np.zeros(0), np.zeros(0), "equally long"),
        (np.zeros((5, 2)), np.zeros((5, 2)), "equally long"),
        (np.zeros(5), np.full(5, np.nan), "finite"),
    ],
)
def test_pairs_that_cannot_be_compared(clean, enhanced, reason):
    for measure in (metrics.si_sdr_db, metrics.segmental_snr_db, metrics.measure):
        with pytest.raises(SignalError, match=reason):
            measure(clean, enhanced)


def test_silent_reference_is_undefined():
    silence = np.zeros(1600, np.float32)
    assert np.isnan(metrics.si_sdr_db(silence, np.ones(1600, np.float32)))


def test_missing_package_names_the_extra(monkeypatch, pair):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"rtdenoise\[pesq\]' \(it needs a C compiler\)"):
        metrics.pesq_wideband(pair[0], pair[1])
