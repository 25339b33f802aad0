"""Mixtures made on the fly: batches, levels, noises, and the page that shows them."""

from __future__ import annotations

import contextlib
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

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data import batches as making
from rtdenoise.lab.data.batches import _pool as make_pool
from rtdenoise.lab.data.batches import batches, make_batch
from rtdenoise.lab.data.library import Shelf
from rtdenoise.lab.data.mixtures import Mixer, MixParams, active_rms, rms
from rtdenoise.lab.data.procedural import GENERATORS, procedural_noise
from rtdenoise.lab.training.session import open_mixer

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
        "from rtdenoise.lab.data.batches import batches\n"
        "from rtdenoise.lab.data.mixtures import MixParams\n"
        "from rtdenoise.lab.training.session import open_mixer\n"
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
    from rtdenoise.lab.training.pictures import dry_run
    from rtdenoise.lab.training.settings import settings_from_mapping

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
    from rtdenoise.lab.training.pictures import dry_run
    from rtdenoise.lab.training.settings import settings_from_mapping

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

    from rtdenoise.lab.training.pictures import _spectrogram

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
    from rtdenoise.lab.training.pictures import draw_curves

    with pytest.raises(ConfigError, match=r"no train\.csv"):
        draw_curves(tmp_path)
    (tmp_path / "train.csv").write_text("step,loss,audio_hours\n1,0.5,0.1\n2,0.4,0.2\n")
    (tmp_path / "validation.csv").write_text("step,audio_hours,si_sdr_db\n2,0.2,5.0\n")
    pytest.importorskip("matplotlib")
    assert draw_curves(tmp_path).read_bytes().startswith(b"\x89PNG")
