"""Lessons: batches and what a teacher makes of them, written once and read again and again."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch", reason="needs pip install 'rtdenoise[torch]'")
pytest.importorskip("keras", reason="needs pip install 'rtdenoise[torch]'")

from benchmarks.banded_trial import HOP, RATE, new_batches, read_lessons, write_lessons  # noqa: E402
from rtdenoise.lab.pytorch.shipped import Teacher  # noqa: E402
from rtdenoise.lab.training.session import open_mixer  # noqa: E402
from rtdenoise.lab.training.settings import load_settings  # noqa: E402
from rtdenoise.methods.can.models import open_model  # noqa: E402


@pytest.fixture(scope="module")
def mixer(data_folder, tmp_path_factory):
    mixtures = load_settings(Path("can-live")).mixtures
    return open_mixer(data_folder, "train", mixtures, cache=tmp_path_factory.mktemp("cache"), sample_rate=RATE)


@pytest.fixture(scope="module")
def teacher():
    return Teacher(open_model("can-small").network(), "float32")


def test_lessons_hold_batches_and_what_the_teacher_makes_of_them(mixer, teacher, tmp_path):
    first, second = itertools.islice(new_batches(mixer, 7, None), 2)
    write_lessons(tmp_path, mixer, teacher, 7, count=2, total=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000000.npz", "000001.npz"]
    clean = list(itertools.islice(read_lessons(tmp_path, 0, 0.0), 2))
    heard = list(itertools.islice(read_lessons(tmp_path, 0, 1.0), 2))
    order = [0, 1] if np.allclose(clean[0].scale, first.scale) else [1, 0]
    for number, batch in zip(order, (first, second), strict=True):
        n = clean[number].noisy.shape[1]
        assert n % HOP == 0 and n > batch.noisy.shape[1] - 3 * HOP
        for each in (clean[number], heard[number]):
            assert_allclose(each.noisy, batch.noisy[:, :n], atol=1e-3)
            assert_array_equal(each.scale, batch.scale)
        assert_allclose(clean[number].target, batch.target[:, :n], atol=1e-3)
        assert_allclose(heard[number].target, teacher(torch.from_numpy(batch.noisy)).numpy()[:, :n], atol=1e-3)
        assert np.abs(heard[number].target - clean[number].target).max() > 0.01


def test_later_lessons_replace_the_oldest(mixer, teacher, tmp_path):
    write_lessons(tmp_path, mixer, teacher, 7, count=2, total=3)
    third = next(itertools.islice(new_batches(mixer, 7, None), 2, None))
    with np.load(tmp_path / "000000.npz") as stored:
        assert_array_equal(stored["scale"], third.scale)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_share_of_new_batches_has_the_teacher_as_its_target(mixer, teacher):
    plain = list(itertools.islice(new_batches(mixer, 7, None), 6))
    mixed = list(itertools.islice(new_batches(mixer, 7, teacher, 0.5), 6))
    taught = [len(a.target[0]) != len(b.target[0]) for a, b in zip(plain, mixed, strict=True)]
    assert any(taught) and not all(taught)
    for a, b in zip(plain, mixed, strict=True):
        assert_array_equal(a.noisy, b.noisy)


def test_lessons_without_a_teacher_are_refused(mixer, tmp_path):
    with pytest.raises(SystemExit, match="add --teacher can-live"):
        write_lessons(tmp_path, mixer, None, 7, count=2)
