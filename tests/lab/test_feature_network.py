"""The feature network from labelled sounds to a folder: it learns, resumes exactly, and is stored as it was trained."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.lab.classifier.figures import average_precision, figure
from rtdenoise.lab.classifier.labels import find_clips
from rtdenoise.lab.classifier.session import find_tasks, train_classifier
from rtdenoise.lab.classifier.settings import classifier_settings
from rtdenoise.lab.classifier.sounds import Mixture, make_examples, open_sounds
from rtdenoise.lab.classifier.spec import FeatureSpec, Task
from rtdenoise.lab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tests.lab.sounds import RATE, class_folders, write
from tests.methods.can.tolerances import HALF_RTOL

pytest.importorskip("soundfile")
keras = pytest.importorskip("keras", reason="training needs Keras")

VALUES = {
    "classifier": {"layers": 6, "channels": 8, "double_every": 3},
    "tasks": [{"name": "sounds", "mixing": 0.5}, {"name": "together", "kind": "multi", "share": 0.5}],
    "batch_size": 8,
    "crop_seconds": 0.4,
    "steps": 6,
    "warmup_steps": 5,
    "learning_rate": 1.0e-2,
    "ema": 0.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return class_folders(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def train(settings, folder, run, cache, **arguments):
    return train_classifier(settings, data=folder, folder=run, cache=cache, **arguments)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_published_size():
    spec = FeatureSpec()
    assert spec.widths == (32,) * 5 + (64,) * 5 + (128,) * 4
    assert spec.strides == (2,) * 13 + (1,)
    assert spec.receptive_field == 1 + 2 * sum(2**k for k in range(13)) + 2 * 2**13 == 32767


def test_it_learns_to_tell_sounds_apart(folder, cache, tmp_path):
    settings = classifier_settings({**VALUES, "steps": 60})
    assert train(settings, folder, tmp_path, cache) == "all steps taken"
    figures = rows(tmp_path / "validation.csv")[-1]
    assert float(figures["sounds_accuracy"]) > 0.8  # chance: a third
    assert float(figures["together_average_precision"]) > 0.8
    assert (tmp_path / "best.npz").is_file()


def test_resuming_gives_the_same_weights_bit_for_bit(folder, cache, tmp_path):
    train(classifier_settings(VALUES), folder, tmp_path / "whole", cache)
    train(classifier_settings({**VALUES, "steps": 3}), folder, tmp_path / "parts", cache)
    train(classifier_settings(VALUES), folder, tmp_path / "parts", cache, resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / "last.npz") for name in ("whole", "parts"))
    assert whole.step == parts.step == 6
    for kind in ("weights", "averages", "optimiser"):
        for one, other in zip(getattr(whole, kind), getattr(parts, kind), strict=True):
            assert_array_equal(one, other)


def test_a_new_run_removes_what_the_former_left_once_it_can_begin(folder, cache, tmp_path):
    train(classifier_settings(VALUES), folder, tmp_path, cache)
    assert rows(tmp_path / "train.csv")[-1]["step"] == "6", "the last steps are told of, however few"
    (tmp_path / "best.npz").write_bytes(b"a better one of before")
    with pytest.raises(ConfigError):
        train(classifier_settings(VALUES), tmp_path / "nothing", tmp_path, cache)
    assert (tmp_path / "best.npz").read_bytes() == b"a better one of before"
    train(classifier_settings({**VALUES, "steps": 2}), folder, tmp_path, cache)
    assert load_checkpoint(tmp_path / "best.npz").step == load_checkpoint(tmp_path / "last.npz").step == 2
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["2"]


def test_a_checkpoint_of_other_tasks_or_another_shape_is_refused(folder, cache, tmp_path):
    train(classifier_settings(VALUES), folder, tmp_path, cache)
    wider = classifier_settings({**VALUES, "classifier": {**VALUES["classifier"], "channels": 9}})
    with pytest.raises(ModelError, match="belongs to another network"):
        train(wider, folder, tmp_path, cache, resume=True)
    fewer = classifier_settings({**VALUES, "tasks": [{"name": "sounds", "exclude": ["tone"]}]})
    with pytest.raises(ModelError, match=r"other tasks or classes .sounds with 3 classes.*not sounds with 2 classes"):
        train(fewer, folder, tmp_path, cache, resume=True)


def test_examples_are_a_function_of_seed_and_number(folder, cache):
    (task, clips), *_ = find_tasks(classifier_settings(VALUES), folder)
    mixtures = [Mixture(task, open_sounds(clips, task, "train", cache=cache, sample_rate=RATE), 1.0, 0.5)]
    sizes = {"batch_size": 8, "n_samples": 4000}
    one = make_examples(mixtures, seed=1, number=3, **sizes)
    again = make_examples(mixtures, seed=1, number=3, **sizes)
    other = make_examples(mixtures, seed=1, number=4, **sizes)
    for a, b in zip(one, again, strict=True):
        assert_array_equal(a, b)
    assert not np.array_equal(one[0], other[0])
    signals, packed = one
    assert signals.shape == (8, 4000) and np.all(np.isfinite(signals))
    assert_allclose(packed[:, :3].sum(1), 1.0, rtol=1e-6)  # shares of one or two classes
    assert_array_equal(packed[:, 3], 1.0)


def test_a_mixture_of_tagged_sounds_carries_both_tags(folder, cache):
    clips = find_clips(folder)
    task = Task(name="t", kind="multi", classes=("clicks", "hiss", "tone"))
    sounds = open_sounds(clips, task, "train", cache=cache, sample_rate=RATE)
    drawn = [Mixture(task, sounds, 1.0, 1.0).draw(np.random.default_rng(k), 2000)[1] for k in range(40)]
    assert {float(t.sum()) for t in drawn} == {1.0, 2.0}


def test_eight_kilohertz_stereo_and_padded_clips_are_used_as_they_sound(tmp_path):
    import soundfile

    for kind in ("hiss", "tone"):
        for split in ("train", "dev"):
            write(tmp_path / split / kind / "a.wav", kind, 1, rate=8000, channels=2)
    padded = np.zeros(2 * RATE, np.float32)
    padded[8000:16000] = 0.5 * np.sin(np.arange(8000))
    soundfile.write(tmp_path / "train" / "tone" / "b.wav", padded, RATE)
    task = Task(name="t", kind="single", classes=("hiss", "tone"))
    sounds = open_sounds(find_clips(tmp_path), task, "train", cache=tmp_path / "c", sample_rate=RATE)
    assert [len(sounds.clip(k)) for k in range(3)] == [round(1.2 * RATE), round(1.2 * RATE), 8000]
    for k in range(3):
        assert np.sqrt(np.mean(sounds.clip(k) ** 2)) == pytest.approx(1.0, rel=0.1)


def test_clips_that_cannot_be_read_are_left_out_and_all_of_them_are_an_error(tmp_path):
    for kind in ("hiss", "tone"):
        for split in ("train", "dev"):
            write(tmp_path / split / kind / "a.wav", kind, 1)
            (tmp_path / split / kind / "b.wav").write_text("no sound")
    task = Task(name="t", kind="single", classes=("hiss", "tone"))
    assert len(open_sounds(find_clips(tmp_path), task, "train", cache=tmp_path / "c", sample_rate=RATE)) == 2
    for kind in ("hiss", "tone"):
        (tmp_path / "train" / kind / "a.wav").write_text("no sound either")
    with pytest.raises(ConfigError, match="none of 4 clips of task 't' in 'train' can be read"):
        open_sounds(find_clips(tmp_path), task, "train", cache=tmp_path / "d", sample_rate=RATE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claszifier": {}}, "unknown key 'claszifier'"),
        ({"classifier": {"depth": 3}}, "unknown key 'depth' in a feature network"),
        ({"classifier": {"layers": 0}}, "layers=0 must be a whole number of at least 1"),
        ({"classifier": {"kernel": 2}}, "kernel=2 must be odd"),
        ({"tasks": []}, "tasks is empty"),
        ({"tasks": ["sounds"]}, "tasks must be a list of mappings"),
        ({"tasks": [{"name": "a", "kind": "both"}]}, "kind='both' of task 'a' must be one of single, multi"),
        ({"tasks": [{"name": "a"}, {"name": "a"}]}, "each needs a name of its own"),
        ({"tasks": [{"name": "a", "share": 0.0}]}, "share=0.0 of task 'a' must be above 0"),
        ({"tasks": [{"name": "a", "mixing": 1.5}]}, "mixing=1.5 of task 'a' must be a probability"),
        ({"tasks": [{"kind": "multi"}]}, "missing 1 required.*name"),
        ({"batch_size": 0}, "batch_size=0 must be above 0"),
        ({"ema": 1.0}, "ema=1.0 must be at least 0 and below 1"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3' must be a number"),
        ({"crop_seconds": 0.001}, "crop_seconds=0.001 must be at least 0.002 s: 6 layers"),
    ],
)
def test_bad_settings_are_refused_in_one_line(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        classifier_settings({**VALUES, **change})
    assert "\n" not in str(caught.value)


def test_a_single_label_task_refuses_tagged_clips(tmp_path):
    lines = ["filename,labels,split"]
    for number, split in enumerate(("train", "dev")):
        write(tmp_path / f"{number}.wav", "hiss", number)
        lines.append(f'{number}.wav,"hiss;tone",{split}')
    (tmp_path / "meta.csv").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"0\.wav has 2 labels; kind: multi takes several"):
        find_tasks(classifier_settings({**VALUES, "tasks": [{"name": "sounds"}]}), tmp_path)


def test_figures_equal_their_definition():
    task = Task(name="t", kind="single", classes=("a", "b"))
    assert figure(task, np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])) == 0.5
    scores, wanted = np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False])
    assert average_precision(scores, wanted) == pytest.approx((1 / 1 + 2 / 3) / 2)


@pytest.fixture(scope="module")
def trained(folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    train(classifier_settings(VALUES), folder, run, cache)
    return run / "last.npz"


def test_stored_network_hears_what_the_trained_one_hears(trained, tmp_path):
    from rtdenoise.lab.classifier.network import build_classifier
    from rtdenoise.lab.classifier.store import export_features, load_features
    from rtdenoise.lab.losses.deep_features import DeepFeatures

    figures = export_features(trained, tmp_path)
    assert set(figures) == {"sounds_accuracy", "together_average_precision"}
    stored = load_features(tmp_path)
    model = build_classifier(stored.spec, stored.tasks)
    for variable, array in zip(model.weights, load_checkpoint(trained).averages, strict=True):
        variable.assign(array)
    signal = np.random.default_rng(0).normal(0, 1, (2, 4001)).astype(np.float32)
    heard = DeepFeatures(str(tmp_path), layers=6).features(keras.ops, keras.ops.convert_to_tensor(signal))
    pooled = np.mean(keras.ops.convert_to_numpy(heard[-1]), 1)
    logits = np.concatenate([pooled @ kernel + bias for kernel, bias in stored.heads], -1)
    expected = keras.ops.convert_to_numpy(model(signal, training=False))
    assert_allclose(logits, expected, atol=HALF_RTOL * np.abs(expected).max())


def test_damaged_missing_and_foreign_feature_networks_are_refused(trained, tmp_path):
    from rtdenoise.lab.classifier.store import WEIGHTS, export_features, load_features

    with pytest.raises(ModelError, match=r"no feature network 'nowhere'.*train one"):
        load_features("nowhere")
    export_features(trained, tmp_path / "f")
    weights = tmp_path / "f" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ModelError, match="checksum differs"):
        load_features(tmp_path / "f")
    save_checkpoint(tmp_path / "other.npz", Checkpoint(1, [np.ones(3)], [np.ones(3)], [], {"audio_seconds": 1.0}))
    with pytest.raises(ModelError, match="another kind of network"):
        export_features(tmp_path / "other.npz", tmp_path / "g")
    assert not (tmp_path / "g").exists()
