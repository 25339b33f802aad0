"""The loss term that follows DNSMOS, beside the published network run by another program."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.lab.losses import opinion
from rtdenoise.lab.losses.terms import build_loss, check_loss
from rtdenoise.lab.training.session import train
from rtdenoise.lab.training.settings import TrainSettings
from rtdenoise.methods.can.specs import shipped_spec
from tests.lab.sounds import spoken

keras = pytest.importorskip("keras", reason="losses are Keras operations")
needs_network = pytest.mark.skipif(
    find_spec("speechmos") is None or find_spec("onnx") is None, reason="packages speechmos and onnx are not installed"
)


def value(target: np.ndarray, estimate: np.ndarray, clips: int = 1, seconds: float = 0.0) -> float:
    convert = keras.ops.convert_to_tensor
    loss = build_loss([{"term": "opinion", "clips": clips, "seconds": seconds}])
    return float(loss(convert(target.astype(np.float32)), convert(estimate.astype(np.float32))))


@needs_network
def test_equals_the_published_network():
    runtime = pytest.importorskip("onnxruntime", reason="the other program")
    package = find_spec("speechmos")
    path = Path(package.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    voice, noise = spoken(144160 / 16000)
    for signal in (0.05 * voice, 0.05 * (voice + noise), np.zeros_like(voice)):
        (expected,) = session.run(None, {"input_1": signal[None]})
        found = opinion.raw_opinions(keras.ops, opinion._weights(), keras.ops.convert_to_tensor(signal[None]))
        assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=2e-4)


@needs_network
def test_less_noise_is_better_in_the_first_clips_and_silent_targets_count_nothing():
    voice, noise = spoken()
    target = np.stack([voice, voice])
    values = [value(target, np.stack([voice + share * noise, voice])) for share in (0.1, 0.5, 1.0)]
    assert values == sorted(values) and values[2] - values[0] > 0.5
    alone = value(target, target)
    assert value(target, np.stack([voice, voice + noise])) == alone
    assert value(target, np.stack([voice, voice + noise]), clips=2) > alone
    assert value(0.0 * target, target) == 0.0


@needs_network
def test_only_the_last_seconds_are_scored():
    voice, noise = spoken(3.0)
    noisy = voice.copy()
    noisy[: voice.size // 3] += noise[: voice.size // 3]
    target = voice[None]
    assert (
        value(target, noisy[None], seconds=1.5)
        == value(target, target, seconds=1.5)
        == value(target[:, -24000:], target[:, -24000:])
    )
    assert value(target, noisy[None]) > value(target, target) == value(target, target, seconds=9.0)
    silent_there = target.copy()
    silent_there[:, -24000:] = 0.0
    assert value(silent_there, noisy[None], seconds=1.5) == 0.0


@needs_network
def test_gradients_are_finite_at_silence():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken with TensorFlow here")
    voice, _ = spoken(1.0)
    loss = build_loss([{"term": "opinion"}])
    for estimate in (np.zeros_like(voice), voice):
        variable = tf.Variable(estimate[None])
        with tf.GradientTape() as tape:
            result = loss(tf.constant(voice[None]), variable)
        gradient = tape.gradient(result, variable).numpy()
        assert np.all(np.isfinite(gradient)) and (np.any(gradient) or not np.any(estimate))


def test_impossible_terms_are_refused_before_anything_is_read():
    assert check_loss([{"term": "opinion"}]) == opinion.OPINION_SAMPLES
    with pytest.raises(ConfigError, match="crop_seconds"):
        TrainSettings(network=shipped_spec("can-small"), loss=[{"term": "opinion"}], crop_seconds=0.2)


def test_missing_packages_are_named_before_recordings_are_read(monkeypatch, tmp_path):
    opinion._weights.cache_clear()
    monkeypatch.setattr(opinion, "find_spec", lambda name: None)
    settings = TrainSettings(network=shipped_spec("can-small"), loss=[{"term": "opinion"}])
    with pytest.raises(MissingExtraError, match=r"pip install 'rtdenoise\[mos\]'"):
        train(settings, data=tmp_path / "nowhere", folder=tmp_path / "run", cache=tmp_path / "cache")


@needs_network
def test_clips_must_be_a_whole_number():
    with pytest.raises(ConfigError, match="clips=0 must be at least 1"):
        build_loss([{"term": "opinion", "clips": 0}])
