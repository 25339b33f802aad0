"""Windows: overlap-add gives the input back, at every preset's times and every common rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.errors import ConfigError
from rtdenoise.streaming.overlap_add import fast_even_length, scaled_framing
from rtdenoise.streaming.windows import hann, window_pair

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)
TIMES = ((0.032, 4), (0.016, 2), (0.008, 2), (0.004, 2))


@given(half_hops=st.integers(1, 40), overlap=st.sampled_from([2, 4, 8]), longer=st.integers(0, 300))
def test_products_of_the_windows_add_up_to_one(half_hops, overlap, longer):
    hop = 2 * half_hops
    span = overlap * hop
    analysis, synthesis = window_pair(span + longer, span, hop)
    product = analysis[longer:] * synthesis
    assert_allclose(product.reshape(overlap, hop).sum(axis=0), 1.0, atol=1e-12)


def test_symmetric_pair_is_the_square_root_of_hann():
    analysis, synthesis = window_pair(512, 512, 256)
    assert_allclose(analysis, np.sqrt(hann(512)), atol=1e-12)
    assert_allclose(synthesis[1:], np.sqrt(hann(512))[1:], atol=1e-12)


def test_asymmetric_analysis_window_is_long_and_falls_within_half_a_span():
    analysis, synthesis = window_pair(512, 128, 64)
    assert np.argmax(analysis) == 512 - 64
    assert np.count_nonzero(analysis > 0.5) > 128  # longer than the synthesis window: resolution beyond the delay
    assert synthesis.size == 128


def test_without_overlap_the_last_hop_is_given_out_as_it_is():
    analysis, synthesis = window_pair(512, 128, 128)
    assert_array_equal(analysis[-128:] * synthesis, 1.0)
    assert np.all(np.diff(analysis[:384]) > 0.0)
    assert analysis[0] == 0.0


@pytest.mark.parametrize(
    ("frame", "span", "hop"), [(512, 129, 64), (128, 128, 128), (100, 128, 64), (512, 128, 48), (64, 64, 0)]
)
def test_impossible_windows_are_refused(frame, span, hop):
    with pytest.raises(ConfigError, match=f"frame={frame} span={span} hop={hop}"):
        window_pair(frame, span, hop)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("span_seconds", "overlap"), TIMES)
def test_framing_keeps_its_times_at_every_rate(rate, span_seconds, overlap):
    framing = scaled_framing(rate, frame_seconds=0.032, span_seconds=span_seconds, overlap=overlap)
    assert framing.delay_samples / rate == pytest.approx(span_seconds, rel=0.07)
    assert framing.frame / rate == pytest.approx(0.032, rel=0.05)
    assert framing.latency_samples == framing.span - framing.hop


def test_fast_lengths_have_small_factors_only():
    for wanted in range(20, 3000, 37):
        n = fast_even_length(wanted)
        assert n % 2 == 0
        assert abs(n - wanted) <= 0.06 * wanted + 2
        for prime in (2, 3, 5, 7):
            while n % prime == 0:
                n //= prime
        assert n == 1


@pytest.mark.parametrize("rate", [0, 7999, 192001, 44100.5, -16000])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ConfigError, match="8000 to 192000"):
        scaled_framing(rate, frame_seconds=0.032, span_seconds=0.008, overlap=2)
