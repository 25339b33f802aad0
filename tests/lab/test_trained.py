"""A checkpoint's network beside the configured one: what tells them apart, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtdenoise.errors import ModelError
from rtdenoise.lab.training.checkpoint import load_checkpoint, save_checkpoint
from tests.lab.test_training import SETTINGS, TINY, trainer

pytest.importorskip("keras", reason="training needs Keras")


@pytest.mark.parametrize("change", [{"dilations": (1, 32)}, {"slope": 0.01}])
def test_networks_of_equal_shapes_are_told_apart(tmp_path, change):
    from rtdenoise.lab.export.model_folder import model_from_checkpoint

    trainer(tmp_path).checkpoint()
    other = replace(TINY, **change)
    key, here = next(iter(change.items()))
    message = rf"last\.npz: belongs to another network: {key}={getattr(TINY, key)}, here {here}; go on with"
    with pytest.raises(ModelError, match=message.replace("(", r"\(").replace(")", r"\)")):
        trainer(tmp_path / "other", replace(SETTINGS, network=other)).resume(tmp_path / "last.npz")
    with pytest.raises(ModelError, match="does not fit the specification 'tiny'"):
        model_from_checkpoint(tmp_path / "last.npz", other)


def test_names_values_of_use_and_runs_that_remember_nothing_do_not_stand_in_the_way(tmp_path):
    trainer(tmp_path).checkpoint()
    used = replace(SETTINGS, network=replace(TINY, name="mine", mask_power=0.5, gain_min_db=-20.0, stride=8))
    trainer(tmp_path / "used", used).resume(tmp_path / "last.npz")
    old = load_checkpoint(tmp_path / "last.npz")
    del old.facts["settings"]
    save_checkpoint(tmp_path / "old.npz", old)
    trainer(tmp_path / "old", replace(SETTINGS, network=replace(TINY, slope=0.01))).resume(tmp_path / "old.npz")
