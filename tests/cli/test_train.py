"""``rtdenoise train`` and ``rtdenoise export``: from recordings to a model that runs, and whatever can go wrong."""

from __future__ import annotations

import json
import os
import signal
import time

import numpy as np
import pytest
import soundfile
import yaml
from numpy.testing import assert_array_equal

from tests.cli.conftest import start
from tests.lab.conftest import data_folder

__all__ = ["data_folder"]

TINY = {
    "network": {
        "name": "tiny", "domain": "spectral", "channels": 8, "dilations": [1, 2], "residual": True, "mask": "magnitude"
    },
    "loss": [{"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}],
    "batch_size": 2, "crop_seconds": 0.4, "warmup_steps": 5, "steps": 12,
    "validation_clips": 2, "validation_seconds": 1.0,
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return tmp_path / "tiny.yaml"


@pytest.fixture
def options(data_folder, tmp_path):
    return ["--data", data_folder, "--cache", tmp_path / "cache", "--run", tmp_path / "run"]


def need_tensorflow():
    pytest.importorskip("tensorflow", reason="training needs TensorFlow")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        pytest.skip("the network is exported with TensorFlow")


def test_from_recordings_to_a_model_that_runs(call, config, options, tmp_path):
    need_tensorflow()
    done = call("train", config, *options)
    assert done.code == 0, done.err
    assert "all steps taken after step 12 of 12, loss " in done.out
    assert "rtdenoise: note: tiny step " in done.err and "min left" in done.err
    again = call("train", config, *options)
    assert again.code == 1
    assert again.err == f"rtdenoise: error: {tmp_path / 'run'} holds a run already: --resume goes on with it, "\
        "--restart begins anew\n"  # fmt: skip
    more = call("train", config, *options, "--resume", "--set", "steps=14")
    assert more.code == 0 and "step 14 of 14" in more.out
    other = call("train", config, *options[:4], "--run", tmp_path / "b", "--start", tmp_path / "run/last.npz", "-q")
    assert other.code == 0 and other.err == ""
    model = tmp_path / "model"
    done = call(
        "export", tmp_path / "run/best.npz", config, model, "--mask-power", "0.75", "--start", "--int8", "--saved-model"
    )
    assert done.code == 0 and "hours of sound heard" in done.out
    assert {p.name for p in model.iterdir()} >= {"start.npz", "model-int8.tflite", "model.tflite", "serving"}
    assert json.loads((model / "spec.json").read_text())["mask_power"] == 0.75
    assert "sequence_batching" in (model / "serving/tiny/config.pbtxt").read_text()
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    done = call("--input", tmp_path / "a.wav", "--method", "CAN", "--set", f"can.model={model}")
    assert done.code == 0, done.err
    enhanced = soundfile.read(tmp_path / "a_CAN_denoised.wav")[0]
    assert len(enhanced) == 16000 and 0 < np.abs(enhanced).max() < 0.5
    card = (model / "README.md").read_text()
    for told in (
        "## Settings",
        "SI-SDR dB",
        "term: compressed_stft",
        f"rtdenoise train {config}",
        f"{model} --mask-power 0.75 --int8 --start\n",
    ):
        assert told in card
    sums = (model / "SHA256SUMS").read_text()
    assert "  start.npz\n" in sums and "  model-int8.tflite\n" in sums
    refused = call("export", tmp_path / "run/best.npz", config, model)
    assert refused.code == 1 and "holds a model already; --overwrite replaces it" in refused.err
    config.write_text(yaml.safe_dump(TINY | {"network": TINY["network"] | {"channels": 9}}))
    from rtdenoise.lab.training.checkpoint import load_checkpoint, save_checkpoint

    forgetful = load_checkpoint(tmp_path / "run/best.npz")
    del forgetful.facts["settings"]
    save_checkpoint(tmp_path / "old-best.npz", forgetful)
    wrong = call("export", tmp_path / "old-best.npz", config, tmp_path / "wrong")
    assert wrong.code == 1
    assert wrong.err.endswith("best.npz: the checkpoint does not fit the specification 'tiny'\n")
    assert not (tmp_path / "wrong").exists()


def test_what_was_trained_is_exported_whatever_the_configuration_says(call, config, options, tmp_path):
    need_tensorflow()
    changes = ["--set", "network.dilations=[1, 32]", "--set", "network.slope=0.01", "--set", "network.channels=9"]
    assert call("train", config, *options, *changes).code == 0
    config.write_text(yaml.safe_dump(TINY | {"network": TINY["network"] | {"name": "mine", "mask_power": 0.5}}))
    model = tmp_path / "model"
    done = call("export", tmp_path / "run/last.npz", config, model)
    assert done.code == 0
    assert "taken as it was trained: channels=9, not 8, dilations=(1, 32), not (1, 2), slope=0.01, not 0.2" in done.err
    spec = json.loads((model / "spec.json").read_text())
    found = {key: spec[key] for key in ("name", "mask_power", "channels", "dilations", "slope")}
    assert found == {"name": "mine", "mask_power": 0.5, "channels": 9, "dilations": [1, 32], "slope": 0.01}
    other = call("train", config, *options, "--resume", "--set", "steps=14")
    assert other.code == 1
    assert "last.npz: belongs to another network: channels=9, here 8; go on with the config" in other.err
    ended = call("train", config, *options, "--resume", *changes)
    assert ended.out.endswith("run: all steps taken before (12 of 12); with more steps it goes on\n")


def test_weights_are_rounded_for_recordings(call, config, options, data_folder, tmp_path):
    need_tensorflow()
    assert call("train", config, *options).code == 0
    last, weights = tmp_path / "run/last.npz", {}
    for name, more in (("alone", []), ("together", ["--recordings", data_folder])):
        done = call("export", last, config, tmp_path / name, *more)
        assert (done.code, done.err) == (0, "")
        weights[name] = np.load(tmp_path / name / "weights.npz")
    for key, rounded in weights["alone"].items():
        same = np.array_equal(rounded, weights["together"][key])
        assert same != (key.endswith("kernel") or key.startswith("kernel")), key
    assert "--recordings RECORDINGS\n" in (tmp_path / "together/README.md").read_text()
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = call("export", last, config, tmp_path / "none", "--recordings", empty)
    assert refused.code == 1 and "give at least one recording" in refused.err
    assert not (tmp_path / "none").exists()


def test_cards_follow_their_weights_unless_a_person_changed_them(call, config, options, data_folder, tmp_path):
    need_tensorflow()
    model, last = tmp_path / "model", tmp_path / "run/last.npz"
    config.write_text(yaml.safe_dump(TINY | {"data": "elsewhere"}))
    assert call("train", config, *options).code == 0
    done = call("export", last, config, model, "--saved-model")
    assert (done.code, done.err) == (0, "")
    card = (model / "README.md").read_text()
    assert f"recordings of the folder `{data_folder.name}`" in card and f"data: {data_folder.name}\n" in card
    assert "elsewhere" not in card and str(data_folder) not in card
    assert call("train", config, *options, "--resume", "--set", "steps=14").code == 0
    done = call("export", last, config, model, "--overwrite")
    assert (done.code, done.err) == (0, "")
    assert "steps | 14 of 2" in (model / "README.md").read_text()
    assert not (model / "serving").exists()
    (model / "README.md").write_text((model / "README.md").read_text() + "Licence: CC0.\n")
    assert call("train", config, *options, "--resume", "--set", "steps=16").code == 0
    done = call("export", last, config, model, "--overwrite")
    assert done.code == 0 and "README.md is kept, as a person wrote or changed it" in done.err
    assert "steps | 14 of 2" in (model / "README.md").read_text()


def test_a_dry_run_writes_what_the_network_will_hear(call, config, options, tmp_path):
    place = tmp_path / "simulated" / "rooms" / "one"
    place.mkdir(parents=True)
    echo = np.zeros(6000)  # so that it is drawn more often than the room of the data
    echo[[0, 3000]] = 0.9
    soundfile.write(place / "0.wav", echo, 16000)
    rooms = ["--more", tmp_path / "simulated", "--set", "mixtures.room=1", "--set", "mixtures.noise_room=1"]
    done = call("train", config, *options, *rooms, "--dry-run")
    assert done.code == 0, done.err
    folder = tmp_path / "run" / "dry-run"
    assert done.out.strip() == str(folder / "page.png")
    assert len(list(folder.glob("*.wav"))) == 16
    assert (folder / "page.png").stat().st_size > 10_000
    alike = []
    for number in range(8):
        target, _ = soundfile.read(folder / f"{number}-target.wav")
        alike.append(target[3000:] @ target[:-3000] / max(target @ target, 1e-9))
    assert max(alike) > 0.3
    noisy, rate = soundfile.read(folder / "0-noisy.wav")
    assert rate == 16000 and np.abs(noisy).max() > 0.001
    assert not (tmp_path / "run" / "last.npz").exists()


def test_killed_at_any_moment_a_run_goes_on_to_the_same_weights(config, options, data_folder, tmp_path):
    """Two runs of equal steps, one of them killed twice, without warning, while it trained or wrote a checkpoint."""
    need_tensorflow()
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    settings = ["--set", "steps=60", "--set", "checkpoint_seconds=0.01", "--set", "validation_clips=1"]
    last = tmp_path / "run" / "last.npz"
    rng = np.random.default_rng(int(time.time()))
    for attempt in range(2):
        process = start("train", config, *options, *settings, *(["--resume"] if attempt else []))
        before = last.stat().st_mtime_ns if attempt else 0
        deadline = time.monotonic() + 600
        while not last.is_file() or last.stat().st_mtime_ns == before:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1].decode()[-2000:]
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert 0 < load_checkpoint(last).step <= 60
    whole = ["--data", data_folder, "--cache", tmp_path / "cache", "--run", tmp_path / "whole"]
    for arguments in ([*options, "--resume"], whole):
        process = start("train", config, *arguments, *settings)
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err.decode()[-2000:]
    ends = [load_checkpoint(folder / "last.npz") for folder in (tmp_path / "run", tmp_path / "whole")]
    assert [end.step for end in ends] == [60, 60]
    for kind in ("weights", "averages", "optimiser"):
        for one, other in zip(*(getattr(end, kind) for end in ends), strict=True):
            assert_array_equal(one, other)
    assert ends[0].facts["audio_seconds"] == ends[1].facts["audio_seconds"]
    steps = [line.split(",")[0] for line in (tmp_path / "run" / "train.csv").read_text().splitlines()]
    assert steps == sorted(set(steps), key=steps.index)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_far_it_came(call, config, options, tmp_path):
    need_tensorflow()
    process = start("train", config, *options, "--set", "steps=1000000")
    line = process.stderr.readline()
    while b"step" not in line:
        assert line, "ended before its first step"
        line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err.decode()[-2000:]
    assert b"asked to stop after step " in out
    assert (tmp_path / "run" / "last.npz").is_file() and not (tmp_path / "run" / "best.npz").exists()
    hint = f"rtdenoise export {tmp_path / 'run' / 'last.npz'} {config} FOLDER makes a model of it; --resume goes on"
    assert hint in err.decode()
    missing = call("export", tmp_path / "run" / "best.npz", config, tmp_path / "model")
    assert missing.code == 1 and missing.err.endswith("best.npz: no such checkpoint; there is last.npz\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.yaml"], "nothing.yaml: no such file; configurations that ship with rtdenoise are can-live"),
        (["tiny.yaml"], "no data to train with: give a folder with --data, or name one in the configuration (data:)"),
        (["tiny.yaml", "--set", "data=here"], "here: no such data folder (data: of the configuration); name another"),
        (["tiny.yaml", "--data", "there"], "there: no such data folder"),
        (["tiny.yaml", "--data", "empty"], "empty: no speech to train with; expected manifest.csv, folders speech/"),
        (["tiny.yaml", "--data", "broken"], "none of 1 speech files for 'train' below broken/speech/train can be used"),
        (["tiny.yaml", "--data", "broken", "--more", "empty"], "empty: nothing to train with; expected a manifest"),
        (["tiny.yaml", "--data", "broken", "--set", "more=rooms"], "more='rooms' must be a list of folders"),
        (["tiny.yaml", "--data", "broken", "--set", "more=[a]", "--set", "pairs=true"], "more adds recordings to be"),
        (["tiny.yaml", "--data", "broken", "--resume"], "run/last.npz: no run to resume; leave --resume out"),
        (["tiny.yaml", "--data", "broken", "--resume", "--restart"], "give one of them"),
        (["tiny.yaml", "--data", "broken", "--start", "no.npz"], "no.npz: no such checkpoint (--start)"),
        (["tiny.yaml", "--set", "network.sample_rate=8000"], "network: sample_rate=8000 must be 16000"),
        (["tiny.yaml", "--set", "stepz=3"], "unknown key 'stepz' in a training configuration"),
    ],
)
def test_what_cannot_work_is_one_line(call, config, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    for kind in ("speech", "noise"):
        (tmp_path / "broken" / kind / "train").mkdir(parents=True)
        (tmp_path / "broken" / kind / "train" / "a.wav").write_bytes(b"not sound")
    if "--data" in arguments and (len(arguments) == 3 or "--more" in arguments):
        pytest.importorskip("keras", reason="without it that is said before data is looked at")
    done = call("train", *arguments, "--run", "run", "--cache", tmp_path / "cache")
    assert done.code == 1
    assert message in done.err and done.err.startswith("rtdenoise: error: ") and done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_unreadable_recordings_are_named(call, config, options, data_folder, tmp_path):
    import shutil

    shutil.copytree(data_folder, tmp_path / "data")
    (tmp_path / "data" / "speech" / "train" / "train0" / "0.wav").write_bytes(b"not sound")
    done = call("train", config, "--data", tmp_path / "data", *options[2:], "--dry-run")
    assert done.code == 0
    assert "1 of 8 files are unreadable, silent or too short: " in done.err and "train0/0.wav" in done.err


@pytest.mark.parametrize(
    "command",
    [["train", "tiny.yaml", "--data", "DATA"], ["train", "labels.yaml"], ["export", "a.npz", "tiny.yaml", "out"]],
)
def test_without_keras_the_extra_is_named(call, config, data_folder, tmp_path, monkeypatch, command):
    from rtdenoise.lab.training.checkpoint import Checkpoint, save_checkpoint

    save_checkpoint(tmp_path / "a.npz", Checkpoint(1, [], [], [], {"audio_seconds": 0.0}))
    (tmp_path / "labels.yaml").write_text("classifier: {}\ntasks: [{name: sounds, data: nowhere}]\n")
    for name in ("keras", "tensorflow"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    given = [str(data_folder) if word == "DATA" else word for word in command]
    done = call(*given, *(["--cache", tmp_path / "cache"] if command[0] == "train" else []))
    assert done.code == 1
    assert "pip install 'rtdenoise[tf]'" in done.err and done.err.count("\n") == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "cache").exists()
