"""How clear a recording is: against its float64 twin, and what it says of voices over noise."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from rtdenoise.kernels import recording
from tests import reference
from tests.tolerances import KERNEL_RTOL

FALL, SMOOTHING = np.float32(0.9995), np.float32(0.98)


def followed(levels):
    state = np.zeros(recording.N_LEVELS, np.float32)
    return [
        recording.follow_recording(np.float32(v), state, FALL, SMOOTHING, n == 0, n // 75 if n % 75 == 0 else -1)
        for n, v in enumerate(levels)
    ]


def syllables(n, snr_db):
    rng = np.random.default_rng(0)
    voice = np.where(np.arange(n) % 60 < 35, 10 ** (snr_db / 10), 0.0)
    return (voice + rng.gamma(40, 1 / 40, n)).astype(np.float32)


def test_recording_matches_its_twin():
    levels = syllables(2000, 29.0)
    twin = reference.Recording(float(levels[0]))
    expected = [
        0.0,
        *(twin.step(float(v), float(FALL), float(SMOOTHING), n % 75 == 0) for n, v in enumerate(levels) if n),
    ]
    assert_allclose(followed(levels), expected, atol=2e-4)
    assert 0.3 < expected[-1] < 0.7


def test_clear_from_the_first_syllable_and_never_in_noise():
    clear = syllables(1000, 40.0)
    clear[:100] = 1.0
    found = followed(clear)
    assert max(found[:100]) == 0.0 and min(found[125:]) == 1.0
    assert max(followed(syllables(1000, 20.0))) == 0.0


def test_a_held_vowel_is_not_taken_for_noise_but_lasting_noise_is():
    held = np.concatenate([np.ones(300), np.full(640, 1e4), np.full(400, 1e4)]).astype(np.float32)
    found = followed(held)
    assert min(found[300:940]) == 1.0  # 5 s of 8 ms
    assert found[-1] == 0.0


def test_frame_level_is_the_sum():
    recent = np.random.default_rng(1).exponential(1.0, 257).astype(np.float32)
    for first, end in ((0, 257), (3, 224), (5, 6), (7, 7)):
        assert_allclose(
            recording.frame_level(recent, first, end), recent[first:end].sum(dtype=float), rtol=KERNEL_RTOL, atol=1e-12
        )
