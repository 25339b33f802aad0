"""VoiceBank-DEMAND's layout from unpacked folders to the paper's table, on a tiny set made here."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soxr
import yaml
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.pairs import find_pairs, open_pairs, validation_pairs
from tests.cli.conftest import call
from tests.lab.conftest import voice
from tests.methods.can.tolerances import PCM_ATOL

__all__ = ["call"]

soundfile = pytest.importorskip("soundfile")
RATE = 48000  # as the collection is distributed

NETWORK = {
    "name": "germain2018", "domain": "wave", "channels": 4, "dilations": [1, 2, 64, 1], "normalisation": "adaptive",
    "statistics": "file", "causal": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three speakers to train with and one to test with, two sentences each."""
    place = tmp_path_factory.mktemp("VoiceBank-DEMAND")
    rng = np.random.default_rng(4)
    log = []
    for part, speakers in (("trainset_28spk_wav", ("p226", "p227", "p228")), ("testset_wav", ("p232",))):
        for speaker in speakers:
            for take in (1, 2):
                clean = np.repeat(voice(rng, 1.6 + 0.1 * take), 3) * (0.3 if speaker == "p227" else 1.0)
                noisy = clean + rng.normal(0, 0.01, len(clean))
                for kind, samples in (("clean", clean), ("noisy", noisy)):
                    path = place / f"{kind}_{part}" / f"{speaker}_00{take}.wav"
                    path.parent.mkdir(exist_ok=True)
                    soundfile.write(path, samples, RATE)
                log.append(f"{speaker}_00{take} cafe {5 * take}.0")
    (place / "log_testset.txt").write_text("\n".join(log))
    return place


def test_speakers_are_held_out_and_the_test_set_is_not_touched(root):
    names = {split: {clean.stem for _, clean in find_pairs(root, split)} for split in ("train", "dev")}
    assert names == {"train": {"p227_001", "p227_002", "p228_001", "p228_002"}, "dev": {"p226_001", "p226_002"}}


def test_pairs_come_as_they_are(root, tmp_path):
    pairs = open_pairs(root, "train", cache=tmp_path, sample_rate=16000)
    clean, rate = soundfile.read(root / "clean_trainset_28spk_wav" / "p227_001.wav", dtype="float32")
    expected = soxr.resample(clean, 3, 1)
    assert rate == RATE and len(pairs) == 4
    assert_allclose(pairs.samples[1, : len(expected)] * pairs.scales[0], expected, atol=PCM_ATOL)
    again = open_pairs(root, "train", cache=tmp_path, sample_rate=16000)
    sent = pickle.loads(pickle.dumps(again))
    expected = pairs.mix(np.random.default_rng(1), 5000)
    for other in (again, sent):
        for one, two in zip(expected, other.mix(np.random.default_rng(1), 5000), strict=True):
            assert_array_equal(one, two)
    noisy, target = pairs.mix(np.random.default_rng(2), 40000)  # longer than any
    assert not noisy[30000:].any() and not target[30000:].any()
    assert np.corrcoef(noisy[:20000], target[:20000])[0, 1] > 0.9


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("damage", ["missing", "cut short", "empty", "something else", "archive", "another's"])
def test_a_damaged_cache_of_pairs_is_made_again(root, tmp_path, suffix, damage):
    first = open_pairs(root, "train", cache=tmp_path, sample_rate=16000)
    expected = first.mix(np.random.default_rng(1), 5000)
    file = next(tmp_path.glob(f"*{suffix}"))
    content = file.read_bytes()
    file.unlink()
    damaged = {"cut short": content[:-50], "empty": b"", "something else": b"[1, 2]", "archive": b"PK\x03\x04"}
    if damage == "another's":
        with file.open("wb") as opened:
            np.save(opened, np.zeros(3, np.int16))
    elif damage != "missing":
        file.write_bytes(damaged[damage])
    again = open_pairs(root, "train", cache=tmp_path, sample_rate=16000)
    for one, two in zip(expected, again.mix(np.random.default_rng(1), 5000), strict=True):
        assert_array_equal(one, two)
    assert len(list(tmp_path.iterdir())) == 2


def test_pairs_replaced_or_of_another_project_are_decoded_again(root, tmp_path, monkeypatch):
    heard = []
    for project in ("first", "second"):
        shutil.copytree(root, tmp_path / project / "data")
        monkeypatch.chdir(tmp_path / project)
        for clean in sorted(Path("data").glob("clean_trainset*/*.wav")):
            if project == "second":
                soundfile.write(clean, soundfile.read(clean)[0][::-1], RATE)
            os.utime(clean, ns=(1, 1))
        heard.append(open_pairs(Path("data"), "train", cache=tmp_path / "cache", sample_rate=16000).samples)
    assert not np.array_equal(*heard)
    for clean in sorted(Path("data").glob("clean_trainset*/*.wav")):
        soundfile.write(clean, soundfile.read(clean)[0][::-1], RATE)
    again = open_pairs(Path("data"), "train", cache=tmp_path / "cache", sample_rate=16000)
    assert_array_equal(again.samples, heard[0])


def test_pairs_that_cannot_be_kept_are_one_line(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"decoded pairs cannot be kept there \("):
        open_pairs(root, "dev", cache=tmp_path / "file" / "cache", sample_rate=16000)


def test_validation_is_the_same_every_time(root, tmp_path):
    dev = open_pairs(root, "dev", cache=tmp_path, sample_rate=16000)
    one, two = (validation_pairs(dev, clips=3, n_samples=4000) for _ in range(2))
    assert_array_equal(one[0], two[0])
    assert one[0].shape == (3, 4000)


def test_what_are_no_pairs_is_refused(root, tmp_path):
    with pytest.raises(ConfigError, match=r"no pairs \(pairs: true\)"):
        find_pairs(tmp_path, "train")
    for kind, n in (("clean", 4000), ("noisy", 5000)):
        (tmp_path / f"{kind}_trainset").mkdir()
        soundfile.write(tmp_path / f"{kind}_trainset" / "p1_1.wav", np.zeros(n), 16000)
    with pytest.raises(ConfigError, match="a single speaker, p1"):
        find_pairs(tmp_path, "train")
    for kind, n in (("clean", 4000), ("noisy", 5000)):
        soundfile.write(tmp_path / f"{kind}_trainset" / "p2_1.wav", np.zeros(n), 16000)
    with pytest.raises(ConfigError, match="5000 samples, but 4000 in"):
        open_pairs(tmp_path, "train", cache=tmp_path, sample_rate=16000)
    (tmp_path / "noisy_trainset" / "p1_1.wav").write_text("no sound")
    with pytest.raises(ConfigError, match="a pair that cannot be read"):
        open_pairs(tmp_path, "train", cache=tmp_path, sample_rate=16000)


def test_three_commands_from_the_folder_to_the_table_of_the_papers(root, call, tmp_path):
    pytest.importorskip("tensorflow", reason="training and export need TensorFlow")
    pytest.importorskip("pesq", reason="the table has PESQ")
    pytest.importorskip("pystoi", reason="the table has STOI")
    config = tmp_path / "published.yaml"
    values = {"network": NETWORK, "loss": [{"term": "l1"}], "pairs": True, "batch_size": 1, "crop_seconds": 0.5}
    values |= {"steps": 2, "warmup_steps": 0, "ema": 0.0, "validation_clips": 1, "validation_seconds": 1.0}
    config.write_text(yaml.safe_dump(values))
    trained = call("train", config, "--data", root, "--run", "run", "--cache", "cache", "-q")
    assert trained.code == 0 and "all steps taken" in trained.out
    assert call("export", "run/last.npz", config, "model").code == 0
    judged = call(
        "evaluate", "--voicebank", root, "-a", "CAN:model", "--no-peers", "--no-dnsmos", "--no-cost", "--jobs", 1, "-q"
    )
    assert judged.code == 0, judged.err
    record = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    mean = record["systems"]["CAN:model"]["mean"]
    assert {"csig", "cbak", "covl", "pesq_wb", "segmental_snr_db", "stoi"} <= set(mean)
    report = (tmp_path / "evaluation" / "report.md").read_text()
    table = report[report.index("## VoiceBank-DEMAND, as in the papers") :].splitlines()
    head = next(line for line in table if line.startswith("|"))
    for column in ("PESQ", "CSIG", "CBAK", "COVL", "SSNR", "STOI"):
        assert column in head
    assert any("CAN:model" in line for line in table)
