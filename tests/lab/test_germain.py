"""The published network: both ways to dilate, whole-file normalisation, streaming with look-ahead, conversion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError, ModelError, SignalError
from rtdenoise.lab.export.convert import convert_tensorflow1, mean_statistics, read_tensorflow1
from rtdenoise.methods.can import models
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.methods.can.whole import WholeNetwork, load_whole, whole_from_keras
from rtdenoise.streaming.channels import Downmix, PerChannel
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.whole import whole_of
from tests.lab.test_model import shaken
from tests.methods.can.networks import lively
from tests.methods.can.networks import stream as run_stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL, HALF_ATOL

keras = pytest.importorskip("keras", reason="the Keras form is under test")
tf = pytest.importorskip("tensorflow", reason="checkpoints and LiteRT files are made with TensorFlow")

FULL = SPECS["germain2018"]
SMALL = replace(FULL, name="small", channels=6, dilations=(1, 2, 4, 64, 1), hop=64)


def keras_run(model, signal, training):
    return np.array(model(signal[None], training=training))[0]


@pytest.fixture(scope="module")
def small() -> WholeNetwork:
    return whole_from_keras(SMALL, shaken(SMALL))


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    from rtdenoise.lab.export.model_folder import write_model

    place = tmp_path_factory.mktemp("model") / "published"
    write_model(small.frozen(mean_statistics(small, [lively(8000, 1)])), place, whole=small)
    return place


def test_the_published_number_of_parameters():
    c = FULL.channels
    widths = [1, *[c] * 13]
    rng = np.random.default_rng(0)
    kernels = tuple(rng.normal(0, 0.1, (3, w, c)).astype(np.float32) for w in widths)
    zeros = tuple(np.zeros(c, np.float32) for _ in widths)
    ones = np.ones(14, np.float32)
    full = WholeNetwork(FULL, kernels, ones, ones, zeros, (np.ones((c, 1), np.float32), np.zeros(1, np.float32)))
    assert full.n_weights == 160_925


@pytest.mark.parametrize("dilation", [1, 2, 3, 8, 64, 100])
@pytest.mark.parametrize("n", [1, 7, 64, 100, 129])
def test_interleaving_and_back_gives_the_signal(dilation, n):
    from rtdenoise.lab.network.interleaved import dilated_to_signal, signal_to_dilated

    rows = np.random.default_rng(n).normal(0, 1, (2, n, 3)).astype(np.float32)
    phases = signal_to_dilated(keras.ops, keras.ops.convert_to_tensor(rows), dilation)
    assert tuple(phases.shape) == (2 * dilation, -(-n // dilation), 3)
    for item in range(2):
        for phase in range(min(dilation, n)):
            expected = rows[item, phase::dilation]
            assert_array_equal(np.array(phases)[item * dilation + phase, : len(expected)], expected)
    assert_array_equal(np.array(dilated_to_signal(keras.ops, phases, dilation, n)), rows)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_both_ways_to_dilate_are_the_same_network(causal, training):
    from rtdenoise.lab.network.keras_network import build_network

    spec = replace(SMALL, causal=causal, statistics="running" if causal else "file")
    direct, interleaved = shaken(spec), build_network(spec, dilation="interleaved")
    for one, other in zip(interleaved.weights, direct.weights, strict=True):
        one.assign(other.numpy())
    for n in (1, 63, 64, 65, 777):  # shorter and longer than the dilations, multiples and not
        signal = lively(n)
        found = keras_run(interleaved, signal, training)
        assert len(found) == n
        assert_allclose(found, keras_run(direct, signal, training), atol=CAN_EXACT_ATOL)
    with pytest.raises(ConfigError, match="dilation='folded' must be one of direct, interleaved"):
        build_network(spec, dilation="folded")


def test_a_file_is_normalised_with_its_own_statistics(small):
    signal = lively(3001)
    found = small.run(signal)
    assert_allclose(found, keras_run(shaken(SMALL), signal, True), atol=CAN_EXACT_ATOL * max(1, np.abs(found).max()))
    quieter = small.run(0.1 * signal)
    assert not np.allclose(quieter, small.frozen(small.statistics(signal)).last[1] + 0.1 * found, atol=1e-3)
    assert len(small.run(np.zeros(0, np.float32))) == 0


def test_frozen_statistics_of_the_same_file_give_the_same_sound(small):
    from tests.methods.can import reference

    signal = lively(2000)
    network = small.frozen(small.statistics(signal))
    delayed = reference.stack(network, np.append(signal, np.zeros(SMALL.lookahead_samples))[:, None].astype(float))
    inside = slice(SMALL.lookahead_samples, len(signal) - SMALL.lookahead_samples)
    aligned = delayed[SMALL.lookahead_samples :, 0]
    assert_allclose(aligned[inside], small.run(signal)[inside], atol=CAN_EXACT_ATOL)


@pytest.mark.parametrize("engine", ["litert", "tf"])
def test_it_streams_later_by_what_it_looks_ahead(folder, engine):
    from rtdenoise.methods.can.streaming import build_can

    assert FULL.lookahead_samples == 8192  # 512 ms
    denoiser = build_can(folder, engine=engine)
    late = SMALL.lookahead_samples
    assert denoiser.latency_samples == late == 72
    network = denoiser._network
    frozen = models.open_model(folder).network()
    signal = lively(64 * 60)
    from tests.methods.can import reference

    found = run_stream(denoiser, signal)
    assert_allclose(found, reference.stack(frozen, signal[:, None].astype(float))[:, 0], atol=CAN_EXACT_ATOL)
    whole = reference_same_padding(frozen, signal)
    assert_allclose(found[2 * late :], whole[late:-late], atol=CAN_EXACT_ATOL)
    assert network.spec.statistics == "file"


def test_tensorflow_reads_every_ring_before_it_writes_it(folder):
    """The only deep layer's new rows do not depend on its old ones: nothing but an edge in the graph orders the two."""
    from rtdenoise.methods.can.tensorflow.engine import TensorFlowEngine

    operations = TensorFlowEngine(models.open_model(folder).network())._session.graph.get_operations()

    def before(operation):
        seen, waiting = set(), [operation]
        while waiting:
            here = waiting.pop()
            new = {*here.control_inputs, *(tensor.op for tensor in here.inputs)} - seen
            seen |= new
            waiting += new
        return seen

    def of_the_step(kinds):  # without those that set a variable up, named below it
        found = [op for op in operations if op.type in kinds]
        return [op for op in found if not op.name.startswith(op.inputs[0].op.name + "/")]

    reads = of_the_step({"ResourceGather", "ReadVariableOp"})
    updates = of_the_step({"ResourceScatterUpdate", "AssignVariableOp"})
    assert len(reads) == len(updates) == 6
    for update in updates:
        (read,) = [op for op in reads if op.inputs[0].op is update.inputs[0].op]
        assert read in before(update), update.name


def reference_same_padding(network, signal):
    """The frozen network over a whole signal, taps around each sample, silence around the signal."""
    rows = signal.astype(np.float64)[:, None]
    for kernel, bias, dilation in zip(network.kernels, network.biases, network.spec.dilations, strict=True):
        padded = np.pad(rows, ((dilation, dilation), (0, 0)))
        n = len(rows)
        rows = sum(padded[k * dilation : k * dilation + n] @ kernel[k].astype(np.float64) for k in range(3)) + bias
        rows = np.where(rows > 0, rows, network.spec.slope * rows)
    return (rows @ network.last[0].astype(np.float64) + network.last[1])[:, 0]


def test_files_are_normalised_as_a_whole_and_streams_are_not(folder, small, tmp_path):
    import soundfile

    signal = lively(16000)
    expected = small.run(signal)
    config = {"can": {"model": str(folder)}}
    assert_allclose(rtdenoise.denoise(signal, 16000, "CAN", config=config), expected, atol=CAN_EXACT_ATOL)
    streamed = rtdenoise.stream("CAN", sample_rate=16000, config=config)
    assert streamed.latency_samples == SMALL.lookahead_samples
    assert not np.allclose(streamed.process(signal)[SMALL.lookahead_samples :], expected[: 16000 - 72], atol=1e-3)
    soundfile.write(tmp_path / "noisy.wav", signal, 16000, subtype="FLOAT")
    rtdenoise.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", method="CAN", config=config)
    assert_allclose(soundfile.read(tmp_path / "clean.wav", dtype="float32")[0], expected, atol=CAN_EXACT_ATOL)


def test_channels_and_other_rates_reach_the_whole_file(folder, small):
    signal = lively(16000)
    config = {"can": {"model": str(folder)}}
    build = rtdenoise.build
    pair = build("CAN", sample_rate=16000, channels=2, config=config)
    assert isinstance(pair, PerChannel)
    both = np.stack([signal, 0.5 * signal], 1)
    found = rtdenoise.denoise(both, 16000, "CAN", config=config)
    for channel in range(2):
        assert_allclose(found[:, channel], small.run(both[:, channel]), atol=CAN_EXACT_ATOL)
    mixed = Downmix(build("CAN", sample_rate=16000, config=config), 2)
    assert_allclose(whole_of(mixed)(both)[:, 1], small.run(0.75 * signal), atol=CAN_EXACT_ATOL)
    faster = build("CAN", sample_rate=48000, config=config)
    assert isinstance(faster, RateAdapter) and len(whole_of(faster)(np.repeat(signal, 3)[:47999])) == 47999
    assert (
        whole_of(build("WF", sample_rate=48000)) is None
        and whole_of(build("WF", sample_rate=16000, channels=2)) is None
    )


def test_files_that_are_too_long_and_damaged_models_are_refused(small, folder):
    with pytest.raises(SignalError, match=r"601 s are more than small can normalise as a whole \(600 s\)"):
        small.run(np.zeros(601 * 16000, np.float32))
    content = small.as_bytes()
    for damaged, message in ((content[:-30], "cannot be read"), (b"", "cannot be read")):
        with pytest.raises(ModelError, match=message):
            load_whole(damaged, SMALL)
    with pytest.raises(ModelError, match="do not fit the specification"):
        load_whole(content, replace(SMALL, channels=7))
    with pytest.raises(ModelError, match="do not fit the specification"):
        load_whole(content, replace(SMALL, dilations=(1,) * 6))
    assert load_whole(content, SMALL).n_weights == small.n_weights


def write_tensorflow1(path, network: WholeNetwork, statistics=None, **without):
    """A checkpoint as TensorFlow 1 saves the authors' graph."""
    v1 = tf.compat.v1
    spec: CanSpec = network.spec
    names = [f"se_conv_{i}" for i in range(len(spec.dilations) - 1)] + ["se_conv_last"]
    values = {"se_fc_last/weights": network.last[0][None, None], "se_fc_last/biases": network.last[1]}
    for number, name in enumerate(names):
        values[f"{name}/weights"] = network.kernels[number][None]
        values[f"{name}/w0"] = network.passing[number]
        values[f"{name}/w1"] = network.normalising[number]
        values[f"{name}/BatchNorm/beta"] = network.offsets[number]
        if statistics is not None:
            values[f"{name}/BatchNorm/moving_mean"] = statistics[number, 0].astype(np.float32)
            values[f"{name}/BatchNorm/moving_variance"] = statistics[number, 1].astype(np.float32)
    graph = tf.Graph()
    with graph.as_default(), v1.Session(graph=graph) as session:
        variables = [
            v1.get_variable(name, initializer=value, use_resource=False)
            for name, value in values.items()
            if name not in without.get("without", ())
        ]
        session.run(v1.global_variables_initializer())
        v1.train.Saver(variables).save(session, str(path), write_meta_graph=False)


def test_a_tensorflow_1_checkpoint_becomes_a_model(small, tmp_path):
    import soundfile

    write_tensorflow1(tmp_path / "se_model.ckpt", small)
    network, statistics = read_tensorflow1(tmp_path / "se_model.ckpt", SMALL)
    assert statistics is None
    for one, other in zip(network.kernels, small.kernels, strict=True):
        assert_array_equal(one, other)
    signal = lively(4000)
    assert_array_equal(network.run(signal), small.run(signal))
    with pytest.raises(ModelError, match=r"keeps no statistics to stream with.*--recordings"):
        convert_tensorflow1(tmp_path / "se_model.ckpt", SMALL, tmp_path / "m", None)
    assert not (tmp_path / "m").exists()
    soundfile.write(tmp_path / "noisy.wav", signal, 16000, subtype="FLOAT")
    convert_tensorflow1(tmp_path / "se_model.ckpt", SMALL, tmp_path / "m", tmp_path / "noisy.wav")
    found = models.open_model(tmp_path / "m").network()
    expected = small.frozen(small.statistics(signal))
    for one, other in zip(found.kernels, expected.kernels, strict=True):
        assert_allclose(one, other, atol=HALF_ATOL)


def test_statistics_in_the_checkpoint_are_used(small, tmp_path):
    kept = mean_statistics(small, [lively(4000, 2), lively(2000, 3)])
    write_tensorflow1(tmp_path / "a.ckpt", small, kept)
    assert_allclose(read_tensorflow1(tmp_path / "a.ckpt.index", SMALL)[1], kept, rtol=1e-6)


def test_mean_statistics_are_those_of_all_signals_together(small):
    signal = lively(3000)
    one = small.statistics(signal)
    assert_allclose(mean_statistics(small, [signal, signal]), one, rtol=1e-9)
    with pytest.raises(ModelError, match="at least one recording"):
        mean_statistics(small, [])


def test_checkpoints_of_another_shape_are_refused(small, tmp_path):
    write_tensorflow1(tmp_path / "a.ckpt", small)
    for spec, message in (
        (replace(SMALL, channels=7), "do not fit the specification"),
        (replace(SMALL, dilations=(1, 2, 4, 1)), "5 convolutions, not the 4"),
    ):
        with pytest.raises(ModelError, match=message):
            read_tensorflow1(tmp_path / "a.ckpt", spec)
    write_tensorflow1(tmp_path / "b.ckpt", small, without=("se_conv_2/w1",))
    with pytest.raises(ModelError, match="no variable 'se_conv_2/w1'"):
        read_tensorflow1(tmp_path / "b.ckpt", SMALL)
    with pytest.raises(ModelError, match="not a TensorFlow checkpoint"):
        read_tensorflow1(tmp_path / "nothing.ckpt", SMALL)
    with pytest.raises(ConfigError, match="is not the published network"):
        convert_tensorflow1(tmp_path / "a.ckpt", SPECS["germain2018-causal"], tmp_path / "m", None)
