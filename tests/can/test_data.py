"""Mixtures made on the fly: batches, levels, noises, telephones, and the page that shows them."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import pickle
import struct
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from numpy.testing import assert_array_equal
from scipy.signal import lfilter, resample_poly

from rtdenoise.can.training import batches as making
from rtdenoise.can.training.batches import _pool as make_pool
from rtdenoise.can.training.batches import batches, make_batch
from rtdenoise.can.training.library import Shelf
from rtdenoise.can.training.mixtures import LAWS, Mixer, MixParams, active_rms, companded, rms
from rtdenoise.can.training.procedural import GENERATORS, procedural_noise
from rtdenoise.can.training.session import open_mixer
from rtdenoise.can.training.whisper import whispered
from rtdenoise.errors import ConfigError

soundfile = pytest.importorskip("soundfile")
N = 16000


@pytest.fixture(scope="module")
def mixer(data_folder, tmp_path_factory):
    return open_mixer(data_folder, "train", MixParams(), cache=tmp_path_factory.mktemp("cache"), sample_rate=16000)


def test_a_batch_is_a_function_of_seed_and_number(mixer):
    first, again, other = (make_batch(mixer, seed=3, number=k, batch_size=3, n_samples=N) for k in (7, 7, 8))
    assert_array_equal(first.noisy, again.noisy)
    assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.noisy, other.noisy)


def test_the_sequence_goes_on_from_any_number(mixer):
    whole = batches(mixer, seed=1, first=0, batch_size=2, n_samples=4000)
    from_two = batches(mixer, seed=1, first=2, batch_size=2, n_samples=4000)
    three = [next(whole) for _ in range(3)]
    assert_array_equal(three[2].noisy, next(from_two).noisy)


def test_processes_make_the_same_sequence_and_map_the_same_file(mixer):
    sent = pickle.dumps(mixer)
    assert len(sent) < 20_000 < mixer.speech.samples.nbytes
    alone = batches(mixer, seed=1, first=5, batch_size=2, n_samples=4000)
    together = batches(mixer, seed=1, first=5, batch_size=2, n_samples=4000, workers=2)
    with contextlib.closing(together), contextlib.closing(alone):
        for _ in range(6):
            one, other = next(alone), next(together)
            for name in ("noisy", "target", "scale"):
                assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_process_that_dies_is_one_line(mixer):
    others = set(multiprocessing.active_children())
    together = batches(mixer, seed=1, first=0, batch_size=2, n_samples=4000, workers=1)
    with contextlib.closing(together):
        next(together)
        own = set(multiprocessing.active_children()) - others
        assert own
        for child in own:
            child.kill()
        with pytest.raises(ConfigError, match=r"out of memory\?\); workers=1 may be fewer, 0 needs none"):
            for _ in range(10):
                next(together)


def test_a_process_that_dies_in_the_midst_of_an_answer_is_one_line(mixer, monkeypatch):
    pools = []
    monkeypatch.setattr(making, "_pool", lambda *given: pools.append(make_pool(*given)) or pools[-1])
    together = making.batches(mixer, seed=1, first=0, batch_size=2, n_samples=4000, workers=2)
    with contextlib.closing(together):
        next(together)
        pools[0]._result_queue._writer._send(struct.pack("!i", 2**30))  # as much is announced, and never comes
        next(iter(pools[0]._processes.values())).kill()
        with pytest.raises(ConfigError, match="a process that makes mixtures has ended"):
            for _ in range(10):
                next(together)


def test_processes_end_with_a_run_that_is_killed(data_folder, tmp_path):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from rtdenoise.can.training.batches import batches\n"
        "from rtdenoise.can.training.mixtures import MixParams\n"
        "from rtdenoise.can.training.session import open_mixer\n"
        "if __name__ == '__main__':\n"
        "    mixer = open_mixer(Path(sys.argv[1]), 'train', MixParams(), cache=Path(sys.argv[2]), sample_rate=16000)\n"
        "    made = batches(mixer, seed=1, first=0, batch_size=1, n_samples=4000, workers=1)\n"
        "    next(made)\n"
        "    import multiprocessing\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(300)\n"
    )
    (tmp_path / "run.py").write_text(script)
    command = [sys.executable, str(tmp_path / "run.py"), str(data_folder), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        worker = int(run.stdout.readline())
        run.kill()
    until = time.monotonic() + 30.0
    while _lives(worker):
        assert time.monotonic() < until, "a process that makes mixtures outlives its run"
        time.sleep(0.1)


def _lives(number: int) -> bool:
    """Whether a process runs; one that ended and was not fetched does not."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_page_that_cannot_be_written_is_one_line(mixer, tmp_path):
    (tmp_path / "taken").write_text("a file")
    pytest.importorskip("matplotlib")
    from rtdenoise.can.training.pictures import dry_run
    from rtdenoise.can.training.settings import settings_from_mapping

    settings = settings_from_mapping({"network": "can-small", "loss": [{"term": "l1"}], "crop_seconds": 0.5})
    with pytest.raises(ConfigError, match="taken: the page cannot be written there"):
        dry_run(settings, mixer, tmp_path / "taken")


def test_mixtures_are_finite_in_range_and_have_their_levels(mixer):
    for number in range(40):
        batch = make_batch(mixer, seed=2, number=number, batch_size=2, n_samples=N)
        for signal in (batch.noisy, batch.target):
            assert np.all(np.isfinite(signal))
            assert np.abs(signal).max() <= 1.01
        assert np.allclose(batch.scale[:, 0] * [rms(x) for x in batch.noisy], 1.0, rtol=1e-4)


def test_snr_is_the_one_asked_for(mixer, data_folder, tmp_path):
    nothing = dict.fromkeys(("noise_alone", "speech_alone", "room", "speed", "colour", "band_limit", "pause"), 0.0)
    nothing |= dict.fromkeys(("level_step", "clipping", "second_noise", "babble", "procedural"), 0.0)
    params = MixParams(snr_db=(7.0, 7.0), level_db=(-30.0, -30.0), **nothing)
    plain = open_mixer(data_folder, "train", params, cache=tmp_path, sample_rate=16000)
    noisy, target = plain.mix(np.random.default_rng(0), N)
    assert 20 * np.log10(active_rms(target) / rms(noisy - target)) == pytest.approx(7.0, abs=0.2)
    assert 20 * np.log10(rms(noisy)) == pytest.approx(-30.0, abs=0.2)


def test_noise_alone_and_speech_alone(mixer, data_folder, tmp_path):
    alone = open_mixer(data_folder, "train", MixParams(noise_alone=1.0), cache=tmp_path, sample_rate=16000)
    noisy, target = alone.mix(np.random.default_rng(0), N)
    assert not target.any()
    assert noisy.any()
    clean = MixParams(noise_alone=0.0, speech_alone=1.0, clipping=0.0)
    quiet = open_mixer(data_folder, "train", clean, cache=tmp_path, sample_rate=16000)
    noisy, target = quiet.mix(np.random.default_rng(0), N)
    assert rms(noisy - target) < 1e-3 * max(rms(target), 0.1)


def test_noise_at_another_speed_is_taken_from_anywhere_in_its_recording():
    """A recording below zero but for its beginning."""
    samples = np.full(40 * 1000, -20000, np.int16)
    samples[:2000] = 20000
    ends = np.array([len(samples)])
    noise = Shelf(samples, np.array([0]), ends, [np.array([0])], np.ones(1))
    mixer = Mixer(MixParams(speed=1.0), noise, noise, noise, noise)
    heard = [mixer._recorded(np.random.default_rng(seed), 1000).mean() for seed in range(20)]
    assert sum(mean < -0.3 for mean in heard) > 10


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


@pytest.mark.parametrize("name", ["codec", "noise_colour", "noise_speed", "whisper", "packet_loss"])
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


def test_impossible_mixtures_are_refused():
    with pytest.raises(ConfigError, match=r"room=1\.5 must be between 0 and 1"):
        MixParams(room=1.5)
    with pytest.raises(ConfigError, match=r"snr_db=\[5.0, 1.0\] must be"):
        MixParams(snr_db=(5.0, 1.0))


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.__name__)
def test_computed_noises_are_sound(generator):
    for seed in range(5):
        noise = generator(np.random.default_rng(seed), N)
        assert noise.shape == (N,)
        assert noise.dtype == np.float32
        assert np.all(np.isfinite(noise))
        assert rms(noise) > 0


def test_computed_noise_has_unit_level_and_no_offset():
    for seed in range(12):
        noise = procedural_noise(np.random.default_rng(seed), N)
        assert rms(noise) == pytest.approx(1.0, rel=1e-3)
        assert abs(noise.mean()) < 0.2


def test_dry_run_writes_a_page_and_sounds(mixer, tmp_path):
    pytest.importorskip("matplotlib")
    from rtdenoise.can.training.pictures import dry_run
    from rtdenoise.can.training.settings import settings_from_mapping

    settings = settings_from_mapping({"network": "can-small", "loss": [{"term": "l1"}], "crop_seconds": 0.5})
    page = dry_run(settings, mixer, tmp_path)
    assert page.read_bytes().startswith(b"\x89PNG")
    expected = make_batch(mixer, seed=settings.seed, number=0, batch_size=8, n_samples=settings.n_samples)
    heard, rate = soundfile.read(tmp_path / "3-noisy.wav")
    assert rate == 16000
    assert np.abs(heard - expected.noisy[3]).max() < 1e-4


def test_silence_is_drawn_dark():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from rtdenoise.can.training.pictures import _spectrogram

    signals = {"silence": np.zeros(N, np.float32), "tone": np.sin(np.arange(N) * 0.3).astype(np.float32)}
    brightest = {}
    for name, signal in signals.items():
        axis = Figure().subplots()
        _spectrogram(axis, signal, 16000, name)
        (image,) = axis.images
        brightest[name] = float(np.max(image.norm(image.get_array())))
    assert brightest["silence"] < 0.001
    assert brightest["tone"] == 1.0


def test_curves_need_a_run(tmp_path):
    from rtdenoise.can.training.pictures import draw_curves

    with pytest.raises(ConfigError, match=r"no train\.csv"):
        draw_curves(tmp_path)
    (tmp_path / "train.csv").write_text("step,loss,audio_hours\n1,0.5,0.1\n2,0.4,0.2\n")
    (tmp_path / "validation.csv").write_text("step,audio_hours,si_sdr_db\n2,0.2,5.0\n")
    pytest.importorskip("matplotlib")
    assert draw_curves(tmp_path).read_bytes().startswith(b"\x89PNG")
