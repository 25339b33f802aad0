"""The seven laws, for every implementation and adapter."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from rtdenoise.streaming.offline import process_hops, run_offline
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import Denoiser
from tests.contract.builders import BUILDERS, RESAMPLED, TRANSPARENT
from tests.tolerances import RESAMPLED_ATOL, ROUND_TRIP_ATOL

BAD_VALUES = (np.nan, np.inf, -np.inf, 3e38, 1e-42)


@pytest.fixture(scope="module", params=BUILDERS, ids=str)
def shared(request):
    """One object per builder for the whole module: constructing compiles; every test resets it first."""
    return request.param, BUILDERS[request.param]()


@pytest.fixture
def denoiser(shared) -> Denoiser:
    shared[1].reset()
    return shared[1]


def shape(denoiser: Denoiser, n: int) -> tuple[int, ...]:
    return (n,) if denoiser.channels == 1 else (n, denoiser.channels)


def speechlike(denoiser: Denoiser, n_hops: int, seed: int = 0) -> np.ndarray:
    """Bursts of harmonics in noise, at least 0.1 s; the tests compare samples, so any lively signal will do."""
    rng = np.random.default_rng(seed)
    n = max(n_hops * denoiser.hop, denoiser.sample_rate // 10)
    n -= n % denoiser.hop
    t = np.arange(n) / denoiser.sample_rate
    voice = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12)) * (np.sin(2 * np.pi * 5 * t) > 0)
    signal = 0.1 * voice.reshape(-1, *([1] * (denoiser.channels > 1))) + rng.normal(0, 0.02, shape(denoiser, n))
    return signal.astype(np.float32)


def stream(denoiser: Denoiser, signal: np.ndarray) -> np.ndarray:
    out = np.full_like(signal, np.nan)
    hop = denoiser.hop
    for start in range(0, signal.shape[0], hop):
        denoiser.process(signal[start : start + hop], out[start : start + hop])
    return out


def test_length_reads_and_writes_one_hop(denoiser):
    block = speechlike(denoiser, 4)[: denoiser.hop]
    guarded = np.full(shape(denoiser, 3 * denoiser.hop), 7.0, np.float32)
    before = block.copy()

    denoiser.process(block, guarded[denoiser.hop : 2 * denoiser.hop])

    assert_array_equal(block, before)
    assert np.all(guarded[: denoiser.hop] == 7.0)
    assert np.all(guarded[2 * denoiser.hop :] == 7.0)
    assert np.all(guarded[denoiser.hop : 2 * denoiser.hop] != 7.0)


@pytest.mark.parametrize("build", TRANSPARENT.values(), ids=TRANSPARENT)
def test_alignment_an_impulse_comes_out_latency_samples_later(build):
    denoiser = build()
    n_hops = 8 + 4 * denoiser.latency_samples // denoiser.hop
    for position in (0, 1, denoiser.hop - 1, denoiser.hop, 3 * denoiser.hop + min(7, denoiser.hop - 1)):
        denoiser.reset()
        impulse = np.zeros(shape(denoiser, n_hops * denoiser.hop), np.float32)
        impulse[position] = 1.0
        expected = np.roll(impulse, denoiser.latency_samples, axis=0)
        assert_allclose(stream(denoiser, impulse), expected, atol=ROUND_TRIP_ATOL)


@pytest.mark.parametrize("build", RESAMPLED.values(), ids=RESAMPLED)
def test_alignment_of_resampled_streams(build):
    denoiser = build()
    n = denoiser.sample_rate // 2 // denoiser.hop * denoiser.hop
    t = np.arange(n) / denoiser.sample_rate
    rise = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / 0.02, 0, 1))  # no step at the start: it is outside the band
    sweep = (0.5 * rise * np.sin(2 * np.pi * (200 + 2500 * t) * t)).astype(np.float32)

    out = stream(denoiser, sweep)

    late = denoiser.latency_samples
    assert_allclose(out[late:], sweep[: n - late], atol=RESAMPLED_ATOL)
    assert np.abs(out[:late]).max() < RESAMPLED_ATOL


def test_alignment_of_the_enhanced_signal(shared, denoiser):
    """To the sample at 16 kHz, and to half of one there at higher rates: without noise up there the peak is as wide."""
    signal = speechlike(denoiser, 64)
    mono = signal if signal.ndim == 1 else signal[:, 0]
    out = stream(denoiser, signal)
    out = out if out.ndim == 1 else out[:, 0]
    lags = range(max(0, denoiser.latency_samples - 40), denoiser.latency_samples + 41)
    scores = [float(np.dot(out[lag:], mono[: mono.size - lag])) for lag in lags]
    off = lags[int(np.argmax(scores))] - denoiser.latency_samples
    assert abs(off) <= denoiser.sample_rate // 32000, shared[0]


def test_causality_the_future_does_not_reach_the_past(denoiser):
    signal = speechlike(denoiser, 24)
    whole = stream(denoiser, signal)
    known = signal.shape[0] // denoiser.hop // 2 * denoiser.hop
    poisoned = signal.copy()
    poisoned[known:] = np.nan
    denoiser.reset()

    assert_array_equal(stream(denoiser, poisoned)[:known], whole[:known])


def test_reset_restores_the_new_object_exactly(shared, denoiser):
    name, _ = shared
    signal = speechlike(denoiser, 24)
    new = stream(BUILDERS[name](), signal)
    stream(denoiser, np.full_like(signal, np.nan))
    stream(denoiser, 0.3 * signal[::-1].copy())
    denoiser.reset()

    assert_array_equal(stream(denoiser, signal), new)


def test_aliasing_in_place_gives_the_same(denoiser):
    signal = speechlike(denoiser, 24)
    apart = stream(denoiser, signal)
    denoiser.reset()
    for start in range(0, signal.shape[0], denoiser.hop):
        block = signal[start : start + denoiser.hop]
        denoiser.process(block, block)

    assert_array_equal(signal, apart)


SANITY = {
    "silence": np.zeros,
    "full scale": lambda n: np.where(np.arange(n) % 50 < 25, 1.0, -1.0),
    "constant": np.ones,
    "clipped": lambda n: np.clip(4 * np.sin(np.arange(n) * 0.05), -1, 1),
    "denormal": lambda n: np.full(n, 1e-42),
    "tiny": lambda n: 1e-12 * np.sin(np.arange(n) * 0.05),
    "huge": lambda n: 1e6 * np.sin(np.arange(n) * 0.05),
    "one sample": lambda n: (np.arange(n) == 5) * 1.0,
}


@pytest.mark.parametrize("kind", SANITY)
def test_sanity_finite_in_finite_out(denoiser, kind):
    n = speechlike(denoiser, 24).shape[0]
    signal = np.zeros(shape(denoiser, n), np.float32)
    signal.T[...] = SANITY[kind](n).astype(np.float32)
    limit = max(1.0, float(np.abs(signal).max()))

    out = stream(denoiser, signal)

    assert np.all(np.isfinite(out))
    assert np.abs(out).max() <= 2.0 * limit


@pytest.mark.parametrize("bad", BAD_VALUES, ids=str)
@pytest.mark.parametrize("name", [name for name in BUILDERS if "bypass" not in name])
def test_sanity_one_bad_sample_is_forgotten(name, bad):
    denoiser = BUILDERS[name]()
    signal = speechlike(denoiser, 24)
    signal[denoiser.hop + denoiser.hop // 2] = bad

    out = stream(denoiser, np.concatenate([signal, signal]))

    assert np.all(np.isfinite(out[signal.shape[0] // 2 :]))
    assert np.abs(out[-denoiser.hop * 4 :]).max() > 0


def test_streaming_equals_offline_for_any_chunks(denoiser):
    signal = speechlike(denoiser, 24)[: -denoiser.hop // 2 or None]
    whole = run_offline(denoiser, signal)
    rng = np.random.default_rng(1)
    denoiser.reset()
    session, parts, start = Stream(denoiser), [], 0
    while start < signal.shape[0]:
        n = int(rng.choice([1, 2, 7, denoiser.hop, 997]))
        parts.append(session.process(signal[start : start + n]))
        start += n
    joined = np.concatenate([*parts, session.flush()])

    assert joined.shape[0] == signal.shape[0] + denoiser.latency_samples
    assert_array_equal(joined[denoiser.latency_samples :], whole)


def test_many_hops_in_one_call_are_the_same(denoiser):
    signal = speechlike(denoiser, 24)
    one_by_one = stream(denoiser, signal)
    denoiser.reset()
    together = np.empty_like(signal)
    process_hops(denoiser, signal, together)

    assert_array_equal(together, one_by_one)
