from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.lab.export.serving import export_saved_model, state_shapes, triton_config
from tests.methods.can import reference
from tests.methods.can.networks import ALL, lively, random_network
from tests.methods.can.tolerances import CAN_EXACT_ATOL

KINDS = ("wave", "framed", "magnitude", "no overlap")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("serving")
    for name in KINDS:
        export_saved_model(random_network(name), folder / name)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_a_server_that_hands_the_state_on_gets_the_same_samples(saved, name):
    tf = pytest.importorskip("tensorflow")
    network = random_network(name)
    spec = network.spec
    loaded = tf.saved_model.load(str(saved / name / "1" / "model.savedmodel"))
    step = loaded.signatures["serving_default"]
    shapes = state_shapes(spec)
    state = {n: tf.zeros(s, tf.int32 if n == "step_number" else tf.float32) for n, s in shapes.items()}
    signal = lively(60 * spec.hop)
    parts = []
    for block in signal.reshape(-1, 1, spec.hop):
        answer = step(block=tf.constant(block), **state)
        state = {n: answer[f"next_{n}"] for n in shapes}
        parts.append(answer["enhanced"].numpy()[0])
    assert_allclose(np.concatenate(parts), reference.whole_signal(network, signal), atol=CAN_EXACT_ATOL)


@pytest.mark.parametrize("name", KINDS)
def test_the_configuration_names_what_the_saved_model_has(saved, name):
    tf = pytest.importorskip("tensorflow")
    model_config_pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="Triton's own schema")
    from google.protobuf import text_format

    text = (saved / name / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    step = tf.saved_model.load(str(saved / name / "1" / "model.savedmodel")).signatures["serving_default"]
    kinds = {tf.float32: model_config_pb2.TYPE_FP32, tf.int32: model_config_pb2.TYPE_INT32}
    described = {t.name: t for t in config.input} | {s.input_name: s for s in config.sequence_batching.state}
    given = step.structured_input_signature[1]
    assert {n: (tuple(t.dims), t.data_type) for n, t in described.items()} == {
        n: (tuple(t.shape), kinds[t.dtype]) for n, t in given.items()
    }
    answers = {t.name for t in config.output} | {s.output_name for s in config.sequence_batching.state}
    assert answers == set(step.structured_outputs)
    assert all(s.initial_state[0].zero_data for s in config.sequence_batching.state)
    assert config.name == ALL[name].name


def test_braces_and_quotes_of_the_configuration_are_balanced():
    for name, spec in ALL.items():
        text = triton_config(spec)
        assert text.count("{") == text.count("}") > 3, name
        assert text.count("[") == text.count("]") and text.count('"') % 2 == 0, name
