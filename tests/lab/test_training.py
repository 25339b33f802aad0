"""The loop on a tiny network: it learns, resumes exactly, and stops safely."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ModelError
from rtdenoise.lab.data.batches import Batch, make_batch
from rtdenoise.lab.data.mixtures import MixParams
from rtdenoise.lab.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rtdenoise.lab.training.optimiser import build_optimiser
from rtdenoise.lab.training.session import batches_of, open_mixer
from rtdenoise.lab.training.settings import OPTIMISERS, TrainSettings
from rtdenoise.methods.can.spec import CanSpec
from tests.methods.can import reference
from tests.methods.can.networks import lively
from tests.methods.can.tolerances import CAN_EXACT_ATOL

pytest.importorskip("keras", reason="training needs Keras")

TINY = CanSpec(name="tiny", domain="spectral", channels=8, dilations=(1, 2), residual=True, mask="magnitude")
SETTINGS = TrainSettings(
    network=TINY,
    loss=[{"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}],
    batch_size=2,
    crop_seconds=0.4,
    warmup_steps=5,
    steps=12,
    validation_clips=2,
    validation_seconds=1.0,
)


@pytest.fixture(scope="module")
def mixer(data_folder, tmp_path_factory):
    return open_mixer(data_folder, "train", MixParams(), cache=tmp_path_factory.mktemp("cache"), sample_rate=16000)


def trainer(folder, settings=SETTINGS):
    from rtdenoise.lab.training.loop import Trainer

    return Trainer(settings, folder)


def batch(mixer, number, settings=SETTINGS):
    return make_batch(mixer, seed=1, number=number, batch_size=settings.batch_size, n_samples=settings.n_samples)


def test_loss_falls_on_one_batch(mixer, tmp_path):
    run = trainer(tmp_path, replace(SETTINGS, learning_rate=5e-3))
    losses = [run.train_step(batch(mixer, 0)) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_resuming_gives_the_same_weights_bit_for_bit(mixer, tmp_path, optimiser):
    settings = replace(SETTINGS, optimiser=optimiser)
    whole = trainer(tmp_path / "whole", settings)
    for number in range(6):
        whole.train_step(batch(mixer, number))
    half = trainer(tmp_path / "parts", settings)
    for number in range(3):
        half.train_step(batch(mixer, number))
    half.checkpoint()
    rest = trainer(tmp_path / "parts", settings)
    rest.resume(tmp_path / "parts" / "last.npz")
    assert rest.step == 3
    for number in range(3, 6):
        rest.train_step(batch(mixer, number))
    for name in ("whole", "parts"):
        {"whole": whole, "parts": rest}[name].checkpoint()
    ends = [load_checkpoint(tmp_path / name / "last.npz") for name in ("whole", "parts")]
    for kind in ("weights", "averages", "optimiser"):
        for one, other in zip(*(getattr(end, kind) for end in ends), strict=True):
            assert_array_equal(one, other)
    assert ends[0].facts["audio_seconds"] == ends[1].facts["audio_seconds"] > 0


def test_muon_steps_kernels_by_matrices_with_like_singular_values_and_the_rest_as_adamw():
    """The float64 twin is the singular value decomposition itself."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(4)
    gradients = [rng.normal(0, 0.01, shape).astype(np.float32) for shape in ((3, 16, 24), (24,), (24, 2))]
    ends = {}
    for name in OPTIMISERS:
        variables = [keras.Variable(np.zeros_like(g), name=f"v{k}") for k, g in enumerate(gradients)]
        settings = replace(SETTINGS, optimiser=name, warmup_steps=0, learning_rate=1e-3, weight_decay=0.0, ema=0.0)
        build_optimiser(settings).apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        ends[name] = [v.numpy().astype(np.float64) for v in variables]
    left, _, right = np.linalg.svd(gradients[0].reshape(48, 24).astype(np.float64), full_matrices=False)
    step = -ends["muon"][0].reshape(48, 24) / (1e-3 * 0.2 * np.sqrt(48))
    along = left.T @ step @ right.T
    assert np.all((np.diag(along) > 0.65) & (np.diag(along) < 1.25))
    assert np.abs(along - np.diag(np.diag(along))).max() < 1e-3
    for k in (1, 2):
        assert_array_equal(ends["muon"][k], ends["adamw"][k])
    assert np.abs(ends["muon"][0] - ends["adamw"][0]).max() > 1e-4


def test_run_ends_after_its_steps_with_logs_and_checkpoints(mixer, tmp_path):
    run = trainer(tmp_path)
    rng = np.random.default_rng(0)
    validation = tuple(rng.normal(0, 0.1, (2, 16000)).astype(np.float32) for _ in range(2))
    assert run.run(batches_of(run.settings, mixer, tmp_path), validation) == "all steps taken"
    assert load_checkpoint(tmp_path / "last.npz").step == 12
    assert (tmp_path / "best.npz").is_file()
    with (tmp_path / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["step"] == "12"
    assert np.isfinite(float(rows[0]["si_sdr_db"]))
    assert float(rows[0]["audio_hours"]) == pytest.approx(12 * 2 * 0.4 / 3600)
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        events = [e for p in tmp_path.glob("events.out*") for e in tf.compat.v1.train.summary_iterator(str(p))]
        tags = {v.tag: v.simple_value for e in events for v in e.summary.value}
        assert tags["validation/si_sdr_db"] == pytest.approx(float(rows[0]["si_sdr_db"]))


def test_validation_does_not_change_what_is_trained(mixer, tmp_path):
    run = trainer(tmp_path)
    run.train_step(batch(mixer, 0))
    before = [w.numpy() for w in run.network.weights]
    run.validate(*(np.zeros((2, 16000), np.float32) + 0.01 for _ in range(2)))
    for one, other in zip(before, run.network.weights, strict=True):
        assert_array_equal(one, other.numpy())


def test_a_signal_stops_the_run_with_a_checkpoint(mixer, tmp_path):
    run = trainer(tmp_path, replace(SETTINGS, steps=10**9))
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert run.run(batches_of(run.settings, mixer, tmp_path), None) == "asked to stop"
    assert load_checkpoint(tmp_path / "last.npz").step == run.step > 0


@pytest.mark.parametrize("normalisation", ["none", "adaptive"])
def test_bad_batches_do_not_touch_the_weights_and_many_stop_the_run(mixer, tmp_path, normalisation):
    network = replace(TINY, normalisation=normalisation)
    run = trainer(tmp_path, replace(SETTINGS, weight_decay=0.0, network=network))
    run.train_step(batch(mixer, 0))
    good = batch(mixer, 1)
    bad = Batch(np.full_like(good.noisy, np.nan), good.target, good.scale)
    with pytest.raises(ModelError, match=r"loss is not finite at step 20, 20 times in a row.*last\.npz"):
        for _ in range(30):
            run.train_step(bad)
    assert all(np.all(np.isfinite(w.numpy())) for w in run.network.weights)
    assert np.isfinite(run.train_step(good))
    run.checkpoint()


def test_a_checkpoint_whose_weights_are_no_numbers_is_not_written(mixer, tmp_path):
    run = trainer(tmp_path)
    run.checkpoint()
    kept = (tmp_path / "last.npz").read_bytes()
    weight = run.network.weights[0]
    weight.assign(np.full(weight.shape, np.nan, np.float32))
    with pytest.raises(ModelError, match=r"weights are not finite at step 0; .*last\.npz is not written"):
        run.checkpoint()
    assert (tmp_path / "last.npz").read_bytes() == kept


def test_checkpoints_of_other_networks_are_refused(mixer, tmp_path):
    trainer(tmp_path).checkpoint()
    wider = replace(SETTINGS, network=replace(TINY, channels=9))
    with pytest.raises(ModelError, match="belongs to another network"):
        trainer(tmp_path / "wider", wider).resume(tmp_path / "last.npz")


@pytest.mark.parametrize("ended", [{"steps": 3}, {"patience": 2}])
def test_a_run_that_has_ended_is_not_trained_on(mixer, tmp_path, ended):
    run = trainer(tmp_path)
    run.step, run.facts["stale"] = 3, 2
    run.checkpoint()
    kept = (tmp_path / "last.npz").read_bytes()
    again = trainer(tmp_path, replace(SETTINGS, **ended))
    again.resume(tmp_path / "last.npz")
    assert " before (" in again.run(batches_of(again.settings, mixer, tmp_path), None)
    assert again.step == 3
    assert (tmp_path / "last.npz").read_bytes() == kept


def test_exported_run_streams_like_the_trained_network(mixer, tmp_path):
    from rtdenoise.lab.export.model_folder import network_from_checkpoint

    run = trainer(tmp_path)
    for number in range(4):
        run.train_step(batch(mixer, number))
    run.checkpoint()
    network, facts = network_from_checkpoint(tmp_path / "last.npz", TINY, averaged=False)
    x = lively(128 * 40)
    assert facts["audio_seconds"] == pytest.approx(4 * 2 * 0.4)
    assert np.abs(reference.whole_signal(network, x) - np.array(run.network(x[None]))[0]).max() < CAN_EXACT_ATOL


def test_damaged_and_missing_checkpoints_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "last.npz")
    path = tmp_path / "last.npz"
    save_checkpoint(path, Checkpoint(3, [np.ones(4)], [np.ones(4)], [np.zeros(2)]))
    path.write_bytes(path.read_bytes()[:-40])
    np.save(tmp_path / "array.npy", np.ones(4))
    np.savez(tmp_path / "list.npz", head=np.frombuffer(b"[1, 2]", np.uint8))
    for name in ("last.npz", "array.npy", "list.npz"):
        with pytest.raises(ModelError, match=f"{name}: not a checkpoint, or a damaged one"):
            load_checkpoint(tmp_path / name)


def test_a_full_disk_keeps_the_former_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.npz"
    save_checkpoint(path, Checkpoint(3, [np.ones(4)], [], []))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match=r"No space left on device.*former one is kept"):
        save_checkpoint(path, Checkpoint(4, [np.ones(4)], [], []))
    assert load_checkpoint(path).step == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("normalisation", ["none", "adaptive"])  # adaptive networks have weights without a shape
def test_start_weights_begin_another_run(mixer, tmp_path, normalisation):
    from rtdenoise.lab.export.model_folder import write_start

    settings = replace(SETTINGS, network=replace(TINY, normalisation=normalisation))
    run = trainer(tmp_path, settings)
    run.train_step(batch(mixer, 0))
    run.checkpoint()
    write_start(tmp_path / "last.npz", tmp_path / "start.npz")
    later = trainer(tmp_path / "later", settings)
    later.start(tmp_path / "start.npz")
    assert later.facts["audio_seconds"] == run.facts["audio_seconds"]
    for one, other, average in zip(later.network.weights, run.network.weights, later.averaged_weights(), strict=True):
        assert_array_equal(one.numpy(), np.asarray(other.numpy()).astype(np.float16))
        assert_array_equal(one.numpy(), average)


def test_a_run_stops_when_validation_gets_no_better(mixer, tmp_path, monkeypatch):
    patient = replace(SETTINGS, steps=10**9, patience=2, validate_seconds=0.0, learning_rate=1e-4)
    run = trainer(tmp_path, patient)
    figures = iter([{"si_sdr_db": 1.0}, {"si_sdr_db": 3.0}, {"si_sdr_db": 2.0}, {"si_sdr_db": 2.9}])
    monkeypatch.setattr(run, "validate", lambda *_: next(figures))
    silence = np.zeros((1, 16000), np.float32)
    assert run.run(batches_of(run.settings, mixer, tmp_path), (silence, silence)) == "no better for a while"
    assert next(figures, None) is None
    assert load_checkpoint(tmp_path / "best.npz").step == 2
    assert load_checkpoint(tmp_path / "last.npz").step == 4


def test_a_nan_validation_is_never_the_best(mixer, tmp_path, monkeypatch):
    run = trainer(tmp_path, replace(SETTINGS, steps=4, validate_seconds=0.0))
    figures = iter([{"si_sdr_db": score} for score in (np.nan, 1.0, np.nan, 0.5)])
    monkeypatch.setattr(run, "validate", lambda *_: next(figures))
    silence = np.zeros((1, 16000), np.float32)
    run.run(batches_of(run.settings, mixer, tmp_path), (silence, silence))
    assert (run.facts["best"], run.facts["stale"]) == (1.0, 2)
    assert load_checkpoint(tmp_path / "best.npz").step == 2


def test_a_nan_loss_stops_the_run_and_keeps_the_last_checkpoint(mixer, tmp_path):
    run = trainer(tmp_path, replace(SETTINGS, steps=10**9))
    run.train_step(batch(mixer, 0))
    run.checkpoint()
    kept = (tmp_path / "last.npz").read_bytes()
    good = batch(mixer, 1)
    bad = Batch(np.full_like(good.noisy, np.nan), good.target, good.scale)

    with pytest.raises(ModelError, match=r"not finite.*last\.npz keeps the last good state"):
        run.run(lambda _: (each for each in itertools.repeat(bad)), None)
    assert (tmp_path / "last.npz").read_bytes() == kept


def test_an_unforeseen_error_leaves_a_checkpoint(mixer, tmp_path):
    run = trainer(tmp_path, replace(SETTINGS, steps=10**9))

    def two(_: int):
        yield batch(mixer, 0)
        yield batch(mixer, 1)
        raise OSError("the network drive is gone")

    with pytest.raises(OSError, match="drive is gone"):
        run.run(two, None)
    assert load_checkpoint(tmp_path / "last.npz").step == 2


def test_whoever_watches_is_told_loss_speed_and_time_left(mixer, tmp_path, monkeypatch):
    from rtdenoise.lab.training.loop import Trainer

    monkeypatch.setattr("rtdenoise.lab.training.run._OBSERVE_SECONDS", 0.0)
    seen = []
    Trainer(SETTINGS, tmp_path, seen.append).run(batches_of(SETTINGS, mixer, tmp_path), None)
    assert [at.step for at in seen] == list(range(1, 13))
    assert all(at.loss > 0 and at.audio_seconds_per_second > 0 for at in seen)
    assert seen[-1].seconds_left == 0.0 < seen[0].seconds_left
    assert seen[-1].audio_hours == pytest.approx(12 * 2 * 0.4 / 3600)
