"""The deep feature loss: its definition, its gradient, its warm-up, and a run that goes on with what it learnt."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.lab.classifier.spec import FeatureSpec, Task
from rtdenoise.lab.classifier.store import FeatureNetwork, load_features, write_features
from rtdenoise.lab.losses.terms import build_loss
from rtdenoise.lab.training.checkpoint import load_checkpoint
from tests.methods.can.tolerances import CAN_EXACT_ATOL, DIFFERENCE_RTOL

keras = pytest.importorskip("keras", reason="losses are Keras operations")

SPEC = FeatureSpec(layers=5, channels=4, double_every=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A feature network with weights of no special value."""
    rng = np.random.default_rng(2)
    widths = (1, *SPEC.widths)

    def drawn(*shape):
        return rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float16).astype(np.float32)

    kernels = tuple(drawn(3, a, b) for a, b in itertools.pairwise(widths))
    biases = tuple(rng.normal(0, 0.1, n).astype(np.float16).astype(np.float32) for n in SPEC.widths)
    task = Task(name="t", kind="single", classes=("a", "b"))
    head = (drawn(SPEC.widths[-1], 2), np.zeros(2, np.float32))
    place = tmp_path_factory.mktemp("features")
    write_features(FeatureNetwork(SPEC, (task,), kernels, biases, (head,)), place)
    return place


def signals(n: int = 501, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.normal(0, 1, (batch, n)).astype(np.float32)
    return target, (target + rng.normal(0, 0.3, target.shape)).astype(np.float32)


def activations(folder, signal: np.ndarray, layers: int) -> list[np.ndarray]:
    """Float64 twin: convolution with zeros around, stride 2 but for the last layer, leaky rectifier."""
    network = load_features(folder)
    rows, found = signal.astype(np.float64)[:, None], []
    for kernel, bias, stride in list(zip(network.kernels, network.biases, SPEC.strides, strict=True))[:layers]:
        count = -(-len(rows) // stride)
        before = max((count - 1) * stride + 3 - len(rows), 0) // 2
        padded = np.pad(rows, ((before, 3), (0, 0)))
        made = np.stack(
            [sum(padded[stride * t + k] @ kernel[k].astype(np.float64) for k in range(3)) for t in range(count)]
        )
        rows = np.where(made + bias > 0, made + bias, SPEC.slope * (made + bias))
        found.append(rows)
    return found


def entry(folder, **arguments):
    return [{"term": "deep_features", "network": str(folder), "layers": 5, **arguments}]


def value(loss, target, estimate) -> float:
    return float(loss(keras.ops.convert_to_tensor(target), keras.ops.convert_to_tensor(estimate)))


@pytest.mark.parametrize("n", [500, 501, 64])
def test_it_equals_its_definition(folder, n):
    target, estimate = signals(n)
    pairs = [
        zip(activations(folder, e, 5), activations(folder, t, 5), strict=True)
        for e, t in zip(estimate, target, strict=True)
    ]
    each = [[np.mean(np.abs(a - b)) for a, b in pair] for pair in pairs]
    found = value(build_loss(entry(folder, warmup_steps=0)), target, estimate)
    assert found == pytest.approx(np.mean(each), rel=CAN_EXACT_ATOL)
    fewer = value(build_loss(entry(folder, warmup_steps=0, layers=2)), target, estimate)
    assert fewer == pytest.approx(np.mean(np.array(each)[:, :2]), rel=CAN_EXACT_ATOL)


def test_gradient_equals_a_finite_difference(folder):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken with TensorFlow here")
    loss = build_loss(entry(folder, warmup_steps=0))
    target, estimate = (a.astype(np.float64) for a in signals(129))
    variable = tf.Variable(estimate)
    with tf.GradientTape() as tape:
        result = loss(tf.constant(target), variable)
    gradient = tape.gradient(result, variable).numpy()
    rng = np.random.default_rng(1)
    step = 1e-7
    for _ in range(5):
        direction = rng.normal(0, 1, estimate.shape)
        ends = [float(loss(tf.constant(target), tf.constant(estimate + s * step * direction))) for s in (1, -1)]
        assert np.sum(gradient * direction) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=DIFFERENCE_RTOL)


def test_after_the_warm_up_every_layer_counts_the_same(folder):
    loss = build_loss(entry(folder, warmup_steps=3))
    raw = build_loss(entry(folder, warmup_steps=0))
    rng = np.random.default_rng(3)
    target, _ = signals()
    pairs = [(target, (target + rng.normal(0, 0.3, target.shape)).astype(np.float32)) for _ in range(5)]
    for pair in pairs[:3]:
        assert value(loss, *pair) == pytest.approx(value(raw, *pair), rel=CAN_EXACT_ATOL)
    ops = keras.ops
    term = raw._parts[0][1]
    each = np.array(
        [[float(d) for d in term.distances(ops, *map(ops.convert_to_tensor, pair[::-1]))] for pair in pairs]
    )
    means = each[:3].mean(0)
    for pair, distances in zip(pairs[3:], each[3:], strict=True):
        assert value(loss, *pair) == pytest.approx(np.mean(distances / means), rel=CAN_EXACT_ATOL)
    assert_allclose(loss.states[0].values.numpy(), [3.0, *means], rtol=CAN_EXACT_ATOL)


def test_what_is_no_number_is_not_counted(folder):
    loss = build_loss(entry(folder, warmup_steps=2))
    target, estimate = signals()
    assert np.isnan(value(loss, target, np.full_like(estimate, np.nan)))
    assert loss.states[0].values.numpy()[0] == 0.0
    assert np.isfinite(value(loss, target, estimate))


def test_a_run_keeps_the_means_when_it_goes_on(folder, tmp_path):
    from rtdenoise.lab.data.batches import Batch
    from rtdenoise.lab.training.loop import Trainer
    from rtdenoise.lab.training.settings import TrainSettings
    from rtdenoise.methods.can.spec import CanSpec

    spec = CanSpec(name="tiny", domain="wave", channels=4, dilations=(1, 2), hop=16)
    mixed = [*entry(folder, warmup_steps=2, weight=0.5), {"term": "l1", "weight": 0.1}]
    settings = TrainSettings(network=spec, loss=mixed, batch_size=2, crop_seconds=0.1)
    target, noisy = signals(settings.n_samples)
    batch = Batch(noisy, target, np.ones((2, 1), np.float32))
    run = Trainer(settings, tmp_path)
    losses = [run.train_step(batch) for _ in range(3)]
    assert losses[2] > 2 * losses[1]  # divided by its mean, the distance is near 1
    run.checkpoint()
    kept = load_checkpoint(tmp_path / "last.npz").facts["loss_states"][0]
    assert kept[0] == 2.0 and len(kept) == 6 and min(kept[1:]) > 0
    rest = Trainer(settings, tmp_path)
    rest.resume(tmp_path / "last.npz")
    assert rest.train_step(batch) == run.train_step(batch)
    assert not any("values" in v.path for v in rest.model.trainable_variables)
    other = TrainSettings(network=spec, loss=entry(folder, layers=3), batch_size=2, crop_seconds=0.1)
    with pytest.raises(ModelError, match="another loss"):
        Trainer(other, tmp_path).resume(tmp_path / "last.npz")


def test_bad_arguments_are_refused(folder):
    for change, message in (
        ({"layers": 6}, "layers=6 must be from 1 to the feature network's 5"),
        ({"layers": 0}, "layers=0 must be from 1"),
        ({"warmup_steps": -1}, "warmup_steps=-1 must not be negative"),
        ({"rate": 48000}, "16000 Hz cannot listen to signals of 48000 Hz"),
        ({"depth": 3}, "loss term deep_features"),
    ):
        with pytest.raises(ConfigError, match=message):
            build_loss(entry(folder, **change))
    with pytest.raises(ModelError, match="no feature network 'nowhere'"):
        build_loss(entry("nowhere"))
