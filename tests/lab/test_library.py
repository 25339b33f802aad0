"""Decoded recordings and validation sets on disk: used again where they are whole, made again where they are not."""

from __future__ import annotations

import logging
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ConfigError
from rtdenoise.lab.classifier.labels import find_clips
from rtdenoise.lab.classifier.sounds import open_sounds
from rtdenoise.lab.classifier.spec import Task
from rtdenoise.lab.data.collection import Recording
from rtdenoise.lab.data.library import decoded, open_shelf
from rtdenoise.lab.data.mixtures import Mixer, MixParams
from rtdenoise.lab.data.validation import validation_set
from rtdenoise.lab.training.session import open_mixer
from tests.lab.sounds import class_folders

soundfile = pytest.importorskip("soundfile")
RATE = 16000


def recordings(root: Path, count: int, seconds: float = 0.5) -> list[Recording]:
    """Tones, each of its own pitch and length."""
    found = []
    for number in range(count):
        n = int(seconds * RATE) + number
        path = root / f"{number}.wav"
        soundfile.write(path, 0.5 * np.sin(np.arange(n) * 0.05 * (1 + number)), RATE)
        found.append(Recording(path, "noise", "train", str(number)))
    return found


def samples_of(chosen, cache):
    """Each recording as `open_shelf` would cut it out."""
    table = decoded(chosen, cache, RATE)
    return np.split(np.load(table["file"]), np.cumsum(table["lengths"])[:-1])


def test_a_recording_that_has_gone_does_not_shift_the_others(tmp_path):
    a, b, c = recordings(tmp_path, 3)
    whole = samples_of([a, b, c], tmp_path / "cache")
    b.path.unlink()
    for _ in range(2):
        without = samples_of([a, b, c], tmp_path / "cache")
        assert [len(x) for x in without] == [8000, 0, 8002]
        assert_array_equal(without[2], whole[2])
        two = samples_of([a, c], tmp_path / "cache")
        assert [len(x) for x in two] == [8000, 8002]


@pytest.mark.parametrize("suffix", [".json", ".npy"])
@pytest.mark.parametrize("damage", ["missing", "cut short", "empty", "something else", "archive"])
def test_a_damaged_cache_is_made_again(tmp_path, suffix, damage):
    chosen = recordings(tmp_path, 2)
    cache = tmp_path / "cache"
    first = samples_of(chosen, cache)
    file = next(cache.glob(f"*{suffix}"))
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        damaged = {"cut short": content[:-10], "empty": b"", "something else": b"[1, 2]", "archive": b"PK\x03\x04"}
        file.write_bytes(damaged[damage])
    again = samples_of(chosen, cache)
    for one, other in zip(first, again, strict=True):
        assert_array_equal(one, other)
    assert file.read_bytes() == content
    assert len(list(cache.iterdir())) == 2


def test_what_is_decoded_is_not_decoded_again(tmp_path, monkeypatch):
    chosen = recordings(tmp_path, 2)
    decoded(chosen, tmp_path / "cache", RATE)
    monkeypatch.setattr("rtdenoise.lab.data.library._decode", None)
    assert decoded(chosen, tmp_path / "cache", RATE)["lengths"] == [8000, 8001]


def test_projects_with_the_same_relative_paths_do_not_share_recordings(tmp_path, monkeypatch):
    heard = []
    for project, pitch in (("first", 0.05), ("second", 0.4)):
        (tmp_path / project / "data").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / project)
        soundfile.write("data/1.wav", 0.5 * np.sin(np.arange(8000) * pitch), RATE)
        os.utime("data/1.wav", ns=(1, 1))
        heard += samples_of([Recording(Path("data/1.wav"), "speech", "train", "a")], tmp_path / "cache")
    assert not np.array_equal(*heard)


@pytest.mark.parametrize("part", ["path", "without"])
def test_a_recording_replaced_by_another_of_its_length_is_decoded_again(tmp_path, part):
    noisy, clean, other = recordings(tmp_path, 3)
    chosen = [replace(noisy, without=clean.path)]
    first = samples_of(chosen, tmp_path / "cache")
    place = getattr(chosen[0], part)
    written = place.stat()
    n = soundfile.info(place).frames
    shutil.copyfile(other.path, place)
    soundfile.write(place, soundfile.read(place)[0][:n], RATE)
    assert place.stat().st_size == written.st_size
    os.utime(place, ns=(written.st_atime_ns, written.st_mtime_ns + 1))
    assert not np.array_equal(first[0], samples_of(chosen, tmp_path / "cache")[0])


def test_a_short_room_is_used_although_it_was_too_short_for_a_noise(tmp_path):
    noises = recordings(tmp_path, 2, seconds=0.1)
    assert decoded(noises, tmp_path / "cache", RATE)["lengths"] == [0, 0]
    rooms = [replace(r, kind="rooms") for r in noises]
    assert decoded(rooms, tmp_path / "cache", RATE)["lengths"] == [1600, 1601]


def test_what_is_left_out_is_named_every_time_and_once(tmp_path, caplog):
    found = [replace(r, kind=kind) for r in recordings(tmp_path, 3) for kind in ("speech", "noise")]
    (tmp_path / "1.wav").write_bytes(b"no sound")
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for targets in (True, False):
                open_shelf(found, "speech", "train", cache=tmp_path / "c", sample_rate=RATE, targets_only=targets)
        assert [r.getMessage() for r in caplog.records] == [
            f"1 of 3 files are unreadable, silent or too short: {tmp_path / '1.wav'}"
        ]


def test_rooms_none_of_which_can_be_read_are_named(tmp_path, caplog):
    (tmp_path / "1.wav").write_bytes(b"no sound")
    rooms = [Recording(tmp_path / "1.wav", "rooms", "train", "a")]
    with caplog.at_level(logging.WARNING):
        assert not len(open_shelf(rooms, "rooms", "train", cache=tmp_path / "c", sample_rate=RATE))
    assert "1 of 1 files are unreadable" in caplog.text


def test_labelled_clips_that_are_left_out_are_named_every_time(tmp_path, caplog):
    clips = find_clips(class_folders(tmp_path / "data"))
    bad = next(clip.path for clip in clips if clip.split == "train")
    bad.write_bytes(b"no sound")
    task = Task(name="sounds", kind="single", classes=("clicks", "hiss", "tone"))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            open_sounds(clips, task, "train", cache=tmp_path / "cache", sample_rate=RATE)
        assert f"1 of 24 files are unreadable, silent or too short: {bad}" in caplog.text


def test_decoding_holds_a_few_recordings_at_a_time(tmp_path, monkeypatch):
    chosen = recordings(tmp_path, 60, seconds=2.0)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    tracemalloc.start()
    table = decoded(chosen, tmp_path / "cache", RATE)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 0.5 * 2 * sum(table["lengths"])


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"decoded recordings cannot be kept there \("):
        decoded(recordings(tmp_path, 1), tmp_path / "file" / "cache", RATE)


@pytest.mark.parametrize("damage", ["missing", "cut short", "empty"])
def test_a_damaged_validation_set_is_made_again(data_folder, tmp_path, damage):
    mixer = open_mixer(data_folder, "dev", MixParams(), cache=tmp_path, sample_rate=RATE)
    first = validation_set(mixer, clips=2, n_samples=8000, cache=tmp_path)
    (file,) = tmp_path.glob("validation-*")
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2] if damage == "cut short" else b"")
    for _ in range(2):
        again = validation_set(mixer, clips=2, n_samples=8000, cache=tmp_path)
        assert_array_equal(first[0], again[0])
        assert_array_equal(first[1], again[1])
    assert list(tmp_path.glob("validation-*")) == [file]


def test_other_recordings_of_the_same_lengths_make_another_validation_set(tmp_path):
    made = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        found = []
        for kind in ("speech", "noise"):
            path = tmp_path / f"{kind}{seed}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(RATE), RATE)
            found.append(Recording(path, kind, "dev", "a"))
        kw = {"cache": tmp_path / "cache", "sample_rate": RATE}
        speech, noise, rooms = (open_shelf(found, kind, "dev", **kw) for kind in ("speech", "noise", "rooms"))
        mixer = Mixer(MixParams(), speech, speech, noise, rooms)
        made.append(validation_set(mixer, clips=1, n_samples=8000, cache=tmp_path / "cache"))
    assert not np.array_equal(made[0][0], made[1][0])


def test_other_groups_of_the_same_recordings_make_another_validation_set(tmp_path):
    speech, noise = (
        [replace(r, kind=kind, split="dev") for r in recordings(tmp_path, 4)] for kind in ("speech", "noise")
    )
    kw = {"cache": tmp_path / "cache", "sample_rate": RATE}
    made = []
    for groups in ("aaab", "abbb"):
        found = [replace(r, group=name) for r, name in zip(speech, groups, strict=True)] + noise
        voices, noises, rooms = (open_shelf(found, kind, "dev", **kw) for kind in ("speech", "noise", "rooms"))
        mixer = Mixer(MixParams(room=0.0, noise_alone=0.0), voices, voices, noises, rooms)
        made.append(validation_set(mixer, clips=4, n_samples=8000, cache=tmp_path / "cache"))
    assert not np.array_equal(made[0][1], made[1][1])


def test_other_rates_and_several_channels_are_told_in_a_line_each(tmp_path, caplog):
    rng = np.random.default_rng(4)
    found = recordings(tmp_path, 1)
    for name, rate, channels in (("a", 8000, 1), ("b", 8000, 2), ("c", 48000, 1)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal((rate, channels)), rate)
        found.append(Recording(path, "noise", "train", name))
    assert decoded(found, tmp_path / "cache", RATE)["lengths"] == [8000, 16000, 16000, 16000]
    assert caplog.messages == [
        "of 4 files 2 at 8000 Hz: resampled to 16000 Hz, nothing is in their upper band",
        "of 4 files 1 at 48000 Hz: resampled to 16000 Hz, what is above half of that is left out",
        "1 of 4 files have several channels: their mean is used",
    ]
