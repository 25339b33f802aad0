"""Clips: pairs by name, VoiceBank-DEMAND's layout, and everything that cannot be measured said in a line."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError, SignalError
from rtdenoise.evaluate import clips, mixing
from rtdenoise.sound.media import reader as media


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


def test_recordings_that_reach_above_8_khz_are_rendered_at_their_own_rate_too(folders, library, speech):
    assert clips.render_full_band(clips.from_pairs(*folders).clips[0]) is None
    for rate, expected in ((32000, 32000), (96000, 48000)):
        write(folders[0] / "a.wav", np.repeat(speech, rate // 16000), rate)
        write(folders[1] / "rain" / "a.flac", np.repeat(speech, rate // 16000), rate)
        clean, noisy, found = clips.render_full_band(clips.from_pairs(*folders).clips[0])
        assert (found, clean.size, noisy.dtype) == (expected, speech.size * expected // 16000, np.float32)
    sources = (mixing.find_sources(library / "noise"),) * 2  # at 16 and at 44.1 kHz
    both = clips.from_mixtures(mixing.plan_mixtures(*sources, clips=6, seed=1, seconds=1.0))
    rates = {full and full[2] for full in map(clips.render_full_band, both)}
    assert rates == {None, 44100}


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


def test_phone_recordings_are_pairs_too(folders, speech):
    pytest.importorskip("av", reason="PyAV, the extra media, is not installed")
    from tests.files.test_media import sound

    for folder in folders:
        sound(folder / "memo.m4a", "ipod", "alac", seconds=1.0)
    found = clips.from_pairs(*folders)
    assert "memo" in [clip.name for clip in found.clips] and not found.left_out
    clean, noisy, rate = clips.render(next(clip for clip in found.clips if clip.name == "memo"))
    assert (clean.size, rate) == (16000, 16000)
    np.testing.assert_array_equal(clean, noisy)


def test_recordings_that_cannot_be_read_are_counted_and_named_with_the_remedy(folders, monkeypatch, caplog):
    monkeypatch.setattr(media, "find_spec", lambda _name: None)
    memo, raw = folders[1] / "memo.m4a", folders[0] / "samples.raw"
    memo.write_bytes(b"\0\0\0\x1cftypM4A ")
    raw.write_bytes(bytes(100))
    (folders[0] / "notes.txt").write_text("nothing to hear")
    found = clips.from_pairs(*folders)
    assert len(found.clips) == 2 and list(found.left_out) == [str(raw), str(memo)]
    assert [message.partition(")")[0] for message in caplog.messages] == [
        f"{folders[0]}: 1 recording is left out (samples.raw",
        f"{folders[1]}: 1 recording is left out (memo.m4a",
    ]
    assert "pip install 'rtdenoise[media]'" in caplog.messages[1]
    left_out: dict[str, str] = {}
    assert len(mixing.find_sources(folders[1], left_out=left_out)) == 2 and list(left_out) == [str(memo)]
    for path in folders[1].rglob("*.flac"):
        path.unlink()
    with pytest.raises(AudioFileError, match=r"1 recording is left out \(memo.*rtdenoise\[media\]"):
        mixing.find_sources(folders[1])


def test_what_is_odd_about_a_file_is_said_once_for_all_clips_of_a_worker(folders, tmp_path, caplog):
    from rtdenoise.evaluate.compared.systems import choose
    from rtdenoise.evaluate.scoring import score_all

    for path in (folders[0] / "a.wav", folders[1] / "rain" / "a.flac"):
        whole = soundfile.read(path)[0]
        soundfile.write(tmp_path / "a.wav", whole, 16000)
        path.with_suffix(".wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-2000])
    (folders[1] / "rain" / "a.flac").unlink()
    found = clips.from_pairs(*folders).clips[:1]
    scored = score_all(found, choose(["bypass"], [])[0], tmp_path / "cache", jobs=1, with_dnsmos=False)
    assert [remark.rpartition(": ")[0].rpartition("/")[2] for remark in scored[0].remarks] == [
        "a.wav: shorter than its header says"
    ] * 2
    assert not caplog.messages
