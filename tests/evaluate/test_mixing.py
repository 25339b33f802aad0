"""Mixtures: seeded, balanced, at the ratio and level that was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import AudioFileError, ConfigError, RtDenoiseError, SignalError
from rtdenoise.evaluate import mixing, signals
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, active_speech_level_db
from rtdenoise.evaluate.words.utterances import find_utterances


def plan_of(library: Path, **changes: object) -> list[mixing.Mixture]:
    settings: dict[str, object] = {"clips": 12, "seed": 5, "seconds": 3.0, "snrs_db": (0.0, 10.0)}
    speech, noise = mixing.find_sources(library / "speech"), mixing.find_sources(library / "noise")
    return mixing.plan_mixtures(speech, noise, **(settings | changes))  # type: ignore[arg-type]


def test_same_seed_same_samples_other_seed_other_recipes(library):
    first, again, other = plan_of(library), plan_of(library), plan_of(library, seed=6)
    assert first == again
    assert first != other
    for a, b in zip(mixing.render_mixture(first[0]), mixing.render_mixture(again[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_snrs_and_speakers_take_turns(library):
    plan = plan_of(library, clips=28)
    for field, expected in (("noise_label", 14), ("snr_db", 14), ("speaker", 4)):
        values = [getattr(recipe, field) for recipe in plan]
        assert {values.count(v) for v in values} == {expected}
    assert len({(r.noise_label, r.snr_db) for r in plan}) == 4


def test_clip_has_length_ratio_and_level(library):
    for recipe in plan_of(library):
        clean, noisy = mixing.render_mixture(recipe)
        assert clean.shape == noisy.shape == (3 * SAMPLE_RATE_HZ,)
        assert clean.dtype == noisy.dtype == np.float32
        level_db = active_speech_level_db(clean.astype(np.float64), SAMPLE_RATE_HZ)
        noise_db = 10 * np.log10(np.mean((noisy.astype(np.float64) - clean) ** 2))
        assert level_db - noise_db == pytest.approx(recipe.snr_db, abs=0.05)
        assert level_db == pytest.approx(recipe.level_db, abs=0.05)


def test_sum_that_would_clip_is_scaled_together(speech):
    rng = np.random.default_rng(0)
    clean, noisy = signals.mix_at_snr(speech, rng.standard_normal(speech.size), -10.0, -6.0)
    assert np.max(np.abs(noisy)) <= 0.9901
    assert active_speech_level_db(clean.astype(np.float64), SAMPLE_RATE_HZ) < -8.0


def test_babble_sums_other_speakers(library):
    plan = plan_of(library, labels=(mixing.BABBLE,))
    for recipe in plan:
        assert 4 <= len(recipe.noise) <= 6
        assert all(f"/{recipe.speaker}/" not in path for path in recipe.noise)


def test_babble_needs_enough_speakers(library):
    few = [s for s in mixing.find_sources(library / "speech") if s.label in ("speaker0", "speaker1")]
    with pytest.raises(ConfigError, match="babble needs"):
        mixing.plan_mixtures(few, mixing.find_sources(library / "noise"), clips=1, seed=0, labels=["babble"])


def test_unknown_label_names_the_known_ones(library):
    with pytest.raises(ConfigError, match="hiss, rumble"):
        plan_of(library, labels=("thunder",))


def test_active_level_ignores_pauses(speech):
    with_pause = np.concatenate([speech, np.zeros(4 * speech.size)])
    alone = active_speech_level_db(speech, SAMPLE_RATE_HZ)
    assert active_speech_level_db(with_pause, SAMPLE_RATE_HZ) == pytest.approx(alone, abs=0.6)
    assert 10 * np.log10(np.mean(with_pause**2)) < alone - 6.0


def test_active_level_of_a_steady_tone_is_its_power():
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(5 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)
    assert active_speech_level_db(tone, SAMPLE_RATE_HZ) == pytest.approx(-9.03, abs=0.15)


def test_active_level_follows_the_gain(speech):
    louder = active_speech_level_db(10.0 * speech, SAMPLE_RATE_HZ)
    assert louder - active_speech_level_db(speech, SAMPLE_RATE_HZ) == pytest.approx(20.0, abs=0.5)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 5.0])
def test_noise_is_looped_or_cut_and_freed_of_silent_ends(seconds):
    rng = np.random.default_rng(3)
    noise = np.concatenate([np.zeros(3000), rng.standard_normal(int(seconds * 16000)), np.zeros(9000)])
    looped = signals.noise_of_length(noise, 40000, rng)
    assert looped.shape == (40000,)
    frames = np.mean(looped.reshape(-1, 400) ** 2, axis=1)
    assert frames.min() > 0.4
    assert frames.max() < 2.0


def test_manifest_is_filtered(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,kind,split,label,speaker,tier\n"
        "a.wav,speech,dev,,anna,A\nb.wav,speech,train,,bert,A\nc.wav,speech,dev,,carl,C\nd.wav,noise,dev,rain,,ok\n"
    )
    found = mixing.find_sources(manifest, "speech", "dev", ("A", "B"))
    assert [(Path(s.path).name, s.label, s.tier) for s in found] == [("a.wav", "anna", "A")]
    assert [s.label for s in mixing.find_sources(manifest, "noise")] == ["rain"]


@pytest.mark.parametrize("name", ["missing", "missing.csv"])
def test_missing_location_is_named(tmp_path, name):
    with pytest.raises(RtDenoiseError, match=name):
        mixing.find_sources(tmp_path / name)


def test_folder_without_audio_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(AudioFileError, match="no audio"):
        mixing.find_sources(tmp_path)


def test_damaged_recording_is_named(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF....")
    with pytest.raises(AudioFileError, match=r"bad\.wav"):
        signals.read_mono(tmp_path / "bad.wav")


def test_silence_cannot_be_mixed(speech):
    with pytest.raises(SignalError, match="silent"):
        signals.mix_at_snr(speech, np.zeros(speech.size), 0.0, -20.0)
    with pytest.raises(SignalError, match="silent"):
        signals.noise_of_length(np.zeros(100), 10, np.random.default_rng(0))
    with pytest.raises(SignalError, match="equally long"):
        signals.mix_at_snr(speech, speech[:-1], 0.0, -20.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,kind\na.wav,speech\n", "no column 'path'"),
        (b"path,kind\na.wav,speech\n,noise\n", "no path in row 2"),
        (b"path,kind\n\xe9.wav,speech\n", "not text in UTF-8"),
        (b"", "no column 'path'"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_line(tmp_path, content, words):
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(content)
    for read in (mixing.find_sources, find_utterances):
        with pytest.raises(ConfigError, match=words):
            read(manifest)
    with pytest.raises(ConfigError, match="cannot be read"):
        mixing.find_sources(tmp_path / "none.csv")
