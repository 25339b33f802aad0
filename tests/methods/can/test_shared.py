"""One copy of a network's weights in a process, whoever uses it, and none when nobody does."""

from __future__ import annotations

import gc
import json
import shutil

import numpy as np
import pytest

import rtdenoise
from rtdenoise.errors import ModelError
from rtdenoise.methods.can.compiled import shared
from rtdenoise.methods.can.models import SPEC, WEIGHTS, models_folder, open_model, write_checksums


def test_streams_of_a_network_share_its_weights():
    first, second = (rtdenoise.build(model="can-small", sample_rate=16000) for _ in range(2))
    other_rate = rtdenoise.build(model="can-small", sample_rate=48000)
    assert first._weights is second._weights is other_rate._weights
    assert first._stream is not second._stream
    noise = np.random.default_rng(0).normal(0, 0.1, (50, first.hop)).astype(np.float32)
    alone = np.empty_like(noise)
    for block, out in zip(noise, alone, strict=True):
        first.process(block, out)
    second.process(noise[3], np.empty_like(noise[3]))
    first.reset()
    again = np.empty_like(noise)
    for block, out in zip(noise, again, strict=True):
        second.process(block[::-1].copy(), np.empty_like(out))
        first.process(block, out)
    assert np.array_equal(alone, again)


def test_weights_go_with_the_last_stream_once_another_network_has_come(tmp_path):
    folder = shutil.copytree(models_folder() / "can-small", tmp_path / "mine")
    spec = json.loads((folder / SPEC).read_text())
    (folder / SPEC).write_text(json.dumps(spec | {"name": "of-its-own"}))  # no other test uses this network
    write_checksums(folder)
    model = open_model(folder)
    key = (model.spec, *(digest for digest, _ in model.parts().values()))
    packed = shared.packed_model(model)
    assert shared._in_use[key] is packed.weights
    address = packed.weights.ctypes.data
    del packed
    gc.collect()
    assert shared.packed_model(model).weights.ctypes.data == address, "it is not packed again"
    shared.packed_model(open_model("can-small"))
    gc.collect()
    assert key not in shared._in_use


def test_files_are_verified_again_once_they_have_changed(tmp_path):
    folder = shutil.copytree(models_folder() / "can-small", tmp_path / "mine")
    first = shared.packed_model(open_model(folder)).weights
    assert shared.packed_model(open_model(folder)).weights is first
    (folder / WEIGHTS).write_bytes(b"?" + (folder / WEIGHTS).read_bytes()[1:])
    with pytest.raises(ModelError, match="checksum differs"):
        shared.packed_model(open_model(folder))
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        shared.packed_model(open_model(folder))


def test_a_damaged_copy_is_refused_while_the_whole_one_is_in_use(tmp_path):
    stream = rtdenoise.stream(model="can-small", sample_rate=16000)
    folder = shutil.copytree(models_folder() / "can-small", tmp_path / "mine")
    (folder / WEIGHTS).write_bytes(b"?" + (folder / WEIGHTS).read_bytes()[1:])
    with pytest.raises(ModelError, match="checksum differs"):
        rtdenoise.stream(model=folder, sample_rate=16000)
    assert stream.latency_samples > 0
