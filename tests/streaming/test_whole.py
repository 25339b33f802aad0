"""Networks that normalise a whole file do so behind every adapter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import rtdenoise
from rtdenoise import registry
from rtdenoise.config import load_settings
from rtdenoise.streaming.rechunk import Rechunked
from rtdenoise.streaming.whole import WholeStream, enhance_whole, whole_of
from tests.tolerances import ROUND_TRIP_ATOL

SIGNAL = np.random.default_rng(0).normal(0, 0.05, 16000).astype(np.float32)


def germain(channels: int = 1, rate: int = 16000, **overrides: object):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: there is no build for this system")
    return registry.build(
        load_settings(method="CAN", overrides={"can": {"model": "germain2018"}, **overrides}), rate, channels
    )


@pytest.mark.parametrize(
    ("overrides", "share"),
    [({"mix": 0.25}, 0.25), ({"attenuation_limit_db": 20.0}, 0.9), ({"attenuation_limit_db": 0.0}, 0.0)],
)
def test_a_share_of_the_input_leaves_the_whole_file_its_statistics(overrides, share):
    """Mixed hid the network: files went through the stream's kept statistics instead, without a word."""
    wet = enhance_whole(germain(), SIGNAL)
    assert_allclose(enhance_whole(germain(**overrides), SIGNAL), SIGNAL + share * (wet - SIGNAL), atol=ROUND_TRIP_ATOL)


def test_every_adapter_passes_the_whole_file_on():
    for denoiser in (
        germain(mix=0.5),
        germain(2, mix=0.5),
        germain(2, mix=0.5, channel_mode="downmix"),
        germain(rate=48000, mix=0.5),
        Rechunked(germain(mix=0.5), 480),
    ):
        assert whole_of(denoiser) is not None
    assert whole_of(Rechunked(registry.build(load_settings(), 16000), 480)) is None


def test_bad_samples_do_not_spread_over_the_share_of_the_input():
    bad = SIGNAL.copy()
    bad[100] = np.nan
    assert np.isfinite(rtdenoise.denoise(bad, 16000, "CAN", model="germain2018", mix=0.5)).all()


def test_chunks_of_a_whole_stream_keep_type_and_layout():
    denoiser = germain(2)
    stream = WholeStream(denoiser, whole_of(denoiser))
    stereo = (np.stack([SIGNAL, SIGNAL[::-1]]) * 32767).astype(np.int16)
    assert [stream.process(part).shape for part in np.split(stereo, [700, 5000], axis=1)] == [(2, 0)] * 3
    out = stream.flush()
    assert out.shape == stereo.shape and out.dtype == np.int16
    stream.reset()
    assert stream.flush().shape == (0, 2)
