from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.errors import ConfigError
from rtdenoise.lab.losses.terms import TERMS, build_loss, compressed_stft
from tests.lab.sounds import spoken

keras = pytest.importorskip("keras", reason="losses are Keras operations")


def signals(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 1, (3, 8192)).astype(np.float32)
    target[:, :1024] = 0.0
    return target, (target + rng.normal(0, 0.3, target.shape)).astype(np.float32)


ENTRIES = {
    "l1": {},
    "l2": {},
    "compressed_stft": {"frame": 256, "hop": 64, "complex_share": 0.3},
    "clipped_sdr": {"ceiling_db": 30.0},
    "pauses": {},
    "estoi": {},
    "perceptual": {},
}


def value(entries, target, estimate) -> float:
    return float(build_loss(entries)(keras.ops.convert_to_tensor(target), keras.ops.convert_to_tensor(estimate)))


def test_every_term_is_tried_here():
    assert set(ENTRIES) | {"deep_features", "opinion"} == set(TERMS)  # those have modules of tests of their own


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_is_better_than_the_target(name):
    target, estimate = signals()
    entries = [{"term": name, **ENTRIES[name]}]
    assert value(entries, target, target) < value(entries, target, estimate)
    nearer = target + 0.5 * (estimate - target)
    assert value(entries, target, nearer) < value(entries, target, estimate)


def test_waveform_terms_equal_their_definition():
    target, estimate = signals()
    assert value([{"term": "l1"}], target, estimate) == pytest.approx(np.abs(target - estimate).mean(), rel=1e-5)
    assert value([{"term": "l2"}], target, estimate) == pytest.approx(np.square(target - estimate).mean(), rel=1e-5)


def test_compressed_stft_equals_its_definition():
    target, estimate = signals()
    frame, hop, share = 256, 64, 0.3
    window = np.hanning(frame + 1)[:-1]

    def spectra(signal):
        starts = range(0, signal.shape[1] - frame + 1, hop)
        frames = np.stack([signal[:, s : s + frame] for s in starts], 1) * window / np.sqrt(np.sum(window**2))
        power = np.abs(np.fft.rfft(frames)) ** 2 + 1e-8
        return power**0.15, np.fft.rfft(frames) * power**-0.35

    (m1, c1), (m2, c2) = spectra(estimate.astype(float)), spectra(target.astype(float))
    expected = (1 - share) * np.mean((m1 - m2) ** 2) + share * np.mean(np.abs(c1 - c2) ** 2)
    found = value([{"term": "compressed_stft", "frame": frame, "hop": hop, "complex_share": share}], target, estimate)
    assert found == pytest.approx(expected, rel=1e-4)


def test_clipped_sdr_equals_its_definition_and_knows_the_level():
    target, estimate = signals()
    reference = np.mean(target**2, -1) + 0.01
    expected = np.mean(10 * np.log10((np.mean((target - estimate) ** 2, -1) + 1e-3 * reference) / reference))
    entries = [{"term": "clipped_sdr", "ceiling_db": 30.0}]
    assert value(entries, target, estimate) == pytest.approx(expected, rel=1e-4)
    assert value(entries, target, 0.5 * target) > value(entries, target, target)


def test_pauses_are_heard_in_decibels_where_the_target_is_silent_and_nowhere_else():
    target, estimate = signals()
    entries = [{"term": "pauses", "below_db": -30.0, "floor_db": -60.0}]
    hops = estimate.reshape(3, -1, 256)
    hops_of = [np.concatenate([hops[:, k], hops[:, k + 1]], -1) for k in range(hops.shape[1] - 1)]
    window = np.hanning(513)[:-1]
    left = np.stack([np.mean((frame * window) ** 2, -1) for frame in hops_of[:3]], 1)  # the fourth holds speech
    expected = np.sum(10 * np.log10((left + 1e-6) / 1e-6)) / (3 * len(hops_of))
    assert value(entries, target, estimate) == pytest.approx(expected, rel=1e-4)
    louder = np.where(np.arange(8192) >= 1024, 2.0 * estimate, estimate).astype(np.float32)
    assert value(entries, target, louder) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ConfigError, match="below_db"):
        build_loss([{"term": "pauses", "below_db": 3.0}])


def test_silence_gives_numbers():
    silence = np.zeros((2, 8192), np.float32)
    entries = [{"term": name, **arguments} for name, arguments in ENTRIES.items()]
    assert np.isfinite(value(entries, silence, silence))
    assert np.isfinite(value(entries, silence, signals()[0][:2]))


@pytest.mark.parametrize("name", ENTRIES)
def test_gradients_are_finite_at_silence_and_at_the_target(name):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradients are taken with TensorFlow here")
    loss = build_loss([{"term": name, **ENTRIES[name]}])
    target = signals()[0]
    target[0] = 0.0
    for estimate in (np.zeros_like(target), target.copy()):
        variable = tf.Variable(estimate)
        with tf.GradientTape() as tape:
            result = loss(tf.constant(target), variable)
        assert np.all(np.isfinite(tape.gradient(result, variable).numpy()))


def test_estoi_term_follows_the_measure():
    stoi = pytest.importorskip("pystoi").stoi
    voice, noise = spoken()
    for snr_db in (-5, 5, 15):
        noisy = voice + noise * 10 ** (-snr_db / 20)
        expected = stoi(voice, noisy, 16000, extended=True)
        assert 1 - value([{"term": "estoi", "stride": 1}], voice[None], noisy[None]) == pytest.approx(
            expected, abs=0.07
        )


def test_estoi_leaves_pauses_out_and_does_not_hear_the_level():
    voice, noise = spoken()
    entries = [{"term": "estoi"}]
    pauses = np.abs(voice) < 1e-4
    assert value(entries, voice[None], (voice + 0.001 * noise * pauses)[None]) < 0.02
    assert value(entries, voice[None], (0.1 * voice)[None]) < 0.01


def test_perceptual_term_ranks_as_the_measure_does():
    pesq = pytest.importorskip("pesq").pesq
    voice, noise = spoken()
    estimates = [voice + noise * 10 ** (-snr_db / 20) for snr_db in (0, 10, 20, 30, 40)]
    measured = [pesq(16000, voice, estimate, "wb") for estimate in estimates]
    found = [value([{"term": "perceptual"}], voice[None], estimate[None]) for estimate in estimates]
    assert list(np.argsort(measured)) == list(np.argsort(found)[::-1])


def test_perceptual_term_does_not_hear_the_level_of_both_but_added_noise_more_than_missing_sound():
    voice, noise = spoken()
    entries = [{"term": "perceptual"}]
    noisy = voice + 0.3 * noise
    assert value(entries, voice[None], noisy[None]) == pytest.approx(
        value(entries, 0.1 * voice[None], 0.1 * noisy[None]), rel=1e-2
    )
    assert value(entries, voice[None], noisy[None]) > value(entries, noisy[None], voice[None])


def test_hearing_terms_count_nothing_for_silent_targets():
    target, estimate = signals()
    target[0] = 0.0
    for name in ("estoi", "perceptual"):
        entries = [{"term": name}]
        louder = estimate.copy()
        louder[0] *= 3.0
        assert value(entries, target, louder) == pytest.approx(value(entries, target, estimate), rel=1e-5)


def test_terms_add_with_their_weights():
    target, estimate = signals()
    both = value([{"term": "l1", "weight": 2.0}, {"term": "l2", "weight": 0.5}], target, estimate)
    one, other = (value([{"term": name}], target, estimate) for name in ("l1", "l2"))
    assert both == pytest.approx(2.0 * one + 0.5 * other, rel=1e-5)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "loss is empty"),
        ([{"term": "loudness"}], "unknown loss term 'loudness'; known terms are l1"),
        ([{"term": "l1", "power": 2}], "loss term l1"),
        ([{"term": "compressed_stft", "frame": 100, "hop": 64, "complex_share": 0.3}], "frame=100 must be a multiple"),
        ([{"term": "compressed_stft", "frame": 128, "hop": 64, "complex_share": 1.5}], "complex_share=1.5"),
        ([{"term": "compressed_stft", "frame": 0, "hop": 0, "complex_share": 0.3}], "frame=0 must be at least 2"),
        ([{"term": "compressed_stft", "frame": "a", "hop": 64, "complex_share": 0.3}], "frame='a' must be a whole"),
        ([{"term": "clipped_sdr", "ceiling_db": "loud"}], "ceiling_db='loud' must be a number"),
        ([{"term": "estoi", "stride": 1.5}], "stride=1.5 must be a whole number"),
        ([{"term": ["l1"]}], r"unknown loss term \['l1'\]"),
        ([{"term": "l1", "weight": float("inf")}], "loss term l1: weight=inf must be finite"),
        (["l1"], "loss term 'l1' must be a mapping"),
        ({"term": "l1"}, "loss={'term': 'l1'} must be a list of terms"),
    ],
)
def test_impossible_losses_are_refused(entries, message):
    with pytest.raises(ConfigError, match=message):
        build_loss(entries)


def test_term_is_built_once_and_used_for_any_batch():
    term = compressed_stft(256, 128, 0.0)
    target, estimate = signals()
    parts = [float(term(keras.ops, estimate[k : k + 1], target[k : k + 1])) for k in range(3)]
    assert float(term(keras.ops, estimate, target)) == pytest.approx(np.mean(parts), rel=1e-5)
