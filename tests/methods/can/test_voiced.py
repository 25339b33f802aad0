"""Held vowels of clean recordings come out, in every engine; in noise nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.methods.can.compiled.voiced import fill_voiced, follow_voice, keep_voiced, voiced_fields
from rtdenoise.methods.can.models import model_names, open_model
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.streaming import build_can
from rtdenoise.streaming.windows import window_pair
from tests.methods.can import reference
from tests.methods.can.networks import stream
from tests.methods.can.tolerances import compiled_atol
from tests.tolerances import KERNEL_RTOL

SPECTRAL = [name for name in model_names() if open_model(name).spec.domain == "spectral"]
RATE = 16000


def vowel(seconds: float, snr_db: float, pitch_hz: float = 110.0) -> tuple[np.ndarray, np.ndarray]:
    """A computed /a/ that begins after a second, alone and in white noise."""
    t = np.arange(round((1.0 + seconds) * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.005 * np.sin(2 * np.pi * 5 * t))) / RATE
    voice = np.zeros(t.size)
    for k in range(1, int(5000 / pitch_hz)):
        peaks = sum(1 / (1 + ((k * pitch_hz - formant) / 90) ** 2) for formant in (730, 1090, 2440)) + 0.02
        voice += np.sin(k * phase) * peaks / k
    voice[:RATE] = 0.0
    voice *= 0.09 / np.sqrt(np.mean(voice[RATE:] ** 2))
    noise = np.random.default_rng(1).standard_normal(t.size) * 0.09 * 10 ** (-snr_db / 20)
    return voice, (voice + noise).astype(np.float32)


def frames_of(signal: np.ndarray) -> np.ndarray:
    spec = SPECS["can-live"]
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(signal, (spec.frame - spec.hop, 0)), spec.frame)
    return np.ascontiguousarray(frames[:: spec.hop])


def spectra(signal: np.ndarray) -> np.ndarray:
    spec = SPECS["can-live"]
    window, _ = window_pair(spec.frame, spec.span, spec.hop)
    return np.fft.rfft(frames_of(signal) * window).astype(np.complex64)


def kept(signal: np.ndarray, judged: np.ndarray, masked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What comes of a mask frame by frame, and how clean the recording was found."""
    spec = SPECS["can-live"]
    state = np.zeros(1, np.dtype(voiced_fields(spec.n_bins), align=True))
    fill_voiced(state[0], spec)
    out, clearness = masked.copy(), np.zeros(len(judged))
    histories = frames_of(signal)
    for t, frame in enumerate(judged):
        follow_voice(frame, histories[t], False, state[0])
        keep_voiced(frame, out[t], state[0])
        clearness[t] = state[0]["clearness"]
    return out, clearness


@pytest.mark.parametrize(("snr_db", "pitch_hz"), [(28.7, 110.0), (40.0, 110.0), (40.0, 440.0)])
def test_a_mask_that_takes_all_is_corrected_as_the_twin_says(snr_db, pitch_hz):
    _, signal = vowel(3.0, snr_db, pitch_hz)
    judged = spectra(signal)
    found, clearness = kept(signal, judged, 0.01 * judged)
    expected = reference.kept_voiced(signal, judged, 0.01 * judged, SPECS["can-live"].hop)
    assert (0.0 < clearness.max() < 1.0) if snr_db < 30 else clearness.max() == 1.0
    assert_allclose(found, expected, rtol=50 * KERNEL_RTOL, atol=1e-4 * np.abs(judged).max())


def test_in_noise_and_in_silence_nothing_changes():
    _, signal = vowel(2.0, 15.0)
    judged = spectra(signal)
    assert_array_equal(kept(signal, judged, 0.3 * judged)[0], 0.3 * judged)
    spec = SPECS["can-live"]
    state = np.zeros(1, np.dtype(voiced_fields(spec.n_bins), align=True))
    fill_voiced(state[0], spec)
    before = state.copy()
    follow_voice(judged[-1], signal[-spec.frame :], True, state[0])
    assert_array_equal(state, before)


@pytest.mark.parametrize("name", SPECTRAL)
def test_many_hops_in_one_call_give_the_same_vowel(name):
    """What a vowel is judged by is put aside while later hops are read."""
    _, signal = vowel(3.0, 30.0)
    denoiser = build_can(name, engine="numba")
    signal = signal[: signal.size // denoiser.hop * denoiser.hop]
    one_by_one = stream(denoiser, signal)
    for n_together in (2, 3, 4, 7, 1000):
        denoiser.reset()
        out = np.empty_like(signal)
        for start in range(0, signal.size, n_together * denoiser.hop):
            part = slice(start, start + n_together * denoiser.hop)
            denoiser.process_hops(signal[part], out[part])
        assert_array_equal(out, one_by_one)


@pytest.mark.parametrize("pitch_hz", [110.0, 440.0, 700.0])
@pytest.mark.parametrize("name", SPECTRAL)
def test_a_held_vowel_comes_out_of_every_network_and_engine(name, pitch_hz):
    voice, signal = vowel(5.0, 30.0, pitch_hz)
    found = {}
    for engine in ("numba", "litert"):
        if engine == "litert":
            pytest.importorskip("ai_edge_litert", reason="networks run in LiteRT")
        denoiser = build_can(name, engine=engine)
        n = signal.size // denoiser.hop * denoiser.hop
        late = denoiser.latency_samples
        found[engine] = stream(denoiser, signal[:n])[late:]
        changes_db = [
            10 * np.log10(np.mean(found[engine][s : s + RATE // 2] ** 2) / np.mean(voice[s : s + RATE // 2] ** 2))
            for s in range(RATE, 6 * RATE - RATE // 2, RATE // 2)
        ]
        assert np.abs(changes_db).max() < 3.0
    assert_allclose(found["numba"], found["litert"], rtol=0, atol=compiled_atol(open_model(name).spec))
