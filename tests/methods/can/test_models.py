"""Model folders: written, read back, and refused when anything in them is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ConfigError, DeviceError, MissingExtraError, ModelError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.models import (
    CHECKSUMS,
    LITERT,
    SERVING,
    SPEC,
    START,
    WEIGHTS,
    model_names,
    open_model,
    write_checksums,
    write_files,
)
from rtdenoise.methods.can.streaming import SpectralCan, build_can
from rtdenoise.methods.can.weights import Network, load_weights, rounded, weights_as_bytes
from tests.methods.can import reference
from tests.methods.can.networks import ALL, lively, random_network, stream
from tests.methods.can.tolerances import CAN_EXACT_ATOL, EIGHT_BITS_ATOL, compiled_atol

SHIPPED = model_names()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="converting needs TensorFlow")
    from rtdenoise.lab.export.model_folder import write_model

    folder = tmp_path_factory.mktemp("models") / "complex"
    write_model(random_network("complex"), folder, int8=True)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "model")


@pytest.mark.parametrize("name", ALL)
def test_weights_survive_the_disk(name, tmp_path):
    network = random_network(name)
    (tmp_path / "w.npz").write_bytes(weights_as_bytes(network))
    back = load_weights((tmp_path / "w.npz").read_bytes(), network.spec, tmp_path / "w.npz")
    for one, other in zip(network.arrays(), back.arrays(), strict=True):
        assert_array_equal(one, other)
    for one, other in zip(network.arrays(), rounded(network).arrays(), strict=True):
        assert_array_equal(one, other)


def test_written_model_streams_like_its_weights(folder):
    for engine in ("numba", "litert", "tf"):
        denoiser = build_can(folder, engine=engine)
        signal = lively(50 * denoiser.hop)
        expected = reference.whole_signal(random_network("complex"), signal)
        atol = EIGHT_BITS_ATOL if engine == "numba" else CAN_EXACT_ATOL
        assert_allclose(stream(denoiser, signal), expected, atol=atol, err_msg=engine)


def test_int8_is_near_and_refused_where_it_cannot_be(folder):
    signal = lively(50 * 128)
    whole, rounded_ = (stream(build_can(folder, precision=p), signal) for p in ("float", "int8"))
    assert 1e-7 < np.std(rounded_ - whole) < 0.05 * np.std(whole)
    with pytest.raises(ConfigError, match="precision='int8' needs engine='litert'"):
        build_can(folder, engine="tf", precision="int8")
    with pytest.raises(ConfigError, match="precision='half' must be one of: float, int8"):
        build_can(folder, precision="half")
    (folder / "model-int8.tflite").unlink()
    with pytest.raises(ModelError, match=r"model-int8\.tflite: cannot be read"):
        build_can(folder, precision="int8")
    write_checksums(folder)
    with pytest.raises(ModelError, match=r"no model-int8\.tflite .* comes in float only"):
        build_can(folder, precision="int8")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_stream_like_their_weights(name):
    pytest.importorskip("ai_edge_litert")
    model = open_model(name)
    denoiser = build_can(name)
    signal = lively(40 * denoiser.hop)
    expected = reference.whole_signal(model.network(), signal)
    assert_allclose(stream(denoiser, signal), expected, atol=compiled_atol(model.spec))
    assert denoiser.latency_samples == model.spec.latency_samples + model.spec.lookahead_samples
    assert (model.folder / "README.md").is_file()


def test_attenuation_limit_is_kept(folder):
    signal = np.random.default_rng(0).normal(0, 0.05, 128 * 60).astype(np.float32)
    free, limited = build_can(folder), build_can(folder, attenuation_limit_db=0.0)
    out = stream(limited, signal)
    late = limited.latency_samples
    power = np.mean(out[late:] ** 2) / np.mean(signal[:-late] ** 2)
    assert power > np.mean(stream(free, signal)[late:] ** 2) / np.mean(signal[:-late] ** 2)
    assert power == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("name", [SPEC, LITERT, WEIGHTS])
def test_changed_files_are_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: checksum differs"):
        build_can(folder)
        build_can(folder, engine="litert")


@pytest.mark.parametrize("name", [SPEC, LITERT, WEIGHTS, CHECKSUMS])
def test_missing_files_are_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: cannot be read|no {name} in it"):
        build_can(folder)
        build_can(folder, engine="litert")


def test_damaged_litert_file_with_a_right_checksum_is_refused(folder):
    (folder / LITERT).write_bytes(b"not a network" * 100)
    write_checksums(folder)
    with pytest.raises(ModelError, match="LiteRT file is damaged"):
        build_can(folder, engine="litert")


def test_specification_and_weights_that_disagree_are_refused(folder):
    values = json.loads((folder / SPEC).read_text()) | {"channels": 13}
    (folder / SPEC).write_text(json.dumps(values))
    write_checksums(folder)
    with pytest.raises(ModelError, match="LiteRT file does not fit the specification 'complex'"):
        build_can(folder, engine="litert")
    with pytest.raises(ModelError, match="weights do not fit the specification 'complex'"):
        build_can(folder)


def test_arrays_of_a_wrong_shape_are_refused():
    network = random_network("wave")
    with pytest.raises(ModelError, match=r"shapes \(3, 4\) where one of"):
        Network(network.spec, None, network.kernels, network.biases, (np.ones((3, 4), "f4"), network.last[1]))


def test_the_engine_of_spectra_is_the_compiled_hop_and_no_other_network_has_one(folder):
    assert isinstance(build_can(folder), CompiledCan)
    assert isinstance(build_can(folder, precision="int8"), SpectralCan)
    with pytest.raises(ConfigError, match="germain2018-causal: engine='numba' is for networks over spectra"):
        build_can("germain2018-causal", engine="numba")


def test_impossible_requests_are_refused(folder):
    with pytest.raises(ModelError, match="no model 'can-huge'; shipped are"):
        build_can("can-huge")
    with pytest.raises(ConfigError, match="engine='onnx' must be one of: auto, numba, litert, tf"):
        build_can(folder, engine="onnx")
    with pytest.raises(ConfigError, match="attenuation_limit_db=-3 must not be negative"):
        build_can(folder, attenuation_limit_db=-3)
    with pytest.raises(ConfigError, match="device='gpu' needs engine='tf'"):
        build_can(folder, device="gpu")
    with pytest.raises(ConfigError, match="device='tpu' must be one of: cpu, gpu, auto"):
        build_can(folder, engine="tf", device="tpu")


def test_gpu_is_asked_for_where_there_is_none(folder, caplog):
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceError, match="no GPU that TensorFlow can use"):
        build_can(folder, engine="tf", device="gpu")
    build_can(folder, engine="tf", device="auto")
    assert "running on the CPU" in caplog.text


@pytest.mark.parametrize(
    ("package", "engine", "message"),
    [
        ("ai_edge_litert.interpreter", "litert", r"pip install 'rtdenoise\[litert\]'"),
        ("tensorflow", "tf", r"rtdenoise\[tf\]"),
    ],
)
def test_missing_packages_are_named(folder, monkeypatch, package, engine, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=message):
        build_can(folder, engine=engine)


def test_streaming_through_litert_never_loads_tensorflow(folder):
    script = (
        "import sys, numpy as np\n"
        "import rtdenoise.methods.can.streaming as s\n"
        "assert 'ai_edge_litert' not in sys.modules\n"
        f"d = s.build_can({str(folder)!r}, engine='litert')\n"
        "d.process(np.zeros(d.hop, 'f4'), np.zeros(d.hop, 'f4'))\n"
        "print([m for m in ('tensorflow', 'keras', 'torch', 'jax') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opening_a_model_prints_nothing_and_keeps_standard_error(capfd):
    build_can("can-small")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


@pytest.mark.parametrize("name", ["feature-network", "wf-prior"])
def test_folders_that_hold_something_else_are_no_models(name):
    with pytest.raises(ModelError, match=rf"{name} is no model: no spec\.json in it; shipped are can-live, "):
        build_can(name)


def test_loading_keras_and_tensorflow_prints_nothing(tmp_path):
    pytest.importorskip("tensorflow", reason="about its notices")
    script = (
        "from rtdenoise.lab.network.keras_network import import_keras\n"
        "from rtdenoise.methods.can.tensorflow.engine import import_tensorflow\n"
        "import_keras(), import_tensorflow().zeros(3)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("", "")


def test_opening_models_in_several_threads_keeps_standard_error(capfd):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(build_can, ["can-small"] * 12))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


@pytest.mark.parametrize("content", [b"0123abcd\n", b"\xff\xfe\x00", b""])
def test_damaged_checksums_are_one_line(tmp_path, content):
    shutil.copytree(open_model("can-small").folder, tmp_path / "model")
    (tmp_path / "model" / CHECKSUMS).write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA256SUMS: (damaged|no checksum)"):
        open_model(tmp_path / "model")


def test_a_model_that_replaces_another_leaves_nothing_of_it(tmp_path):
    pytest.importorskip("tensorflow", reason="converting needs TensorFlow")
    from rtdenoise.lab.export.model_folder import write_model

    write_model(random_network("wave"), tmp_path, int8=True)
    (tmp_path / START).write_bytes(b"weights of another run")
    (tmp_path / SERVING / "wave" / "1").mkdir(parents=True)
    (tmp_path / SERVING / "wave" / "config.pbtxt").touch()
    (tmp_path / SERVING / "notes.txt").touch()
    write_model(random_network("magnitude"), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {SPEC, WEIGHTS, LITERT, CHECKSUMS, SERVING}
    assert [path.name for path in (tmp_path / SERVING).iterdir()] == ["notes.txt"]
    with pytest.raises(ModelError, match=r"no model-int8\.tflite"):
        build_can(tmp_path, precision="int8")


def test_a_model_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    shutil.copytree(open_model("can-small").folder, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def full_after_one(path: Path, content: bytes) -> int:
        if path.name.endswith(f"{WEIGHTS}.part"):
            raise OSError(28, "No space left on device")
        with path.open("wb") as file:
            return file.write(content)

    monkeypatch.setattr(Path, "write_bytes", full_after_one)
    with pytest.raises(OSError, match="No space"):
        write_files(tmp_path / "model", {SPEC: b"{}", WEIGHTS: b"new"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
