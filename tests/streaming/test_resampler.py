"""The streaming resampler: exact delay, any blocks, a clean band."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.api import build
from rtdenoise.errors import ConfigError
from rtdenoise.streaming.bypass import Bypass
from rtdenoise.streaming.rate import RateAdapter
from rtdenoise.streaming.resampler import Resampler, _filter_bank
from tests import reference
from tests.tolerances import RESAMPLED_ATOL, RESAMPLER_TWIN_ATOL

PAIRS = ((48000, 16000), (16000, 48000), (44100, 16000), (16000, 11025), (8000, 16000), (16000, 192000))


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_a_tone_keeps_its_phase_after_the_stated_delay(rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out)
    x = np.sin(2 * np.pi * 1000 * np.arange(rate_in) / rate_in).astype(np.float32)
    y = resampler.push(x)
    delay_seconds = resampler.delay_ticks / math.lcm(rate_in, rate_out)
    expected = np.sin(2 * np.pi * 1000 * (np.arange(y.size) / rate_out - delay_seconds))
    settled = 2 * math.ceil(delay_seconds * rate_out)
    assert_allclose(y[settled:], expected[settled:], atol=RESAMPLED_ATOL)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_matches_the_direct_sum(rate_in, rate_out):
    x = np.random.default_rng(0).normal(0, 0.3, 700).astype(np.float32)
    resampler = Resampler(rate_in, rate_out, extra_ticks=3)
    y = resampler.push(x)
    assert_allclose(y, reference.resampled(x, rate_in, rate_out, y.size, extra_ticks=3), atol=RESAMPLER_TWIN_ATOL)


def test_what_would_fold_back_is_suppressed():
    x = np.sin(2 * np.pi * 9000 * np.arange(48000) / 48000).astype(np.float32)
    y = Resampler(48000, 16000).push(x)
    assert np.abs(y[200:]).max() < 10 ** (-75 / 20)


def test_a_constant_stays_exactly_what_it_is():
    y = Resampler(44100, 16000).push(np.full(44100, 0.5, np.float32))
    assert_allclose(y[200:], 0.5, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(0, 6000), max_size=8), pair=st.sampled_from(PAIRS))
def test_cuts_do_not_matter(cuts, pair):
    x = np.random.default_rng(1).normal(0, 0.3, 9000).astype(np.float32)
    whole = Resampler(*pair).push(x)
    cut = Resampler(*pair)
    parts = [cut.push(part) for part in np.split(x, sorted(min(c, x.size) for c in cuts))]
    assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_output_counts_are_foretold(rate_in, rate_out):
    resampler = Resampler(rate_in, rate_out)
    n_in = n_out = 0
    for n in (1, 5, 160, 37, 4096, 3):
        n_in += n
        n_out += resampler.push(np.zeros(n, np.float32)).size
        assert n_out == resampler.outputs_after(n_in)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
def test_rate_adapter_never_runs_dry(rate):
    adapter = RateAdapter(Bypass(16000, 128), rate)
    for _ in range(2000):
        block = np.zeros(adapter.hop, np.float32)
        adapter.process(block, block)
        assert adapter._n_ready >= 0


def test_round_trip_at_48_khz_costs_about_3_ms():
    assert RateAdapter(Bypass(16000, 128), 48000).latency_samples / 48 < 3.3


def test_rate_adapter_refuses_several_channels_and_odd_rates():
    with pytest.raises(ConfigError, match="channels=2"):
        RateAdapter(Bypass(16000, 128, channels=2), 48000)
    with pytest.raises(ConfigError, match="sample_rate=4000"):
        RateAdapter(Bypass(16000, 128), 4000)


@pytest.mark.parametrize("rate", [15999, 44101, 16001, 0, -1, "fast"])
def test_odd_processing_rates_are_refused_in_one_line(rate):
    remedy = r"(one of 8000, 11025, .*, or left out|a whole number of Hz from 8000 to 192000)"
    with pytest.raises(ConfigError, match=rf"processing_rate_hz=\S+( Hz)? must be {remedy}") as error:
        build("WF", sample_rate=48000, config={"processing_rate_hz": rate})
    assert "\n" not in str(error.value)


def test_rates_without_a_common_factor_take_bounded_memory():
    """All 192,000 phases of a filter are never computed at once."""
    tracemalloc.start()
    bank, _ = _filter_bank(16000, 191999)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * bank.nbytes
