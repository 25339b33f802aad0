"""A batch divided among two logical processors trains the same weights."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.lab.training.settings import TrainSettings
from tests.lab.test_training import TINY

tf = pytest.importorskip("tensorflow", reason="devices are divided by tf.distribute")

SCRIPT = """
import json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from rtdenoise.lab.data.batches import Batch
from rtdenoise.lab.training.checkpoint import load_checkpoint
from rtdenoise.lab.training.loop import Trainer
from tests.lab.test_training import SETTINGS

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
loss = [{"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}]
settings = replace(SETTINGS, batch_size=4, loss=loss, clip_norm=0.02)
batches = []
for _ in range(3):
    target = rng.normal(0, 0.1, (4, settings.n_samples)).astype("f4")
    noisy = target + rng.normal(0, 0.1, target.shape).astype("f4") * np.float32([[0.1], [1], [3], [0.5]])
    batches.append(Batch(noisy, target, np.full((4, 1), 5.0, "f4")))
found = {}
for devices in (1, 2):
    run = Trainer(replace(settings, devices=devices), folder / str(devices))
    begun = [v.numpy() for v in run.network.weights]
    losses = [run.train_step(batch) for batch in batches]
    run.checkpoint()
    found[devices] = (losses, load_checkpoint(folder / str(devices) / "last.npz"))
apart = {}
for kind in ("weights", "averages"):
    pairs = zip(*(getattr(found[d][1], kind) for d in (1, 2)))
    apart[kind] = max(float(np.abs(a - b).max()) for a, b in pairs)
resumed = Trainer(replace(settings, devices=2), folder / "3")
resumed.resume(folder / "2" / "last.npz")
apart["resumed"] = max(float(np.abs(a - b).max()) for a, b in zip(resumed.averaged_weights(), found[2][1].averages))
moved = max(float(np.abs(a - b).max()) for a, b in zip(found[2][1].weights, begun))
print(json.dumps({"losses": [found[d][0] for d in (1, 2)], "apart": apart, "moved": moved}))
"""


def test_two_devices_train_what_one_does(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["losses"][0] == pytest.approx(found["losses"][1], rel=1e-4)
    assert found["moved"] > 1e-3
    assert found["apart"]["weights"] < 0.02 * found["moved"]
    assert found["apart"]["averages"] < 0.02 * found["moved"]
    assert found["apart"]["resumed"] == 0.0


def test_more_devices_than_there_are_is_an_error():
    from rtdenoise.lab.training.replicas import strategy_for

    settings = TrainSettings(network=TINY, loss=[{"term": "l1"}], batch_size=64, devices=64)
    with pytest.raises(
        ConfigError, match=r"devices=64: TensorFlow finds 1 CPU$|devices=64: TensorFlow finds \d+ GPUs?$"
    ):
        strategy_for(settings.devices)
