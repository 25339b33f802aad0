"""Steps in PyTorch: the network, the losses and their gradients are those of Keras."""

from __future__ import annotations

import json
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
from types import SimpleNamespace
from numpy.testing import assert_allclose
from rtdenoise.lab.network.keras_network import build_network
from rtdenoise.methods.can.spec import Beside, CanSpec
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.lab.data.batches import Batch
from rtdenoise.lab.losses.terms import Loss, build_loss
from rtdenoise.lab.training.optimiser import build_optimiser
from rtdenoise.lab.pytorch import operations
from rtdenoise.lab.pytorch.network import Forward
from rtdenoise.lab.pytorch.steps import Steps
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
noisy = 0.1 * rng.standard_normal((2, 16384)).astype(np.float32)
PYRAMID = (1, 2, 8)
KINDS = {
    "live": CanSpec(name="l", domain="spectral", channels=12, dilations=PYRAMID, residual=True, mask="magnitude"),
    "no delay": replace(SPECS["can-wave"], channels=12, dilations=PYRAMID, beside=None),
    "fine": replace(SPECS["can-ultra"], channels=12, dilations=PYRAMID, span=256, hop=64, mean_rows=2, fine_channels=6),
    "wave": replace(SPECS["germain2018-causal"], channels=6, dilations=PYRAMID),
    "centred": replace(SPECS["germain2018"], channels=6, dilations=PYRAMID),
    "framed": CanSpec(name="f", domain="framed", channels=8, dilations=PYRAMID, residual=True, frame=32, stride=16),
    "banded": replace(SPECS["can-small"], bands=8, dilations=(1, 2, 8), gates=(1,)),
    "banded, two taps": CanSpec(name="b2", domain="spectral", channels=16, bands=4, dilations=(2, 1), gates=(0, 1),
        residual=True, mask="complex", kernel=2),
    "beside": CanSpec(name="beside", domain="spectral", channels=12, dilations=PYRAMID, residual=True, mask="complex",
        fine_channels=6, beside=Beside(channels=16, bands=8, dilations=(1, 4), gates=(1,))),
}

def optimiser_for(variables, **changes):
    plain = {"optimiser": "adamw", "learning_rate": 0.01, "warmup_steps": 2, "decay_from": 3, "decay_steps": 3,
        "clip_norm": 20.0, "weight_decay": 0.1, "ema": 0.9, "compute_dtype": "float32"}
    optimiser = build_optimiser(SimpleNamespace(**plain | changes))
    optimiser.build(variables)
    return optimiser

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
SHIPPED = """
from rtdenoise.methods.can.weights import from_keras
from rtdenoise.lab.pytorch import shipped
for name in ("live", "no delay", "fine", "banded", "banded, two taps", "beside"):
    network = shaken(build_network(KINDS[name]))
    arrays = shipped.unfolded(from_keras(KINDS[name], network))
    for array, variable in zip(arrays, network.weights, strict=True):
        assert_allclose(array, keras.ops.convert_to_numpy(variable), atol=2e-6, err_msg=f"{name} {variable.path}")
"""
GRADIENTS = """
from tests.lab.sounds import spoken
terms = [
    {"term": "compressed_stft", "frame": 512, "hop": 256, "complex_share": 0.3}, {"term": "clipped_sdr", "weight": 0.01,
     "ceiling_db": 30.0}, {"term": "estoi"}, {"term": "perceptual"}, {"term": "pauses"}, {"term": "l1"}, {"term": "l2"},
    {"term": "deep_features", "layers": 6, "warmup_steps": 1},
]
voice = spoken(1.5)[0][:16384].astype(np.float32)
voice[:4096] = 0.0
from rtdenoise.lab.pytorch import banded_on_cpu
assert banded_on_cpu.fits(KINDS["banded"]) and not banded_on_cpu.fits(KINDS["banded, two taps"])
for name in ("live", "fine", "wave", "banded", "beside"):
    spec = KINDS[name]
    network = shaken(build_network(spec))
    for term in terms:
        loss = build_loss([term])
        assert loss._ops is operations
        batch = Batch(noisy + voice, np.stack([voice, voice]), np.full((2, 1), 9.0, np.float32))
        target = batch.target[:, : noisy.shape[1] - spec.latency_samples] * batch.scale
        tensors = [torch.as_tensor(a) for a in (batch.noisy, batch.target, batch.scale)]
        steps = Steps(network, spec, loss, "float32", optimiser_for(network.trainable_variables))
        value, gradients = steps.gradients(*tensors)
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
from rtdenoise.lab.pytorch.updates import Updates
cases = [{"ema": 0.0}, {}, {"optimiser": "muon"}, {"optimiser": "muon", "compute_dtype": "bfloat16"}]
for changes in cases:
    pairs = []
    for _ in range(2):
        variables = [keras.Variable(np.ones(shape, np.float32)) for shape in ((3, 9, 16), (16,), (4, 3))]
        pairs.append((optimiser_for(variables, **changes), variables))
    update = Updates(*pairs[1])
    for step in range(7):
        gradients = [torch.as_tensor(rng.standard_normal(v.shape), dtype=torch.float32) for v in pairs[0][1]]
        if step == 4:
            gradients[1][0] = float("nan")
        pairs[0][0].apply(gradients, pairs[0][1])
        update(gradients)
        for a, b in zip(*([*o.variables, *v] for o, v in pairs), strict=True):
            assert_allclose(b.numpy(), a.numpy(), rtol=1e-5, atol=1e-6, err_msg=f"{changes} {a.path}")
    assert np.std(pairs[0][1][0].numpy()) > 1e-3
"""
AHEAD = """
import threading
from rtdenoise.lab.pytorch.steps import one_ahead
closed, entered, release = [], threading.Event(), threading.Event()

def numbers(last):
    try:
        yield from range(last)
        raise ValueError("no more")
    finally:
        closed.append(last)

def slow(number):
    if number == 3:
        entered.set()
        release.wait(5.0)
    return 10 * number

found = []
try:
    for number in one_ahead(numbers(3), slow):
        found.append(number)
except ValueError:
    found.append("no more")
assert found == [0, 10, 20, "no more"] and closed == [3], found
source = one_ahead(numbers(9), slow)
assert [next(source) for _ in range(3)] == [0, 10, 20]
assert entered.wait(5.0)  # the fourth is being made
threading.Timer(0.2, release.set).start()
source.close()  # waits for it
assert closed == [3, 9]
"""
WIDENED = """
from rtdenoise.lab.training.variables import assign, widened
from pathlib import Path
small = shaken(build_network(replace(KINDS["live"], mask="magnitude")))
large = build_network(replace(KINDS["live"], mask="complex", fine_channels=5))
arrays = [keras.ops.convert_to_numpy(v) for v in small.weights]
assign(large.weights, widened(arrays, large), Path("start.npz"))
expected, found = (keras.ops.convert_to_numpy(n(noisy)) for n in (small, large))
assert_allclose(found, expected, atol=2e-5)  # the rotation's guard against no direction
both = KINDS["beside"]
alone, joined, deeper = (shaken(build_network(spec)) for spec in (replace(both, beside=None), both,
    replace(both, beside=replace(both.beside, dilations=(1, 4, 2), channels=32))))
for less, more in ((alone, joined), (joined, deeper)):
    fresh = build_network(KINDS["beside"] if more is joined else replace(both, beside=replace(both.beside,
        dilations=(1, 4, 2), channels=32)))
    arrays = [keras.ops.convert_to_numpy(v) for v in less.weights]
    assign(fresh.weights, widened(arrays, fresh), Path("start.npz"))
    expected, found = (keras.ops.convert_to_numpy(n(noisy)) for n in (less, fresh))
    assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
"""


PROGRAMS = {
    "forward": FORWARD,
    "shipped": SHIPPED,
    "gradients": GRADIENTS,
    "updates": UPDATES,
    "ahead": AHEAD,
    "widened": WIDENED,
}


EACH = """
import json, traceback
failed = {}
for name, program in PROGRAMS.items():
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(1)
    try:
        exec(program, dict(globals()))
    except Exception:
        failed[name] = traceback.format_exc()
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failed():
    """What went wrong, by the program's name; one process runs them all, for it takes longer to start than they do."""
    done = run(f"{COMMON}\nPROGRAMS = {PROGRAMS!r}\n{EACH}")
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", PROGRAMS)
def test_in_pytorch(failed, name):
    assert name not in failed, failed[name][-3000:]


TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np, keras
from rtdenoise.methods.can.spec import Beside, CanSpec
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.lab.training.loop import Trainer
from rtdenoise.lab.training.settings import TrainSettings
from tests.lab.test_training import TINY
from numpy.testing import assert_allclose
from rtdenoise.errors import ModelError
from rtdenoise.lab.export.model_folder import network_from_checkpoint
from tests.lab.sounds import spoken
from tests.methods.can import reference
from tests.methods.can.tolerances import CAN_EXACT_ATOL
from rtdenoise.lab.data.batches import Batch
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
assert rest.enhance(noisy).shape == (2, n - TINY.latency_samples)
banded = replace(SPECS["can-small"], bands=8, dilations=(1, 2), gates=(1,))
trainer = Trainer(replace(settings, network=banded, crop_seconds=8192 / 16000), folder / "banded")
noisy, target = (np.pad(a, ((0, 0), (0, 128))) for a in (noisy, target))
batch = Batch(noisy, target, batch.scale)
losses = [trainer.train_step(batch) for _ in range(12)]
assert losses[-1] < 0.9 * losses[0], losses
trainer.checkpoint()
again = Trainer(trainer.settings, folder / "again")
again.start(folder / "banded" / "last.npz")
assert_allclose(again.network.get_weights()[0], trainer.network.get_weights()[0])
with trainer._averaged(): expected = trainer._enhance(noisy[:1])[0]
other = Trainer(replace(trainer.settings, network=replace(banded, gates=(0,))), folder / "other")
try:
    other.start(folder / "banded" / "last.npz")
except ModelError as error:
    assert "gates=[1], here (0,)" in str(error) or "gates=(1,), here (0,)" in str(error), error
else:
    raise AssertionError("gates elsewhere were taken")
deeper = replace(banded, dilations=(1, 2, 4), gates=(1, 2))
deep = Trainer(replace(trainer.settings, network=deeper), folder / "deeper")
deep.start(folder / "banded" / "last.npz")
assert_allclose(deep._enhance(noisy[:1])[0], again._enhance(noisy[:1])[0], atol=1e-5)
both = replace(SPECS["can-small"], bands=0, channels=8, dilations=(1, 2), gates=(),
    beside=Beside(channels=16, bands=8, dilations=(1, 2)))
for learns, moved in (("all", True), ("beside", False)):
    trainer2 = Trainer(replace(settings, network=both, crop_seconds=8192 / 16000, learns=learns), folder / learns)
    before = [keras.ops.convert_to_numpy(v).copy() for v in trainer2.network.weights]
    losses = [trainer2.train_step(batch) for _ in range(12)]
    assert losses[-1] < losses[0], losses
    trainer2.checkpoint()
    assert np.isfinite(trainer2.enhance(noisy[:1])).all()
    for variable, former in zip(trainer2.network.weights, before, strict=True):
        changed = not np.array_equal(keras.ops.convert_to_numpy(variable), former)
        of_beside = variable.path.startswith(("beside", "share"))
        assert changed == (moved or of_beside), (learns, variable.path)
later = Trainer(trainer2.settings, folder / "later")
later.resume(folder / "beside" / "last.npz")
try:
    Trainer(replace(trainer2.settings, network=replace(both, beside=replace(both.beside, dilations=(1, 4)))),
        folder / "different").resume(folder / "beside" / "last.npz")
except ModelError as error:
    assert "beside=" in str(error), error
else:
    raise AssertionError("layers with other dilations were taken")
spec = replace(banded, gain_min_db=-200.0)
network = network_from_checkpoint(folder / "banded" / "last.npz", spec)[0]
assert_allclose(expected, reference.whole_signal(network, noisy[0]), atol=CAN_EXACT_ATOL * np.abs(expected).max())
noisy, target = noisy[:, :n], target[:, :n]
batch = Batch(noisy, target, batch.scale)
deep = [*loss, {"term": "deep_features", "layers": 2, "warmup_steps": 9}]
wave = CanSpec(name="w", domain="wave", channels=4, dilations=(1, 2), normalisation="adaptive")
settings = replace(settings, network=wave, loss=deep, crop_seconds=8064 / 16000)
guarded = Trainer(settings, folder / "guarded")
short = Batch(noisy[:, :8064], target[:, :8064], batch.scale)
guarded.train_step(short)
kept = [*guarded.network.non_trainable_variables, *(s.values for s in guarded._loss.states)]
before = [v.numpy().copy() for v in kept]
assert len(kept) == 5 and before[-1][0] == 1.0
guarded.train_step(Batch(np.full_like(short.noisy, np.nan), short.target, short.scale))
for a, b in zip(before, kept, strict=True):
    assert np.array_equal(a, b.numpy()), b.path
assert all(np.isfinite(v.numpy()).all() for v in guarded.network.weights)
guarded.train_step(short)
assert not np.array_equal(before[0], kept[0].numpy()) and kept[-1].numpy()[0] == 2.0
"""


def test_a_run_learns_resumes_bit_for_bit_and_survives_a_batch_of_nan(tmp_path):
    done = run(TRAIN, str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
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
from rtdenoise.lab.pytorch.memory import keep_memory

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
