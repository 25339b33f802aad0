"""What streams tell about speech and SNR while they run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

import rtdenoise
from rtdenoise.errors import ModelError
from rtdenoise.methods.spectral.prior import fill_prior
from rtdenoise.methods.spectral.state import spectral_dtype
from rtdenoise.streaming.overlap_add import scaled_framing
from rtdenoise.streaming.presence import reading
from rtdenoise.streaming.presence.bands import N_BANDS, band_centres_hz, n_present, pooling
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.streaming.session import Stream
from tests.methods.spectral.test_behaviour import noise

RATE, CHUNK = 16000, 160
CLIP, _ = soundfile.read(Path(rtdenoise.__file__).parent / "demo/clip.flac", dtype="float32", frames=6 * RATE)
CLEAN = np.concatenate([np.zeros(2 * RATE, np.float32), CLIP, np.zeros(RATE, np.float32)])
NOISY = CLEAN + noise(9, 0.01)
_LEVELS = np.convolve(CLEAN**2, np.ones(480) / 480, "same")[CHUNK // 2 :: CHUNK]
SPEECH = np.roll(_LEVELS > 1e-5, 2)  # per chunk, as late as half of a window; the clip is silent between words
NOISE = np.convolve(_LEVELS > 0, np.ones(21), "same") == 0
NOISE[:100] = False  # nobody knows yet what is noise


END = 5 * RATE  # in the middle of a word

METHODS = {
    "WF low": {"method": "WF", "preset": "low"},
    "WF balanced": {"method": "WF"},
    "SS balanced": {"method": "SS"},
    "CAN can-small": {"model": "can-small"},
}


def heard(signal, **keywords):
    """Probability after every chunk, and SNRs."""
    stream = rtdenoise.stream(sample_rate=RATE, **keywords)
    step = CHUNK * stream.sample_rate // RATE
    found, snrs = [], []
    for start in range(0, len(signal), step):
        stream.process(signal[start : start + step])
        found.append(stream.speech_probability)
        snrs.append(stream.snr_db)
    return np.array(found), np.array(snrs)


@pytest.mark.parametrize("method", METHODS)
def test_a_voice_in_noise_is_heard_and_noise_is_not(method):
    found, snrs = heard(NOISY, **METHODS[method])
    assert np.all((found >= 0) & (found <= 1)) and np.all((snrs >= -20) & (snrs <= 40))
    assert np.median(found[SPEECH]) > 0.8 and np.median(found[NOISE]) < 0.3
    assert np.mean(found[SPEECH] > 0.5) > 0.7 and np.mean(found[NOISE] < 0.5) > 0.9
    voice = slice(2, 10)  # bands
    assert snrs[SPEECH, voice].mean() > snrs[NOISE, voice].mean() + 12


@pytest.mark.parametrize("method", METHODS)
def test_silence_and_the_beginning_hold_no_speech(method):
    stream = rtdenoise.stream(sample_rate=RATE, **METHODS[method])
    assert stream.speech_probability == 0.0
    stream.process(np.zeros(RATE, np.float32))
    assert stream.speech_probability == 0.0
    assert_array_equal(stream.snr_db, np.full(20, -20, np.float32))
    stream.process(NOISY)
    stream.process(np.zeros(RATE, np.float32))
    assert stream.speech_probability == 0.0
    stream.process(NOISY)
    stream.reset()
    assert stream.speech_probability == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_reading_changes_nothing(method):
    read, unread = (rtdenoise.stream(sample_rate=RATE, **METHODS[method]) for _ in range(2))
    for part in np.split(NOISY[:32000], 100):
        out = read.process(part)
        assert read.speech_probability == read.speech_probability
        assert_array_equal(read.snr_db, read.snr_db)
        assert_array_equal(out, unread.process(part))


@pytest.mark.parametrize("method", ["WF low", "CAN can-small"])
def test_neither_limit_nor_mix_changes_what_is_heard(method):
    expected, snrs = heard(NOISY, **METHODS[method])
    for keywords in ({"attenuation_limit_db": 0}, {"mix": 0.0}):
        found, found_snrs = heard(NOISY, **METHODS[method], **keywords)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(found_snrs, snrs, atol=1e-4)


def test_of_several_channels_the_highest_counts():
    stereo = np.stack([noise(9, 0.01, seed=3), NOISY], 1)
    linked, _ = heard(stereo, preset="low", channels=2)
    each, each_snrs = heard(stereo, preset="low", channels=2, channel_mode="each")
    alone, alone_snrs = heard(NOISY, preset="low")
    other, other_snrs = heard(stereo[:, 0], preset="low")
    np.testing.assert_allclose(each, np.maximum(alone, other), atol=1e-6)
    np.testing.assert_allclose(each_snrs, np.maximum(alone_snrs, other_snrs), atol=1e-4)
    np.testing.assert_allclose(linked, each, atol=1e-6)
    mixed, _ = heard(stereo, preset="low", channels=2, channel_mode="downmix")
    assert np.median(mixed[SPEECH]) > 0.7


def test_adapters_let_it_through():
    """At 8 kHz around 16 kHz, and in blocks of another length."""
    resampled = rtdenoise.stream("WF", 8000, preset="low", config={"processing_rate_hz": 16000})
    resampled.process(NOISY[:END:2])
    assert resampled.speech_probability > 0.5
    assert resampled.snr_db.size == resampled.snr_bands_hz.size == n_present(8000)
    narrow = rtdenoise.stream("WF", RATE, preset="low", config={"processing_rate_hz": 8000})
    narrow.process(NOISY[:END])
    assert narrow.snr_db.size == narrow.snr_bands_hz.size == n_present(8000)
    blocks = Stream(Rechunked(rtdenoise.build("WF", RATE, preset="low"), 1000))
    blocks.process(NOISY[:END])
    plain = rtdenoise.stream("WF", RATE, preset="low")
    plain.process(NOISY[:END])
    assert blocks.speech_probability == plain.speech_probability > 0.5


@pytest.mark.parametrize(
    "keywords",
    [{"method": "bypass"}, {"method": "WF", "config": {"wiener": {"rule": "log-mmse"}}}],
    ids=["bypass", "log-mmse"],
)
def test_methods_that_do_not_know_say_so(keywords):
    stream = rtdenoise.stream(sample_rate=RATE, **keywords)
    stream.process(NOISY)
    assert stream.speech_probability is None and stream.snr_db is None


def test_bands_end_at_half_the_rate():
    assert n_present(16000) == n_present(48000) == N_BANDS and n_present(8000) < N_BANDS
    assert np.all(band_centres_hz()[: n_present(8000)] <= 4000)
    assert np.all(np.diff(rtdenoise.stream("bypass", 8000).snr_bands_hz) > 0)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_bands_of_networks_are_those_of_the_filters(rate):
    framing = scaled_framing(rate, frame_seconds=0.032, span_seconds=0.016, overlap=2)
    record = np.zeros(1, spectral_dtype(framing, 1, False))[0]
    fill_prior(record, framing)
    below = np.searchsorted(record["first_bin"][:N_BANDS], np.arange(framing.n_bins), side="right") - 1
    into = pooling(framing.n_bins, rate)
    counted = np.arange(framing.n_bins) < record["first_bin"][N_BANDS]
    assert not into[~counted].any()
    np.testing.assert_allclose(into.sum(1)[counted], 1.0, atol=1e-6)
    np.testing.assert_allclose(into @ np.arange(N_BANDS), (below + record["share_above"]) * counted, atol=1e-5)


def test_missing_or_foreign_constants_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "data_folder", lambda name: tmp_path)
    (tmp_path / "presence").mkdir()
    with pytest.raises(ModelError, match=r"cannot read the fitted constants .*none.npz"):
        reading.reading_from(np.zeros(3, np.float32), "none", 20)
    (tmp_path / "presence" / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ModelError, match=r"cannot read the fitted constants .*torn.npz"):
        reading.reading_from(np.zeros(3, np.float32), "torn", 20)
    np.savez(tmp_path / "presence" / "small.npz", table=np.zeros((2, 21)), offset=np.zeros(21))
    with pytest.raises(ModelError, match=r"holds a table of shape \(2, 21\), not \(3, 21\)"):
        reading.reading_from(np.zeros(3, np.float32), "small", 20)
