"""Steps in PyTorch: the network, the losses and their gradients are those of Keras."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

for package in ("torch", "keras"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

# in a process of its own: Keras has one backend for good
COMMON = """
import numpy as np, torch, keras
from dataclasses import replace
from numpy.testing import assert_allclose
from rtdenoise.can.model import build_network
from rtdenoise.can.spec import CanSpec
from rtdenoise.can.specs import SPECS
from rtdenoise.can.training.batches import Batch
from rtdenoise.can.training.losses import Loss, build_loss
from rtdenoise.can.training.pytorch import operations
from rtdenoise.can.training.pytorch.network import Forward
from rtdenoise.can.training.pytorch.steps import Steps
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
noisy = 0.1 * rng.standard_normal((2, 16384)).astype(np.float32)
PYRAMID = (1, 2, 8)
KINDS = {
    "live": replace(SPECS["can-small"], channels=12, dilations=PYRAMID),
    "no delay": replace(SPECS["can-wave"], channels=12, dilations=PYRAMID),
    "fine": replace(SPECS["can-live"], channels=12, dilations=PYRAMID, hop=64, mean_rows=2, fine_channels=6),
    "wave": replace(SPECS["germain2018-causal"], channels=6, dilations=PYRAMID),
    "centred": replace(SPECS["germain2018"], channels=6, dilations=PYRAMID),
    "framed": CanSpec(name="f", domain="framed", channels=8, dilations=PYRAMID, residual=True, frame=32, stride=16),
}

def shaken(network):
    for variable in network.weights:
        if "variance" not in variable.path:
            variable.assign(variable + 0.05 * rng.standard_normal(variable.shape).astype(np.float32))
    return network
"""
FORWARD = """
for name, spec in KINDS.items():
    network = shaken(build_network(spec))
    values = [v.value.detach().clone() for v in network.weights]
    for training in (False, True):
        expected = keras.ops.convert_to_numpy(network(noisy, training=training))
        with torch.no_grad():
            found = Forward(spec)(values, torch.as_tensor(noisy), training).numpy()
        assert np.std(expected) > 1e-3, name
        assert_allclose(found, expected, atol=2e-6, err_msg=name)
    for kept, variable in zip(values, network.weights):  # running statistics too
        assert_allclose(kept.numpy(), keras.ops.convert_to_numpy(variable), atol=1e-6, err_msg=name)
"""
GRADIENTS = """
from tests.can.sounds import spoken
terms = [
    {"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}, {"term": "clipped_sdr", "weight": 0.01,
     "ceiling_db": 30.0}, {"term": "estoi"}, {"term": "perceptual"}, {"term": "pauses"}, {"term": "l1"}, {"term": "l2"},
    {"term": "deep_features", "layers": 6, "warmup_steps": 1},
]
voice = spoken(1.5)[0][:16384].astype(np.float32)
voice[:4096] = 0.0
for name in ("live", "fine", "wave"):
    spec = KINDS[name]
    network = shaken(build_network(spec))
    for term in terms:
        loss = build_loss([term])
        assert loss._ops is operations
        batch = Batch(noisy + voice, np.stack([voice, voice]), np.full((2, 1), 9.0, np.float32))
        target = batch.target[:, : noisy.shape[1] - spec.latency_samples] * batch.scale
        tensors = [torch.as_tensor(a) for a in (batch.noisy, batch.target, batch.scale)]
        value, gradients = Steps(network, spec, loss, "float32").gradients(*tensors)
        for state in loss.states:
            state.restore([0.0] * state.values.shape[0])
        loss._ops = keras.ops  # the same term as Keras computes it, through Keras' network
        estimate = network(batch.noisy, training=True)[:, spec.latency_samples :] * torch.as_tensor(batch.scale)
        expected = loss(keras.ops.convert_to_tensor(target), estimate)
        wanted = torch.autograd.grad(expected, [v.value for v in network.trainable_variables])
        assert_allclose(value, float(expected.detach()), rtol=1e-4, err_msg=term["term"])
        size = max(float(g.abs().max()) for g in wanted)
        assert size > 0.0
        for a, b in zip(gradients, wanted):
            assert_allclose(a.numpy(), b.numpy(), atol=2e-4 * size, err_msg=term["term"])
"""
UPDATES = """
from types import SimpleNamespace
from rtdenoise.can.training.optimiser import build_optimiser
from rtdenoise.can.training.pytorch.updates import Updates
for name, ema in (("adamw", 0.0), ("adamw", 0.9), ("muon", 0.9)):
    settings = SimpleNamespace(optimiser=name, learning_rate=0.01, warmup_steps=2, decay_from=3, decay_steps=3,
        clip_norm=20.0, weight_decay=0.1, ema=ema, compute_dtype="float32")
    pairs = []
    for _ in range(2):
        variables = [keras.Variable(np.ones(shape, np.float32)) for shape in ((3, 9, 16), (16,), (4, 3))]
        optimiser = build_optimiser(settings)
        optimiser.build(variables)
        pairs.append((optimiser, variables))
    update = Updates(*pairs[1])
    for step in range(7):
        gradients = [torch.as_tensor(rng.standard_normal(v.shape), dtype=torch.float32) for v in pairs[0][1]]
        if step == 4:
            gradients[1][0] = float("nan")
        pairs[0][0].apply(gradients, pairs[0][1])
        update(gradients)
        for a, b in zip(*([*o.variables, *v] for o, v in pairs), strict=True):
            assert_allclose(b.numpy(), a.numpy(), rtol=1e-5, atol=1e-6, err_msg=f"{name} {a.path}")
    assert np.std(pairs[0][1][0].numpy()) > 1e-3
"""
WIDENED = """
from rtdenoise.can.training.variables import assign, widened
from pathlib import Path
small = shaken(build_network(replace(KINDS["live"], mask="magnitude")))
large = build_network(replace(KINDS["live"], mask="complex", fine_channels=5))
arrays = [keras.ops.convert_to_numpy(v) for v in small.weights]
assign(large.weights, widened(arrays, large), Path("start.npz"))
expected, found = (keras.ops.convert_to_numpy(n(noisy)) for n in (small, large))
assert_allclose(found, expected, atol=2e-5)  # the rotation's guard against no direction
"""


PROGRAMS = {"forward": FORWARD, "gradients": GRADIENTS, "updates": UPDATES, "widened": WIDENED}


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_pytorch(name):
    done = run(COMMON + PROGRAMS[name])
    assert done.returncode == 0, done.stderr[-3000:]


TRAIN = """
import sys
from pathlib import Path
import numpy as np, keras
from rtdenoise.can.spec import CanSpec
from rtdenoise.can.training.loop import Trainer
from rtdenoise.can.training.settings import TrainSettings
from tests.can.test_training import TINY
from tests.can.sounds import spoken
from rtdenoise.can.training.batches import Batch
voice, noise = spoken(1.0)
n = 8064 + TINY.latency_samples
noisy = np.stack([(voice + noise)[:n], (voice + 0.3 * noise)[:n]]).astype(np.float32)
target = np.stack([voice[:n]] * 2).astype(np.float32)
batch = Batch(noisy, target, np.full((2, 1), 5.0, np.float32))
loss = [{"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}]
settings = TrainSettings(network=TINY, loss=loss, batch_size=2, crop_seconds=8064 / 16000, steps=100,
    optimiser="muon", learning_rate=1e-2, warmup_steps=1)
folder = Path(sys.argv[1])
whole = Trainer(settings, folder / "whole")
assert whole._steps is not None
losses = [whole.train_step(batch) for _ in range(12)]
assert losses[-1] < 0.9 * losses[0], losses
part = Trainer(settings, folder / "part")
for _ in range(5): part.train_step(batch)
part.checkpoint()
rest = Trainer(settings, folder / "part")
rest.resume(folder / "part" / "last.npz")
for _ in range(7): rest.train_step(batch)
for a, b in zip(whole.network.weights, rest.network.weights):
    assert np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)), a.path
bad = Batch(np.full_like(noisy, np.nan), target, batch.scale)
before = [keras.ops.convert_to_numpy(v).copy() for v in rest.network.weights]
rest.train_step(bad)
assert all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in rest.network.weights)
assert rest.enhance(noisy).shape == (2, n - TINY.latency_samples)
"""


def test_a_run_learns_resumes_bit_for_bit_and_survives_a_batch_that_is_no_number(tmp_path):
    done = run(TRAIN, str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps its memory as it does")
def test_the_c_library_keeps_memory_for_the_next_step():
    done = run(KEPT)
    assert done.returncode == 0, done.stderr[-3000:]


KEPT = """
import resource
import torch
from rtdenoise.can.training.pytorch.memory import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        arrays = [torch.ones(6_000_000) for _ in range(4)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert faults() > 40_000  # 96 MB cleared page by page each time
assert keep_memory()
faults()
assert faults() < 1_000
"""
