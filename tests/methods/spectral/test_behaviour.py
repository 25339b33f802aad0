"""What a listener notices: the first moment, onsets, quiet voices, limits, silence, jumps of level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise

RATE = 16000
METHODS = ("WF", "SS")
PRESETS = ("quality", "balanced", "low", "ultra")


def noise(seconds: float, level: float = 0.01, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, int(seconds * RATE)).astype(np.float32)


def voice(seconds: float, on_seconds: float = 0.25, off_seconds: float = 0.15, level: float = 0.1) -> np.ndarray:
    """Vowels with a moving pitch and formants, and pauses between them."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = 130 + 30 * np.sin(2 * np.pi * 0.9 * t) + 8 * np.sin(2 * np.pi * 5 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    out = np.zeros(t.size)
    for k in range(1, 30):
        hz = k * pitch
        out += np.sin(k * phase) * (
            np.exp(-(((hz - 600) / 300) ** 2)) + 0.5 * np.exp(-(((hz - 1700) / 500) ** 2)) + 0.02
        )
    place = t % (on_seconds + off_seconds)
    envelope = np.clip(np.minimum(place, on_seconds - place) / 0.02, 0, 1)
    return (level * out * envelope / np.abs(out).max()).astype(np.float32)


def level_db(signal: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(signal.astype(float) ** 2) + 1e-20))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
def test_noise_is_reduced_from_the_first_moment(method, preset):
    x = noise(2)
    y = rtdenoise.denoise(x, RATE, method, preset=preset)
    assert level_db(y[:1600]) < level_db(x[:1600]) - 5
    assert level_db(y[4800:8000]) < level_db(x[4800:8000]) - 7
    assert level_db(y[16000:]) < level_db(x[16000:]) - 9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_voice_at_the_very_start_is_not_learnt_as_noise(method, preset):
    x = voice(3) + noise(3, 0.001)
    y = rtdenoise.denoise(x, RATE, method, preset=preset)
    loud = slice(320, 3700)  # the first vowel
    assert level_db(y[loud]) > level_db(x[loud]) - 8  # learnt, it would be 15
    later = slice(16000, None)
    assert level_db(y[later]) > level_db(x[later]) - 3  # real voices lose less: the constants know no synthetic ones


@pytest.mark.parametrize("method", METHODS)
def test_quiet_voices_are_treated_like_loud_ones(method):
    x = voice(2) + noise(2, 0.01)
    loud = rtdenoise.denoise(x, RATE, method)
    quiet = rtdenoise.denoise(x * np.float32(2**-8), RATE, method)
    assert_allclose(quiet * 2**8, loud, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit_db", [6.0, 12.0, 18.0])
def test_no_bin_is_ever_attenuated_beyond_the_limit(method, limit_db):
    denoiser = rtdenoise.build(method, sample_rate=RATE, config={"attenuation_limit_db": limit_db})
    x = voice(1) + noise(1, 0.02)
    lowest, highest, block = 1.0, 0.0, np.empty(denoiser.hop, np.float32)
    for start in range(0, x.size - denoiser.hop, denoiser.hop):
        denoiser.process(x[start : start + denoiser.hop], block)
        lowest = min(lowest, float(denoiser.state["gain"].min()))
        highest = max(highest, float(denoiser.state["gain"].max()))
    assert 10 ** (-limit_db / 20) * 0.999 <= lowest < 10 ** (-limit_db / 20) * 1.3
    assert 0.9 < highest <= 1.0


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_of_0_db_changes_nothing(method):
    x = voice(0.5) + noise(0.5)
    assert_allclose(rtdenoise.denoise(x, RATE, method, config={"attenuation_limit_db": 0}), x, atol=2e-6)


def test_mix_goes_from_the_input_to_the_enhanced_signal():
    x = voice(1) + noise(1)
    wet, half, dry = (rtdenoise.denoise(x, RATE, "WF", config={"mix": mix}) for mix in (1.0, 0.5, 0.0))
    assert_allclose(dry, x, atol=2e-6)
    assert_allclose(half, (wet + dry) / 2, atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_digital_silence_teaches_nothing(method):
    """A muted minute leaves the record as its first moment left it."""
    denoiser = rtdenoise.build(method, sample_rate=RATE)
    x = voice(1) + noise(1)
    x = x[: x.size // denoiser.hop * denoiser.hop].copy()
    denoiser.process_hops(x, x)
    silence = np.zeros(60 * RATE // denoiser.hop * denoiser.hop, np.float32)
    denoiser.process_hops(silence[: 8 * denoiser.hop], np.empty(8 * denoiser.hop, np.float32))
    kept = denoiser.state.copy()
    denoiser.process_hops(silence, silence)
    for field in ("noise_psd", "clean_psd", "gain", "n_frames"):
        assert_array_equal(kept[field], denoiser.state[field])


@pytest.mark.parametrize("method", METHODS)
def test_noise_after_silence_is_reduced_as_from_the_start(method):
    x = noise(2)
    muted = np.concatenate([np.zeros(5 * RATE, np.float32), x])
    y = rtdenoise.denoise(muted, RATE, method)[5 * RATE :]
    assert level_db(y[4800:8000]) < level_db(x[4800:8000]) - 7


@pytest.mark.parametrize("method", METHODS)
def test_a_jump_of_the_noise_by_20_db_is_followed(method):
    x = np.concatenate([noise(2, 0.002), noise(4, 0.02, seed=1)])
    y = rtdenoise.denoise(x, RATE, method)
    assert level_db(y[56000:64000]) < level_db(x[56000:64000]) - 8  # 1.5 s after the jump


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_do_as_well(rate):
    x = np.random.default_rng(0).normal(0, 0.01, 3 * rate).astype(np.float32)
    y = rtdenoise.denoise(x, rate, "WF")
    assert level_db(y[rate:]) < level_db(x[rate:]) - 9


@pytest.mark.parametrize("tracker", ["presence", "minimum", "beginning"])
@pytest.mark.parametrize("method", METHODS)
def test_every_tracker_works_with_every_method(tracker, method):
    x = voice(4, level=0.2) + noise(4, 0.01)
    x[:4000] = noise(0.25, 0.01, seed=2)
    y = rtdenoise.denoise(x, RATE, method, config={"noise": {"tracker": tracker}})
    pauses = np.concatenate([np.arange(s + 4480, s + 5760) for s in range(32000, 57000, 6400)])
    assert level_db(y[pauses]) < level_db(x[pauses]) - 5
    kept_db = {"WF": -4, "SS": -2}[method]  # the fitted prior of WF knows real voices only, not this one
    assert level_db(y[32000:]) > level_db(x[32000:]) + kept_db


@pytest.mark.parametrize("rule", ["context", "fine", "decision-directed", "log-mmse"])
def test_every_rule_of_wiener_reduces_noise_and_keeps_the_voice(rule):
    x = voice(3, level=0.2) + noise(3, 0.01)
    y = rtdenoise.denoise(x, RATE, "WF", config={"wiener": {"rule": rule}})
    pauses = np.concatenate([np.arange(s + 4480, s + 5760) for s in range(19200, 41000, 6400)])
    assert level_db(y[pauses]) < level_db(x[pauses]) - 7
    kept_db = {"context": -4, "fine": -4, "decision-directed": -2, "log-mmse": -2}[
        rule
    ]  # the fitted one knows real voices only
    assert level_db(y[16000:]) > level_db(x[16000:]) + kept_db


def test_multi_band_subtraction_differs_from_one_band():
    x = voice(1) + noise(1)
    one = rtdenoise.denoise(x, RATE, "SS", config={"subtraction": {"rule": "band"}})
    six = rtdenoise.denoise(x, RATE, "SS", config={"subtraction": {"rule": "band", "n_bands": 6}})
    assert np.abs(one - six).max() > 1e-3


def clear_words(floor: float) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Eight words that begin with 80 ms of hiss, 10 dB below the vowel behind it, after pauses of 0.6 s."""
    rng = np.random.default_rng(3)
    hiss = rng.normal(0, 0.03, RATE // 12)
    hiss = np.convolve(hiss, [1, -0.9], "same") * np.linspace(0.5, 1, hiss.size)
    word = np.concatenate([hiss, voice(0.24)])
    pause = np.zeros(int(0.6 * RATE))
    clean = np.concatenate([np.concatenate([pause, word]) for _ in range(8)])
    starts = [n * (pause.size + word.size) + pause.size for n in range(8)]
    return clean, (clean + rng.normal(0, floor, clean.size)).astype(np.float32), starts


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("floor", [0.0005, 0.0001])
def test_consonants_after_pauses_are_kept_in_clear_recordings(method, preset, floor):
    clean, x, starts = clear_words(floor)
    y = rtdenoise.denoise(x, RATE, method, preset=preset)
    kept = [
        level_db(y[s : s + 800]) - level_db(clean[s : s + 800]) for s in starts[1:]
    ]  # nobody knows before the first
    assert np.median(kept) > -1 and min(kept) > -4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("snr_db", "least_db"), [(30, 29), (40, 36)])
def test_high_snr_comes_out_no_lower(method, preset, snr_db, least_db):
    """Once a second of noise and a word have been heard; who begins inside a word has more of it taken for noise."""
    clean = np.concatenate([np.zeros(RATE), voice(5, on_seconds=0.4, off_seconds=0.4)])
    spoken = slice(2 * RATE, None)
    x = clean + noise(6, float(np.sqrt(np.mean(clean[spoken] ** 2))) * 10 ** (-snr_db / 20))
    y = rtdenoise.denoise(x.astype(np.float32), RATE, method, preset=preset)
    assert level_db(clean[spoken]) - level_db((y - clean)[spoken]) > least_db


def claps(seconds: float, level: float = 0.2) -> np.ndarray:
    """Bursts of noise that die away within 0.1 s, one every 0.7 s."""
    t = np.arange(int(seconds * RATE)) / RATE
    return noise(seconds, level, seed=7) * np.exp(-(t % 0.7) / 0.02).astype(np.float32)


def clearness(x: np.ndarray, method: str, preset: str) -> np.ndarray:
    """What the recording is judged to be, hop by hop."""
    denoiser = rtdenoise.build(method, sample_rate=RATE, preset=preset)
    out, found = np.empty(denoiser.hop, np.float32), []
    for start in range(0, x.size - denoiser.hop + 1, denoiser.hop):
        denoiser.process(x[start : start + denoiser.hop], out)
        found.append(float(denoiser.state["clearness"][0]))
    return np.array(found)


@pytest.mark.parametrize("preset", PRESETS)
def test_bursts_over_a_quiet_floor_do_not_pass_for_clear_speech(preset):
    floor, bursts = noise(6, 0.0005), claps(6)
    assert clearness(bursts + floor, "WF", preset).max() == 0.0
    spoken = np.concatenate([np.zeros(2 * RATE, np.float32), voice(4, off_seconds=0.5, level=0.2)])
    assert clearness(spoken + bursts + floor, "WF", preset).max() < 0.5
    assert clearness(spoken + floor, "WF", preset)[-1] == 1.0


@pytest.mark.parametrize("preset", PRESETS)
def test_who_begins_inside_a_word_is_clear_after_the_first_pauses(preset):
    x = (voice(4, on_seconds=0.5, off_seconds=0.5, level=0.2) + noise(4, 0.0005))[RATE // 5 :]
    found = clearness(x, "WF", preset)
    assert found[found.size // 2 :].min() == 1.0


def held(hz: float, seconds: float = 5.0, rate: int = RATE) -> np.ndarray:
    """A vowel with a little vibrato."""
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.01 * np.sin(2 * np.pi * 5 * t))) / rate
    return 0.1 * np.sum([np.sin(k * phase) / k for k in range(1, 9)], axis=0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_long_final_hiss_is_no_burst(preset):
    """Short words that end in a hiss as loud as half the vowel, a pause after each."""
    word = np.concatenate(
        [voice(0.2, on_seconds=0.2, level=0.3), noise(0.24, 0.05, seed=2), np.zeros(9000, np.float32)]
    )
    x = np.tile(word, 6) + noise(7, 0.0003)[: 6 * word.size]
    found = clearness(x, "WF", preset)
    assert found[found.size // 2 :].min() == 1.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("preset", "rate"), [*((p, RATE) for p in PRESETS), ("balanced", 8000), ("balanced", 48000)])
def test_a_held_vowel_is_kept(method, preset, rate):
    vowel = np.concatenate([np.zeros(2 * rate), held(220.0, rate=rate)])
    x = vowel + np.random.default_rng(0).normal(0, 0.003, vowel.size)
    y = rtdenoise.denoise(x.astype(np.float32), rate, method, preset=preset)
    most_db = 5 if (method, preset) == ("SS", "ultra") else 3  # its short hops leave the tracker less certain
    for second in range(2, 7):
        part = slice(second * rate, (second + 1) * rate)
        assert abs(level_db(y[part]) - level_db(vowel[part])) < most_db


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("preset", "rate"), [*((p, RATE) for p in PRESETS), ("balanced", 48000)])
def test_who_sings_high_is_kept(method, preset, rate):
    for pitch_hz in (550.0, 700.0, 900.0):
        sung = np.concatenate([np.zeros(2 * rate), held(pitch_hz, seconds=3.0, rate=rate)])
        x = sung + np.random.default_rng(0).normal(0, 0.001, sung.size)
        y = rtdenoise.denoise(x.astype(np.float32), rate, method, preset=preset)
        for second in range(2, 5):
            part = slice(second * rate, (second + 1) * rate)
            assert abs(level_db(y[part]) - level_db(sung[part])) < 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preset", PRESETS)
def test_noise_switched_on_after_clear_speech_is_learnt(method, preset):
    """The recording was clear, and the noise that comes is 15 dB above what was known."""
    words = voice(3, off_seconds=0.4)
    x = np.concatenate([words + noise(3, 0.001), noise(6, 0.006, seed=1)])
    y = rtdenoise.denoise(x, RATE, method, preset=preset)
    learnt = slice(5 * RATE, 9 * RATE)  # two seconds after it came
    assert level_db(y[learnt]) < level_db(x[learnt]) - 8


def test_a_hum_that_lasts_is_learnt_at_last():
    t = np.arange(12 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * k * 100 * t) / k for k in range(1, 6)) * 0.02
    hum[: 2 * RATE] = 0.0
    x = (hum + noise(12, 0.001)).astype(np.float32)
    y = rtdenoise.denoise(x, RATE, "WF")
    assert level_db(y[10 * RATE :]) < level_db(x[10 * RATE :]) - 8
