"""Batches whose target is what a teacher makes of them, each made once and used repeatedly."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from rtdenoise.errors import ConfigError, RtDenoiseError
from rtdenoise.lab.data.batches import make_batch
from rtdenoise.lab.data.lessons import Lessons, lessons_folder
from rtdenoise.lab.data.mixtures import MixParams
from rtdenoise.lab.training.session import open_mixer, train

SEED, N_BATCHES, N_SAMPLES, LATE = 1, 5, 4000, 192
N_TAUGHT = 3  # of the seed: the first among them


@pytest.fixture(scope="module")
def mixer(data_folder, tmp_path_factory):
    return open_mixer(data_folder, "train", MixParams(), cache=tmp_path_factory.mktemp("cache"), sample_rate=16000)


@pytest.fixture
def made():
    return []


@pytest.fixture
def lessons(mixer, made, tmp_path):
    def teach(noisy):
        made.append(noisy)
        return -0.5 * noisy[:, :-LATE]

    sizes = {"seed": SEED, "batch_size": 2, "n_samples": N_SAMPLES}
    return Lessons(mixer, teach, N_BATCHES, 0.5, folder=tmp_path / "kept", **sizes)


def take(lessons, first, count):
    return list(itertools.islice(lessons(first), count))


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("noisy", "target", "scale"))


def test_the_first_round_is_of_the_usual_batches_and_each_is_made_once(lessons, mixer, made):
    taught = []
    for number, batch in enumerate(take(lessons, 0, 3 * N_BATCHES)):
        taught.append(np.allclose(batch.target[:, :-LATE], -0.5 * batch.noisy[:, :-LATE], atol=1e-4))
        if number < N_BATCHES:
            plain = make_batch(mixer, seed=SEED, number=number, batch_size=2, n_samples=N_SAMPLES)
            assert_array_equal(batch.noisy, plain.noisy.astype(np.float16))
            assert_array_equal(batch.scale, plain.scale)
            n = -LATE if taught[-1] else 0  # what the teacher does not reach is clean speech
            assert_array_equal(batch.target[:, n:], plain.target[:, n:].astype(np.float16))
    assert len(made) == sum(taught[:N_BATCHES]) == N_TAUGHT  # the teacher hears what it teaches alone
    assert sum(taught) == 3 * N_TAUGHT


def test_each_round_meets_all_lessons_once_in_its_own_order(lessons):
    rounds = [take(lessons, N_BATCHES * k, N_BATCHES) for k in range(4)]
    orders = [[next(i for i, a in enumerate(rounds[0]) if np.array_equal(a.noisy, b.noisy)) for b in r] for r in rounds]
    assert all(sorted(order) == list(range(N_BATCHES)) for order in orders)
    assert len({tuple(order) for order in orders}) > 2


def test_a_batch_depends_on_its_number_alone(lessons, made):
    whole = take(lessons, 0, 12)
    fresh = replace(lessons, folder=lessons.folder.with_name("elsewhere"))
    for first in (0, 7):
        assert all(same(a, b) for a, b in zip(take(fresh, first, 5), whole[first:], strict=False))
    assert len(made) == 2 * N_TAUGHT


def test_a_damaged_lesson_is_made_again(lessons, made):
    before = lessons.batch(0)
    (lessons.folder / "000000.npz").write_bytes(b"PK")
    assert same(lessons.batch(0), before)
    assert len(made) == 2


def test_other_mixtures_sizes_or_teachers_have_another_folder(mixer, tmp_path):
    sizes = {"seed": SEED, "batch_size": 2, "n_samples": N_SAMPLES}
    louder = replace(mixer, params=replace(mixer.params, level_db=(-10.0, -5.0)))
    folders = [
        lessons_folder(tmp_path, mixer, {"weights": "a"}, **sizes),
        lessons_folder(tmp_path, mixer, {"weights": "b"}, **sizes),
        lessons_folder(tmp_path, louder, {"weights": "a"}, **sizes),
        lessons_folder(tmp_path, mixer, {"weights": "a"}, **sizes | {"seed": 4}),
    ]
    assert len(set(folders)) == 4
    assert lessons_folder(tmp_path, mixer, {"weights": "a"}, **sizes) == folders[0]


def test_where_lessons_cannot_be_kept_one_line_says_so(lessons, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"lessons cannot be kept there .*; make room, or give fewer lessons"):
        next(replace(lessons, folder=tmp_path / "file" / "kept")(0))


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ("germain2018-causal", "teacher=germain2018-causal must be a network over spectra at 16000 Hz"),
        ("can-huge", "can-huge"),
    ],
)
def test_who_cannot_teach_is_refused(data_folder, tmp_path, teacher, message):
    from tests.lab.test_training import SETTINGS  # skipped where Keras is missing

    settings, run = replace(SETTINGS, teacher=teacher), tmp_path / "run"
    run.mkdir()
    (run / "last.npz").write_bytes(b"of the former run")
    with pytest.raises(RtDenoiseError, match=message):
        train(settings, data=data_folder, folder=run, cache=tmp_path / "cache", resume=False)
    assert (run / "last.npz").read_bytes() == b"of the former run"


def test_without_pytorch_nobody_teaches(data_folder, tmp_path):
    keras = pytest.importorskip("keras", reason="training needs Keras")
    from tests.lab.test_training import SETTINGS

    if keras.backend.backend() == "torch":
        pytest.skip("Keras runs on PyTorch here")
    with pytest.raises(ConfigError, match="teacher=can-small needs PyTorch: set KERAS_BACKEND=torch"):
        train(
            replace(SETTINGS, teacher="can-small"), data=data_folder, folder=tmp_path / "run", cache=tmp_path / "cache"
        )


TAUGHT = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from rtdenoise.lab.pytorch.shipped import Teacher
from rtdenoise.lab.training.session import lessons_of, open_mixer, train
from rtdenoise.methods.can.models import open_model
from tests.lab.test_training import SETTINGS

data, folder = map(Path, sys.argv[1:])
settings = replace(SETTINGS, teacher={"can-small": 1.0, "can-wave": 99.0}, taught=1.0, lessons=3, steps=4)
run = {"data": data, "folder": folder / "run", "cache": folder / "cache"}
train(settings, **run)
times = lambda: {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("lessons-*/*.npz")}
kept = times()
assert len(kept) == 3
train(replace(settings, steps=8), **run)
assert times() == kept
with np.load(sorted(kept)[0]) as lesson:
    target, noisy = lesson["target"].astype(np.float32), lesson["noisy"].astype(np.float32)
small, wave = (Teacher(open_model(name).network(), "float32").hear(noisy) for name in ("can-small", "can-wave"))
made = 0.01 * small + 0.99 * wave[:, : small.shape[1]]
assert made.shape[1] < wave.shape[1]
error = np.mean((target[:, : made.shape[1]] - made) ** 2) / np.mean(made**2)
assert error < 10**-3.0, error  # computed with 16 bits
mixer = open_mixer(data, "train", settings.mixtures, cache=folder / "cache", sample_rate=16000)
sizes = {"n_batches": 3, "cache": folder, "seed": 1, "batch_size": 1, "n_samples": 16000}
folders = {lessons_of([(open_model("can-small"), 1.0)], mixer, share=share, **sizes).folder for share in (0.5, 1.0)}
assert len(folders) == 2, "another share teaches other batches"
"""


def test_a_run_with_teachers_goes_on_with_the_lessons_it_has(data_folder, tmp_path):
    from tests.lab.test_pytorch import run  # skipped where PyTorch or Keras is missing

    done = run(TAUGHT, str(data_folder), str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
