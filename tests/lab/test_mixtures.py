"""What mixtures are damaged and varied by: telephones, lost packets, whispers, noises in other colours and speeds."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.signal import lfilter, resample_poly

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.bands import band_ended
from rtdenoise.lab.data.devices import coded, pumping_gain, soft_clipped
from rtdenoise.lab.data.held import held_vowels
from rtdenoise.lab.data.library import Shelf
from rtdenoise.lab.data.mixtures import LAWS, Mixer, MixParams, active_rms, companded, rms
from rtdenoise.lab.data.whisper import whispered
from rtdenoise.lab.training.session import open_mixer

soundfile = pytest.importorskip("soundfile")
N = 16000


@pytest.mark.parametrize(("law", "subtype"), [(LAWS[0], "ULAW"), (LAWS[1], "ALAW")], ids=("mu", "A"))
def test_companding_is_that_of_g711(law, subtype):
    """Every sample of 16 bits, as libsndfile codes and decodes it."""
    samples = np.arange(-32768, 32768).astype(np.int16)
    coded = io.BytesIO()
    soundfile.write(coded, samples, 8000, format="WAV", subtype=subtype)
    assert len(coded.getvalue()) < len(samples) + 200  # 8 bits a sample
    coded.seek(0)
    expected, _ = soundfile.read(coded, dtype="int16")
    heard = companded(samples.astype(np.float32) / np.float32(32768.0), *law) * 32768.0
    zero = samples == 0  # A-law has none: either of its smallest values will do
    assert_array_equal(heard[~zero], expected[~zero])
    assert np.abs(heard[zero]) == np.abs(expected[zero])


def test_a_telephone_codes_the_mixture_and_not_the_target(data_folder, tmp_path):
    nothing = dict.fromkeys(("noise_alone", "speech_alone", "level_step", "clipping"), 0.0)
    pair = {}
    for codec in (0.0, 1.0):
        params = MixParams(level_db=(-25.0, -25.0), codec=codec, **nothing)
        mixer = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
        for seed in range(8):
            pair[codec, seed] = mixer.mix(np.random.default_rng(seed), N + 1)
            again = mixer.mix(np.random.default_rng(seed), N + 1)
            for one, two in zip(pair[codec, seed], again, strict=True):
                assert_array_equal(one, two)
    coding_db = []
    for seed in range(8):
        noisy, target = pair[1.0, seed]
        narrow = [resample_poly(resample_poly(x, 1, 2), 2, 1)[: N + 1] for x in pair[0.0, seed]]
        assert noisy.shape == target.shape == (N + 1,)
        assert_array_equal(target, narrow[1])
        coding_db.append(20 * np.log10(rms(narrow[0]) / rms(noisy - narrow[0])))
    assert min(coding_db) > 30.0 and max(coding_db) < 45.0  # what 8 companded bits give: about 38 dB


@pytest.mark.parametrize(
    "name",
    [
        *("codec", "noise_colour", "noise_speed", "whisper", "packet_loss", "held", "band_end", "near_clean"),
        *("noise_room", "gain_control", "soft_clipping", "lossy_codec"),
    ],
)
def test_mixtures_without_what_came_later_draw_nothing_for_it(data_folder, tmp_path, name):
    """What a seed draws stays what it was before there were telephones, and noises in other colours and speeds."""
    plain = dict.fromkeys(("babble", "procedural", "second_noise", "speed"), 0.0)

    class Counting(np.random.Generator):
        drawn = 0

        def random(self):
            self.drawn += 1
            return 0.5  # so that one draw more changes no later decision

    drawn = {}
    for share in (0.0, 1e-9):
        params = MixParams(**plain, **{name: share})
        mixer = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
        rng = Counting(np.random.PCG64(3))
        mixer.mix(rng, N)
        drawn[share] = rng.drawn
    assert getattr(MixParams(), name) == 0.0
    assert drawn[1e-9] == drawn[0.0] + 1


def one_noise_alone(recording, **params):
    """Mixtures of one recorded noise and nothing else, from a few seeds."""
    shares = {name: 0.0 for name in MixParams.__dataclass_fields__ if not name.endswith("_db")}
    samples = np.round(recording * 20000).astype(np.int16)
    group = [np.zeros(1, np.int64)]
    shelf = Shelf(samples, np.zeros(1, np.int64), np.array([samples.size]), group, np.ones(1))
    empty = Shelf(samples[:0], *np.zeros((2, 0), np.int64), [], np.zeros(0))
    mixer = Mixer(MixParams(**shares | {"noise_alone": 1.0} | params), shelf, shelf, shelf, empty)
    mixtures = [mixer.mix(np.random.default_rng(seed), N) for seed in range(24)]
    assert not any(target.any() for _, target in mixtures)
    return np.stack([noisy for noisy, _ in mixtures])


def test_one_recorded_noise_stands_for_several_speeds():
    tone = np.sin(2 * np.pi * 1200.0 / 16000.0 * np.arange(4 * N))
    loudest = {}
    for share in (0.0, 1.0):
        noisy = one_noise_alone(tone, noise_speed=share)
        loudest[share] = set(np.argmax(np.abs(np.fft.rfft(noisy * np.hanning(N), axis=1)), axis=1).tolist())
    assert loudest[0.0] == {1200}
    assert len(loudest[1.0]) > 3 and loudest[1.0] <= {800, 900, 960, 1500, 1600, 1800}


def test_one_recorded_noise_stands_for_several_colours():
    white = 0.2 * np.random.default_rng(1).standard_normal(4 * N)
    spread_db = {}
    for share in (0.0, 1.0):
        power = np.abs(np.fft.rfft(one_noise_alone(white, noise_colour=share), axis=1)) ** 2
        octaves = [power[:, k : 2 * k].mean(1) for k in (125, 250, 500, 1000, 2000, 4000)]
        spread_db[share] = np.ptp(10 * np.log10(octaves), axis=0)
    assert spread_db[0.0].max() < 2.5
    assert np.median(spread_db[1.0]) > 6.0


def test_lost_packets_are_silent_in_mixture_and_target(data_folder, tmp_path):
    nothing = ("noise_alone", "speech_alone", "level_step", "clipping", "babble", "procedural")
    params = MixParams(packet_loss=1.0, level_db=(-20.0, -20.0), **dict.fromkeys(nothing, 0.0))
    mixer = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
    shares = []
    for seed in range(12):
        noisy, target = mixer.mix(np.random.default_rng(seed), 4 * N)
        lost = np.abs(noisy).reshape(-1, 320).max(1) < 1e-3  # but for the dither
        shares.append(np.mean(lost))
        assert not target.reshape(-1, 320)[lost].any()
    assert 0.01 < np.mean(shares) < 0.1 and np.std(shares) > 0.005


def test_a_held_vowel_keeps_its_level_for_seconds_and_has_harmonics():
    voice = np.random.default_rng(5).standard_normal(8 * N).astype(np.float32)
    rng = np.random.default_rng(6)
    longest = []
    for _ in range(6):
        held = held_vowels(voice, rng)
        assert held.shape == voice.shape and held.dtype == np.float32 and np.isfinite(held).all()
        power = np.square(held[: held.size // 400 * 400].reshape(-1, 400)).mean(1)
        sounding = power > 0.05 * power.max()
        edges = np.flatnonzero(np.diff(np.r_[0, sounding.astype(int), 0]))
        longest.append(np.max(edges[1::2] - edges[::2]) * 400)
        start = edges[::2][np.argmax(edges[1::2] - edges[::2])] * 400
        middle = held[start + 2000 : start + 6000] * np.hanning(4000)
        spectrum = np.abs(np.fft.rfft(middle))
        assert spectrum.max() > 20 * np.median(spectrum), "harmonics, not noise"
    assert max(longest) > 2 * 16000 and min(longest) > 0.4 * 16000


def test_bands_end_for_voice_noise_or_both():
    rng = np.random.default_rng(7)
    pair = rng.standard_normal((2, 4 * N)).astype(np.float32)
    before = np.abs(np.fft.rfft(pair * np.hanning(4 * N), axis=1)) ** 2
    ended, empty = {"both": 0, "voice": 0, "noise": 0}, 0
    for _ in range(60):
        power = np.abs(np.fft.rfft(band_ended(rng, pair) * np.hanning(4 * N), axis=1)) ** 2
        share = power[:, -20:].mean(1) / before[:, -20:].mean(1)
        gone = tuple(bool(g) for g in share < 0.98)
        ended[{(True, True): "both", (True, False): "voice", (False, True): "noise"}[gone]] += 1
        empty += share.min() < 1e-6
        kept = slice(100, before.shape[1] // 3)  # to 2.7 kHz, below every edge
        assert_allclose(power[:, kept].mean(1), before[:, kept].mean(1), rtol=1e-3)
    assert ended["both"] > 20 and min(ended.values()) > 3 and empty > 40


def test_mixtures_that_are_nearly_clean_have_their_own_range(data_folder, tmp_path):
    nothing = ("noise_alone", "speech_alone", "level_step", "clipping", "room", "colour", "band_limit")
    params = MixParams(near_clean=1.0, near_clean_db=(34.0, 36.0), **dict.fromkeys(nothing, 0.0))
    mixer = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
    for seed in range(6):
        noisy, target = mixer.mix(np.random.default_rng(seed), N)
        snr_db = 20 * np.log10(active_rms(target) / rms(noisy - target))
        assert 33.0 < snr_db < 37.0


def test_noises_come_from_another_place_of_the_voices_room():
    """Each response is one echo, whose delay tells which response a signal went through."""
    rng = np.random.default_rng(4)
    recordings = [rng.standard_normal(3 * N) * 6000.0 for _ in range(2)]
    samples = np.round(np.concatenate(recordings)).astype(np.int16)
    voices = Shelf(samples[: 3 * N], np.zeros(1, np.int64), np.array([3 * N]), [np.zeros(1, np.int64)], np.ones(1))
    noises = Shelf(samples[3 * N :], np.zeros(1, np.int64), np.array([3 * N]), [np.zeros(1, np.int64)], np.ones(1))
    echoes = np.zeros((6, 1000), np.int16)
    echoes[:, 0] = 30000
    after = [100, 150, 300, 350, 500, 550]  # two places in each of three rooms
    echoes[np.arange(6), after] = 20000
    starts = np.arange(6) * 1000
    groups = [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])]
    rooms = Shelf(echoes.reshape(-1), starts, starts + 1000, groups, np.full(3, 1 / 3))
    shares = {name: 0.0 for name in MixParams.__dataclass_fields__ if not name.endswith("_db")}
    heard: dict[tuple[float, float], list[tuple[int, int]]] = {}
    for voice_in, noise_in in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        params = MixParams(**shares | {"room": voice_in, "noise_room": noise_in}, snr_db=(0.0, 0.0))
        mixer = Mixer(params, voices, voices, noises, rooms)
        for seed in range(20):
            noisy, target = mixer.mix(np.random.default_rng(seed), 2 * N)
            pair = tuple(_echo_after(part, after) for part in (target, noisy - target))
            heard.setdefault((voice_in, noise_in), []).append(pair)
    both = heard[1.0, 1.0]
    assert all(0 not in pair and abs(pair[0] - pair[1]) == 50 for pair in both)
    assert len({one for one, _ in both}) > 3
    assert {one for one, _ in heard[0.0, 1.0]} == {0} and 0 not in {other for _, other in heard[0.0, 1.0]}
    assert {other for _, other in heard[1.0, 0.0]} == {0}


def _echo_after(signal: np.ndarray, delays: list[int]) -> int:
    """The delay of these at which the signal comes again; 0 if at none."""
    power = float(signal @ signal)
    alike = [float(signal[delay:] @ signal[:-delay]) / power for delay in delays]
    return delays[int(np.argmax(alike))] if max(alike) > 0.2 else 0


def test_amplifiers_and_codecs_of_mixtures(data_folder, tmp_path):
    """Gain control turns voice and mixture alike; what saturates or codes changes the mixture and not the target."""
    nothing = dict.fromkeys(("level_step", "clipping", "noise_alone", "speech_alone"), 0.0)
    for name in ("gain_control", "soft_clipping", "lossy_codec"):
        pairs = {}
        for share in (0.0, 1.0):
            params = MixParams(level_db=(-40.0, -30.0), **nothing, **{name: share})
            mixer = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
            pairs[share] = mixer.mix(np.random.default_rng(5), N)
        (plain, target), (noisy, now) = pairs[0.0], pairs[1.0]
        assert 20 * np.log10(rms(plain) / rms(noisy - plain)) < 40.0
        if name != "gain_control":
            assert_array_equal(now, target)
            continue
        spoken = np.abs(target) > 0.1 * np.abs(target).max()
        gain = now[spoken] / target[spoken]
        assert gain.max() > 1.2 * gain.min()
        loud = spoken & (np.abs(plain) > 0.1 * np.abs(plain).max())
        assert_allclose(noisy[loud] / plain[loud], now[loud] / target[loud], rtol=0.02)


def test_gain_control_turns_down_what_is_loud():
    rng = np.random.default_rng(8)
    loud_then_soft = rng.standard_normal(4 * N) * np.repeat([0.1, 1.0, 0.03, 0.3], N)
    for seed in range(5):
        gain_db = 20 * np.log10(pumping_gain(np.random.default_rng(seed), loud_then_soft.astype(np.float32)))
        assert gain_db.shape == (4 * N,) and np.abs(gain_db).max() <= 12.01
        ends = gain_db[N - 1 :: N]  # of the four parts, when the gain has settled
        assert ends[1] < min(ends[0], ends[3]) - 1.0 and ends[2] > max(ends[1], ends[3]) + 1.0
        assert np.abs(np.diff(gain_db)).max() < 0.2  # no steps
    assert_array_equal(pumping_gain(rng, np.zeros(100, np.float32)), np.ones(100, np.float32))


def test_soft_clipping_bounds_and_keeps_what_is_small():
    signal = np.linspace(-1.0, 1.0, 2001, dtype=np.float32)
    for seed in range(5):
        clipped = soft_clipped(np.random.default_rng(seed), signal)
        assert np.all(np.diff(clipped) >= 0.0) and 0.2 < clipped.max() < 0.77
        assert_allclose(clipped[995:1006], signal[995:1006], rtol=2e-3)
    assert_array_equal(soft_clipped(np.random.default_rng(0), np.zeros(9, np.float32)), np.zeros(9))


def test_codecs_keep_length_and_alignment():
    pulses = np.zeros(2 * N + 7)
    pulses[::133] = 0.5
    voice = lfilter([1.0], [1.0, -1.9 * np.cos(2 * np.pi * 500 / 16000), 0.9025], pulses)
    signal = (0.2 * voice + 0.003 * np.random.default_rng(0).standard_normal(voice.size)).astype(np.float32)
    distances = set()
    for seed in range(12):
        heard = coded(np.random.default_rng(seed), signal)
        assert heard.shape == signal.shape and heard.dtype == np.float32
        alike = [float(signal[9:-9] @ heard[9 + lag : heard.size - 9 + lag]) for lag in range(-9, 10)]
        assert int(np.argmax(alike)) == 9
        distances.add(round(20 * np.log10(rms(signal) / rms(heard - signal))))
    assert len(distances) > 3 and min(distances) > 3 and max(distances) < 45


def test_long_mixtures_are_coded_on_a_small_stack():
    """In a process of its own: libvorbis ends it, if it is given 30 s at once."""
    code = """
import threading, numpy as np
from rtdenoise.lab.data.devices import coded
noise, sizes = np.random.default_rng(0).standard_normal(30 * 16000).astype(np.float32) / 10, []
threading.stack_size(1 << 20)
thread = threading.Thread(target=lambda: sizes.append(coded(np.random.default_rng(1), noise).size))
thread.start()
thread.join()
assert sizes == [noise.size]
"""
    assert np.random.default_rng(1).integers(3) == 1  # Vorbis
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_libsndfile_without_a_codec_is_named(monkeypatch):
    monkeypatch.setattr(soundfile, "available_subtypes", lambda container: {})
    with pytest.raises(ConfigError, match="lossy_codec needs a libsndfile that writes vorbis; set it to 0"):
        coded(np.random.default_rng(1), np.zeros(N, np.float32))


def test_a_whisper_has_the_formants_of_the_voice_and_no_pitch():
    rng = np.random.default_rng(2)
    pulses = np.zeros(2 * N)
    pulses[::128] = 1.0  # 125 Hz
    resonance = [1.0, -1.9 * np.cos(2 * np.pi * 1500 / 16000), 0.9025]
    voice = lfilter([1.0], resonance, pulses).astype(np.float32)
    whisper = whispered(voice, rng)
    assert whisper.shape == voice.shape and whisper.dtype == np.float32
    assert -8.0 < 20 * np.log10(rms(whisper) / rms(voice)) < 0.0
    periodic, spectra = {}, {}
    for name, sound in (("voice", voice), ("whisper", whisper)):
        middle = sound[2000:-2000].astype(np.float64)
        periodic[name] = np.dot(middle[128:], middle[:-128]) / np.dot(middle, middle)
        spectra[name] = np.abs(np.fft.rfft(middle)) ** 2
    assert periodic["voice"] > 0.95 and abs(periodic["whisper"]) < 0.15
    for power in spectra.values():  # most of it around the resonance
        bins = np.arange(power.size) * 8000.0 / power.size
        assert power[(bins > 1200) & (bins < 1800)].sum() > 0.6 * power.sum()
    assert not whispered(np.zeros(N, np.float32), rng).max() > 1e-4
