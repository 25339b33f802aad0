"""Clips: pairs by name, VoiceBank-DEMAND's layout, and everything that cannot be measured said in a line."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError, SignalError
from rtdenoise.evaluate import clips, mixing


def write(path, signal, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal, rate)


@pytest.fixture
def folders(tmp_path, speech):
    noise = 0.01 * np.random.default_rng(0).standard_normal(speech.size)
    for name in ("a", "b"):
        write(tmp_path / "clean" / f"{name}.wav", speech)
        write(tmp_path / "noisy" / "rain" / f"{name}.flac", speech + noise)
    return tmp_path / "clean", tmp_path / "noisy"


def test_pairs_go_by_name_whatever_folder_and_container(folders, speech):
    write(folders[0] / "alone.wav", speech)
    found = clips.from_pairs(*folders)
    assert [(c.name, c.noise, c.snr_db) for c in found.clips] == [("a", "rain", None), ("b", "rain", None)]
    assert [path.rsplit("/", 1)[1] for path in found.unmatched] == ["alone.wav"]
    assert not found.voicebank
    clean, noisy, rate = clips.render(found.clips[0])
    assert (clean.dtype, noisy.shape, rate) == (np.float32, clean.shape, 16000)
    assert 0.005 < np.std(noisy - clean) < 0.02


def test_voicebank_demand_is_recognised(tmp_path, speech):
    for kind in ("clean", "noisy"):
        for name in ("p232_001", "p257_002"):
            write(tmp_path / f"{kind}_testset_wav" / f"{name}.wav", np.repeat(speech, 3), 48000)
    (tmp_path / "log_testset.txt").write_text("p232_001 bus 17.5\np257_002 cafe 2.5\nnonsense\n")
    folders = clips.find_voicebank(tmp_path)
    assert folders is not None
    found = clips.from_pairs(*folders)
    assert found.voicebank
    assert [(c.speaker, c.noise, c.snr_db) for c in found.clips] == [("p232", "bus", 17.5), ("p257", "cafe", 2.5)]
    assert clips.render(found.clips[0])[0].size == speech.size  # 48 kHz comes down to 16
    assert clips.find_voicebank(tmp_path / "clean_testset_wav") is None


def test_telephone_files_are_measured_at_their_rate(folders, speech):
    write(folders[0] / "a.wav", speech[::2], 8000)
    write(folders[1] / "rain" / "a.flac", speech[::2], 8000)
    clean, _, rate = clips.render(clips.from_pairs(*folders).clips[0])
    assert (rate, clean.size) == (8000, speech[::2].size)


@pytest.mark.parametrize("missing", [1, 60000])
def test_lengths_must_agree(folders, speech, missing):
    write(folders[1] / "rain" / "a.flac", speech[:-missing])
    with pytest.raises(SignalError, match=f"a: clean has {speech.size} samples, noisy {speech.size - missing}"):
        clips.render(clips.from_pairs(*folders).clips[0])


@pytest.mark.parametrize(
    ("signal", "reason"),
    [(np.zeros(16000), "silent"), (np.ones(4000) * 0.1, "too short"), (np.full(16000, np.nan), "not finite")],
)
def test_what_cannot_be_measured_is_said(tmp_path, signal, reason):
    for kind in ("clean", "noisy"):
        path = tmp_path / kind / "a.wav"
        path.parent.mkdir()
        soundfile.write(path, signal, 16000, subtype="FLOAT")
    with pytest.raises(SignalError, match=f"a: .*{reason}"):
        clips.render(clips.from_pairs(tmp_path / "clean", tmp_path / "noisy").clips[0])


def test_folders_without_a_pair_are_named(folders, tmp_path, speech):
    write(tmp_path / "other" / "z.wav", speech)
    with pytest.raises(AudioFileError, match="no file has the name"):
        clips.from_pairs(folders[0], tmp_path / "other")
    with pytest.raises(AudioFileError, match="no such folder"):
        clips.from_pairs(folders[0], tmp_path / "nowhere")


def test_clean_input_is_the_clean_speech(library):
    speech, noise = mixing.find_sources(library / "speech"), mixing.find_sources(library / "noise")
    plan = mixing.plan_mixtures(speech, noise, clips=2, seed=1, seconds=2.0)
    made = clips.clean_inputs(clips.from_mixtures(plan), 1)
    clean, noisy, _ = clips.render(made[0])
    assert (len(made), made[0].noise) == (1, clips.CLEAN)
    np.testing.assert_array_equal(clean, noisy)
