"""Folders of recordings: layouts, splits, formats, what cannot be read."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.collection import KINDS, audio_files, find_recordings
from rtdenoise.lab.data.library import open_shelf
from rtdenoise.sound.media import reader as media

soundfile = pytest.importorskip("soundfile")
N = 16000


def test_folders_are_read_with_their_splits(data_folder):
    found = find_recordings(data_folder)
    count = {
        (k, s): sum(r.kind == k and r.split == s for r in found) for k in ("speech", "noise") for s in ("train", "dev")
    }
    assert count == {("speech", "train"): 8, ("speech", "dev"): 6, ("noise", "train"): 2, ("noise", "dev"): 2}
    train, dev = ({r.group for r in found if r.kind == "speech" and r.split == s} for s in ("train", "dev"))
    assert not train & dev


def test_manifest_is_read_and_tier_c_is_no_target(data_folder, tmp_path):
    root = tmp_path / "m"
    root.mkdir()
    rows = []
    for r in find_recordings(data_folder):
        tier = "C" if r.path.name == "1.wav" and r.kind == "speech" else "A"
        rows.append({"path": str(r.path), "kind": r.kind, "split": r.split, "speaker": r.group, "tier": tier})
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = find_recordings(root)
    kw = {"cache": tmp_path / "c", "sample_rate": 16000}
    assert len(open_shelf(found, "speech", "train", **kw)) == 8
    assert len(open_shelf(found, "speech", "train", targets_only=True, **kw)) == 4


def test_a_manifest_may_begin_with_a_byte_order_mark(tmp_path):
    rows = [f"{kind}.wav,{kind},train" for kind in ("speech", "noise")]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,kind,split", *rows]), encoding="utf-8-sig")
    assert [r.kind for r in find_recordings(tmp_path)] == ["speech", "noise"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,kind,split\nGeräusch.wav,noise,train\n".encode("latin-1"), "not text in UTF-8 .*; save it in that"),
        (b"kind,split,path\nnoise,train\n", "no path in row 1"),
        (b"path,kind\na.wav,noise\n", "no column 'split'"),
        (b"path,kind,split\n" + b"a" * 200_000 + b",noise,train\n", "not a table of comma-separated values"),
    ],
)
def test_manifests_that_cannot_be_read_are_one_line(tmp_path, content, message):
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"manifest\.csv: {message}") as caught:
        find_recordings(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "container", "subtype"),
    [
        ("wav", "WAV", "PCM_16"), ("WAV", "NIST", "PCM_16"), ("sph", "NIST", "PCM_16"), ("w64", "W64", "PCM_16"),
        ("caf", "CAF", "PCM_16"), ("rf64", "RF64", "PCM_16"), ("aifc", "AIFF", "PCM_16"), ("snd", "AU", "ULAW"),
        ("oga", "OGG", "VORBIS"), ("voc", "VOC", "PCM_16"), ("flac", "FLAC", "PCM_24"), ("sf", "IRCAM", "PCM_16"),
        ("paf", "PAF", "PCM_16"), ("avr", "AVR", "PCM_16"), ("iff", "SVX", "PCM_16"),
    ],
)  # fmt: skip
def test_every_format_of_libsndfile_is_found_and_read(tmp_path, suffix, container, subtype):
    for kind in ("speech", "noise"):
        (tmp_path / kind / "train").mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
        soundfile.write(tmp_path / kind / "train" / f"a.{suffix}", tone, 16000, format=container, subtype=subtype)
    shelf = open_shelf(find_recordings(tmp_path), "speech", "train", cache=tmp_path / "c", sample_rate=16000)
    assert np.argmax(np.abs(np.fft.rfft(shelf.recording(0)))) == pytest.approx(440, abs=1)


def test_what_is_no_sound_is_passed_over_and_sound_that_cannot_be_read_is_named(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(media, "find_spec", lambda _name: None)
    for name in ("a.wav", "README.md", "a.txt", "a.mat", "d.raw", "a.png", "features.htk", "wav", "b.m4a", "c.M4A"):
        (tmp_path / name).touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "e.wav").touch()
    with caplog.at_level(logging.WARNING):
        assert [p.name for p in audio_files(tmp_path)] == ["a.wav"]
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith(f"{tmp_path}: 3 recordings are left out (b.m4a, c.M4A, d.raw): ") and "\n" not in line
    assert "pip install 'rtdenoise[media]'" in line and "ffmpeg -f s16le -ar HZ -i d.raw d.wav" in line


def test_phone_recordings_are_material_too(tmp_path):
    """By their content, whatever the name says; through the extra, like everywhere."""
    pytest.importorskip("av", reason="PyAV, the extra media, is not installed")
    from tests.files.test_media import sound

    for kind, name in (("speech", "a.m4a"), ("noise", "no suffix")):
        folder = tmp_path / kind / "train"
        folder.mkdir(parents=True)
        sound(folder / "a.m4a", "ipod", "aac", channels=2).rename(folder / name)
    for kind in ("speech", "noise"):
        shelf = open_shelf(find_recordings(tmp_path), kind, "train", cache=tmp_path / "c", sample_rate=16000)
        assert len(shelf) == 1 and shelf.seconds == pytest.approx(2.0, abs=0.1)


def test_a_name_that_hides_what_takes_the_extra_is_unreadable_without_it(tmp_path, monkeypatch, caplog):
    for kind in ("speech", "noise"):
        (tmp_path / kind / "train").mkdir(parents=True)
        soundfile.write(tmp_path / kind / "train" / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(N), N)
    (tmp_path / "speech" / "train" / "b.wav").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(64))
    monkeypatch.setattr(media, "find_spec", lambda _name: None)
    shelf = open_shelf(find_recordings(tmp_path), "speech", "train", cache=tmp_path / "c", sample_rate=16000)
    assert len(shelf) == 1 and "1 of 2 files are unreadable" in caplog.text


def voicebank(root, speakers):
    """Noisy and clean files, two of each speaker; the noise is a tone."""
    rng = np.random.default_rng(0)
    for part, names in (("trainset_28spk_wav", speakers), ("testset_wav", ("p232", "p257"))):
        for kind in ("clean", "noisy"):
            (root / f"{kind}_{part}").mkdir()
        for name in (f"{speaker}_00{take}.wav" for speaker in names for take in (1, 2)):
            clean, noise = 0.1 * rng.standard_normal(16000), 0.05 * np.sin(np.arange(16000) * 0.3)
            soundfile.write(root / f"clean_{part}" / name, clean, 16000, subtype="FLOAT")
            soundfile.write(root / f"noisy_{part}" / name, clean + noise, 16000, subtype="FLOAT")


@pytest.mark.parametrize("speakers", [("p226", "p227", "p228", "p287"), ("p234", "p236", "p238"), ("p226", "p287")])
def test_voicebank_layout_gives_speech_and_the_noise_alone_and_leaves_the_test_set_alone(tmp_path, speakers):
    voicebank(tmp_path, speakers)
    found = find_recordings(tmp_path)
    assert {(r.kind, r.split) for r in found} == {(k, s) for k in ("speech", "noise") for s in ("train", "dev")}
    assert not [r for r in found if "testset" in str(r.path)]
    heard = {s: {r.path.stem.split("_")[0] for r in found if r.split == s} for s in ("train", "dev")}
    assert not heard["train"] & heard["dev"]
    assert heard["train"] | heard["dev"] == set(speakers)
    if len(speakers) == 4:
        assert heard["dev"] == {"p226", "p287"}
    shelf = open_shelf(found, "noise", "train", cache=tmp_path / "c", sample_rate=16000)
    assert abs(np.corrcoef(shelf.recording(0), np.sin(np.arange(16000) * 0.3))[0, 1]) > 0.999


def test_folders_without_a_split_of_their_own_are_always_divided(tmp_path):
    for number in range(10):
        (tmp_path / "speech" / f"speaker{number}").mkdir(parents=True)
        for take in "ab":
            (tmp_path / "speech" / f"speaker{number}" / f"{take}.wav").touch()
    (tmp_path / "noise" / "street").mkdir(parents=True)
    for take in range(45):
        (tmp_path / "noise" / "street" / f"{take}.wav").touch()
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "only.wav").touch()
    found = find_recordings(tmp_path)
    count = {(k, s): sum(r.kind == k and r.split == s for r in found) for k in KINDS for s in ("train", "dev")}
    assert count == {
        ("speech", "train"): 18, ("speech", "dev"): 2,
        ("noise", "train"): 43, ("noise", "dev"): 2,
        ("rooms", "train"): 1, ("rooms", "dev"): 0,
    }  # fmt: skip
    assert len({r.group for r in found if r.kind == "speech" and r.split == "dev"}) == 1
    assert found == find_recordings(tmp_path)
    with pytest.raises(ConfigError, match="no speech files for 'dev': two files at least"):
        open_shelf([r for r in found if r.split == "train"], "speech", "dev", cache=tmp_path / "c", sample_rate=16000)


def test_further_folders_are_trained_on_and_never_measured_on(data_folder, tmp_path, caplog):
    (tmp_path / "plain" / "rooms" / "hall").mkdir(parents=True)
    for take in range(45):
        (tmp_path / "plain" / "rooms" / "hall" / f"{take}.wav").touch()
    (tmp_path / "split").mkdir()
    rows = [
        "path,kind,split,label,speaker",
        "a.wav,speech,train,,anna",
        "b.wav,speech,dev,,bert",
        "c.wav,noise,train,x,",
    ]
    (tmp_path / "split" / "manifest.csv").write_text("\n".join(rows))
    own = find_recordings(data_folder)
    found = find_recordings(data_folder, [tmp_path / "plain", tmp_path / "split", tmp_path / "plain"])
    assert found[: len(own)] == own
    assert "plain: 45 files are left out, because an earlier folder has them" in caplog.text
    assert find_recordings(data_folder, [data_folder]) == own  # no validation recording is trained on
    added = found[len(own) :]
    assert all(r.split == "train" for r in added)
    assert [sum(r.kind == kind for r in added) for kind in KINDS] == [1, 1, 45]
    with pytest.raises(ConfigError, match="nothing: no such data folder"):
        find_recordings(data_folder, [tmp_path / "nothing"])
    (tmp_path / "bare").mkdir()
    with pytest.raises(
        ConfigError, match=r"bare: nothing to train with; expected a manifest\.csv with rows of the split"
    ):
        find_recordings(data_folder, [tmp_path / "bare"])


def test_folders_without_a_common_one_are_named(data_folder, tmp_path, monkeypatch):
    for folder in ("here", "there"):
        for kind in ("speech", "noise"):
            (tmp_path / folder / kind / "train").mkdir(parents=True)
            (tmp_path / folder / kind / "train" / "a.wav").write_bytes(b"not sound")
    monkeypatch.chdir(tmp_path)
    found = find_recordings(Path("here"), [tmp_path / "there"])
    with pytest.raises(ConfigError, match=r"none of 2 speech files for 'train' below here.speech.train can be used"):
        open_shelf(found, "speech", "train", cache=tmp_path / "c", sample_rate=16000)


def test_a_voicebank_folder_beside_others_is_trained_on_whole(data_folder, tmp_path):
    for speaker in range(40):
        for folder in ("clean_trainset_wav", "noisy_trainset_wav"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"p3{speaker:02d}_1.wav").touch()
    added = [r for r in find_recordings(data_folder, [tmp_path]) if r.path.is_relative_to(tmp_path)]
    assert sum(r.kind == "speech" for r in added) == sum(r.kind == "noise" for r in added) == 40


def test_files_at_other_rates_and_with_two_channels_are_read(tmp_path):
    for kind in ("speech", "noise"):
        (tmp_path / kind / "train").mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
        soundfile.write(tmp_path / kind / "train" / "a.wav", np.stack([tone, tone], 1), 48000)
    shelf = open_shelf(find_recordings(tmp_path), "speech", "train", cache=tmp_path / "c", sample_rate=16000)
    assert len(shelf.recording(0)) == 16000
    assert np.argmax(np.abs(np.fft.rfft(shelf.recording(0)))) == 440


def test_unreadable_and_missing_data_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no such data folder"):
        find_recordings(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=r"no speech to train with; expected manifest\.csv"):
        find_recordings(tmp_path)
    for kind in ("speech", "noise"):
        (tmp_path / kind / "train").mkdir(parents=True)
        (tmp_path / kind / "train" / "a.wav").write_bytes(b"not sound")
    with pytest.raises(ConfigError, match=r"none of 1 speech files for 'train' below .*speech.train can be used"):
        open_shelf(find_recordings(tmp_path), "speech", "train", cache=tmp_path / "c", sample_rate=16000)
