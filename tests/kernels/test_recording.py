"""How clear a recording is: against its float64 twin, and what it says of voices over noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rtdenoise.kernels.clean_speech import recording
from tests import reference
from tests.tolerances import KERNEL_RTOL

FALL, SMOOTHING, RISE, NEAR = np.float32(0.9995), np.float32(0.98), np.float32(0.9), 31
VOICED, UNVOICED = 0.95, 0.5
EDGES_DB = np.array([27, 30, 16, 24], np.float32)


def followed(levels, voicing):
    state, counts = np.zeros(recording.N_LEVELS, np.float32), np.zeros(2, np.int64)
    return [
        recording.follow_recording(
            np.float32(level),
            np.float32(r),
            state,
            counts,
            FALL,
            SMOOTHING,
            RISE,
            np.float32(0.9),
            EDGES_DB,
            NEAR,
            n == 0,
            n // 75 if n % 75 == 0 else -1,
        )
        for n, (level, r) in enumerate(zip(levels, voicing, strict=True))
    ]


def syllables(n, snr_db):
    """Level and voicing of frames: 20 of consonant, 6 dB below the 35 of vowel that follow, and a pause."""
    rng = np.random.default_rng(0)
    place = np.arange(n) % 90
    vowel, consonant = (place >= 20) & (place < 55), place < 20
    voice = np.where(vowel, 1.0, np.where(consonant, 0.25, 0.0)) * 10 ** (snr_db / 10)
    return (voice + rng.gamma(40, 1 / 40, n)).astype(np.float32), np.where(vowel, VOICED, UNVOICED)


def claps(n, snr_db):
    """Frames of bursts that last 80 ms and come every 0.9 s."""
    return np.where(np.arange(n) % 113 < 10, 10 ** (snr_db / 10), 0.0).astype(np.float32)


@pytest.mark.parametrize(("snr_db", "clap_db"), [(28.5, 0), (40, 24), (40, 36), (28.7, 14)])
def test_recording_matches_its_twin(snr_db, clap_db):
    levels, voicing = syllables(2000, snr_db)
    levels[900:] = np.roll(levels[900:], 300) + claps(1100, clap_db)
    voicing[900:] = np.roll(voicing[900:], 300)
    levels[1200:1500], voicing[1200:1500] = 1.0 + claps(300, clap_db), UNVOICED
    twin = reference.Recording(float(levels[0]), NEAR)
    expected = [
        0.0,
        *(
            twin.step(float(level), r, float(FALL), float(SMOOTHING), float(RISE), n % 75 == 0)
            for n, (level, r) in enumerate(zip(levels, voicing, strict=True))
            if n
        ),
    ]
    assert_allclose(followed(levels, voicing), expected, atol=2e-4)
    assert max(expected) > 0.3


def test_clear_from_the_first_vowel_and_never_in_noise():
    levels, voicing = syllables(1000, 40.0)
    levels[:90], voicing[:90] = 1.0, UNVOICED
    found = followed(levels, voicing)
    assert max(found[:100]) == 0.0 and min(found[120:]) == 1.0
    assert max(followed(*syllables(1000, 20.0))) == 0.0


def test_clear_for_who_begins_inside_a_word():
    levels, voicing = syllables(1000, 40.0)
    found = followed(levels[40:], voicing[40:])
    assert min(found[60:]) == 1.0  # from the first pause on


def test_a_held_vowel_is_not_taken_for_noise_but_lasting_noise_is():
    held = np.concatenate([np.ones(300), np.full(640, 1e4), np.full(400, 1e4)]).astype(np.float32)
    found = followed(held, np.where(held > 1, VOICED, UNVOICED))
    assert min(found[300:940]) == 1.0  # 5 s of 8 ms
    assert found[-1] == 0.0


def test_bursts_over_a_quiet_floor_are_no_clear_recording():
    noise, unvoiced = 1.0 + claps(1500, 40.0), np.full(1500, UNVOICED)
    assert max(followed(noise, unvoiced)) == 0.0
    levels, voicing = syllables(1500, 40.0)
    levels[:750], voicing[:750] = noise[:750], UNVOICED
    assert max(followed(levels, voicing)) == 0.0  # nor when somebody speaks after them


def test_consonants_near_a_vowel_are_no_bursts():
    levels, voicing = syllables(1000, 40.0)
    levels[(np.arange(1000) % 90) < 20] *= 4.0  # as loud as the vowel
    assert min(followed(levels, voicing)[150:]) == 1.0


def test_frame_level_is_the_sum():
    recent = np.random.default_rng(1).exponential(1.0, 257).astype(np.float32)
    for first, end in ((0, 257), (3, 224), (5, 6), (7, 7)):
        assert_allclose(
            recording.frame_level(recent, first, end), recent[first:end].sum(dtype=float), rtol=KERNEL_RTOL, atol=1e-12
        )
