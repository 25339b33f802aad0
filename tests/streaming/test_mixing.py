"""What a user asks of every method, a share of the input and a limit of what is taken away, asked of networks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise import registry
from rtdenoise.config import load_settings
from rtdenoise.errors import ConfigError
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.channels import Downmix
from rtdenoise.streaming.mixing import Mixed
from rtdenoise.streaming.offline import process_hops


def run(model: str, **overrides: object) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of hiss, and what comes out, aligned."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: there is no build for this system")
    denoiser = registry.build(load_settings(method="CAN", overrides={"can": {"model": model}, **overrides}), 16000)
    n = 32000 // denoiser.hop * denoiser.hop
    signal = np.random.default_rng(0).normal(0, 0.05, n).astype(np.float32)
    out = np.empty_like(signal)
    process_hops(denoiser, signal, out)
    late = denoiser.latency_samples
    return signal[: n - late], out[late:]


def quieter_db(signal: np.ndarray, out: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(signal[16000:] ** 2) / np.mean(out[16000:] ** 2)))


@pytest.mark.parametrize("model", ["can-small", "can-wave"])
def test_the_attenuation_limit_holds_for_networks_where_it_is_given(model):
    assert quieter_db(*run(model)) > 12.0, "the preset's limit is that of SS and WF"
    assert quieter_db(*run(model, attenuation_limit_db=6.0)) < 6.2
    assert quieter_db(*run(model, attenuation_limit_db=0.0)) == pytest.approx(0.0, abs=0.01)


def test_what_is_said_for_networks_wins():
    settings = load_settings(
        method="CAN", overrides={"attenuation_limit_db": 3.0, "can": {"attenuation_limit_db": 9.0}}
    )
    assert settings.can.attenuation_limit_db == 9.0
    assert load_settings(method="CAN").can.attenuation_limit_db is None


def test_a_share_of_the_input_is_mixed_in():
    signal, whole = run("can-small")
    _, half = run("can-small", mix=0.25)
    assert_allclose(half, 0.25 * whole + 0.75 * signal, atol=1e-6)


def test_another_rate_inside_is_refused():
    with pytest.raises(ConfigError, match="processing_rate_hz=8000: germain2018-causal works at 16000 Hz"):
        run("germain2018-causal", processing_rate_hz=8000)


def test_impossible_mixtures_are_refused():
    for inner, share in ((Bypass(16000, 32), 1.5), (Downmix(Bypass(16000, 32), 2), 0.5)):
        with pytest.raises(ConfigError, match="give one channel, and 0 to 1"):
            Mixed(inner, share)
