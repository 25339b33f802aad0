"""One grid of frequencies: spectral networks in the compiled engine at the rate of the stream, 8 to 192 kHz."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import rtdenoise
from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.compiled.denoiser import CompiledCan
from rtdenoise.methods.can.compiled.grid import framing_at, initial_frames, mask_above
from rtdenoise.methods.can.specs import SPECS
from rtdenoise.registry import PROCESSING_RATES_HZ
from rtdenoise.streaming.overlap_add import Framing
from rtdenoise.streaming.windows import window_pair
from tests.methods.can import reference
from tests.methods.can.networks import ALL, network_with_head, random_network, stream
from tests.methods.can.tolerances import compiled_atol
from tests.tolerances import ROUND_TRIP_ATOL

SPECTRAL = [spec for spec in SPECS.values() if spec.domain == "spectral"]
NETWORKS = [*SPECTRAL, *(spec for spec in ALL.values() if spec.domain == "spectral")]
RATES = sorted(
    {*range(8000, 192001, 997), *PROCESSING_RATES_HZ, 8063, 8100, 8125, 8250, 8252, 9600, 11127, 18900, 24100}
)
RUN = [
    ("complex", 8000, random_network),
    ("no overlap", 11025, random_network),
    ("no overlap", 9600, random_network),  # the nearest hop is odd
    ("fine", 44100, random_network),
    ("wide overlap", 48000, random_network),
    ("8 ms", 24000, network_with_head),
    ("fine", 44100, network_with_head),
    ("wide overlap", 48000, network_with_head),
    ("no overlap, magnitude", 96000, network_with_head),
]


def lively(n: int, rate: int, seed: int = 0) -> np.ndarray:
    """Bursts of harmonics up to half the rate in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(n) / rate
    voice = sum(np.sin(2 * np.pi * 440 * k * t) / k for k in range(1, rate // 880)) * (np.sin(2 * np.pi * 5 * t) > 0)
    return (0.1 * voice + rng.normal(0, 0.02, n)).astype(np.float32)


@pytest.fixture(scope="module", params=RUN, ids=lambda run: f"{run[0]} at {run[1]} Hz, {run[2].__name__}")
def shared(request):
    name, rate, make = request.param
    return CompiledCan(make(name), sample_rate=rate), make(name)


@pytest.fixture
def denoiser(shared):
    shared[0].reset()
    return shared[0]


@pytest.mark.parametrize(
    ("model", "rate", "frame", "span", "hop"),
    [
        ("can-live", 8000, 256, 128, 64),
        ("can-live", 16000, 512, 256, 128),
        ("can-live", 44100, 1408, 704, 352),
        ("can-live", 48000, 1536, 768, 384),
        ("can-live", 192000, 6144, 3072, 1536),
        ("can-ultra", 48000, 1536, 384, 96),
        ("can-wave", 48000, 1536, 384, 384),
        ("can-small", 44100, 1408, 704, 352),
        ("can-small", 88200, 2816, 1408, 704),
    ],
)
def test_lengths_of_usual_rates(model, rate, frame, span, hop):
    spec = SPECS[model]
    assert framing_at(spec, rate, spec.span) == Framing(sample_rate=rate, frame=frame, span=span, hop=hop)


@pytest.mark.parametrize("rate", PROCESSING_RATES_HZ)
@pytest.mark.parametrize("spec", SPECTRAL, ids=lambda spec: spec.name)
def test_bins_are_as_far_apart_at_every_usual_rate(spec, rate):
    framing = framing_at(spec, rate, spec.span)
    assert abs(rate / framing.frame / (spec.sample_rate / spec.frame) - 1) < 0.003
    assert framing.frame * spec.hop == framing.hop * spec.frame and framing.span * spec.hop == framing.hop * spec.span


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.name)
def test_there_are_windows_at_every_rate_and_both_spectra_share_frame_and_hop(spec):
    for rate in RATES:
        framing, listening = (framing_at(spec, rate, span) for span in (spec.span, spec.listening_span))
        assert (
            framing.span * spec.hop == framing.hop * spec.span and framing.frame * spec.hop == framing.hop * spec.frame
        )
        assert (listening.hop, listening.frame) == (framing.hop, framing.frame)
        for at in (framing, listening):
            record = initial_frames(spec, at)[0]
            assert (record["analysis"].size, record["synthesis"].size) == (at.frame, at.span)


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda spec: spec.name)
def test_no_hop_that_has_windows_is_nearer_unless_within_a_three_hundredth(spec):
    for rate in RATES:
        exact, chosen = spec.hop * rate / spec.sample_rate, framing_at(spec, rate, spec.span).hop
        missed = abs(chosen - exact)
        nearer = [hop for hop in range(int(exact - missed), int(exact + missed) + 2) if abs(hop - exact) < missed]
        assert missed <= exact / 300 or not any(has_windows(spec, hop) for hop in nearer), rate


def has_windows(spec, hop: int) -> bool:
    try:
        window_pair(spec.frame // spec.hop * hop, spec.span // spec.hop * hop, hop)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("model", "low_percent", "high_percent", "from_hz"),
    [
        ("can-ultra", 3.13, 1.57, 75000),
        ("can-live", 0.78, 0.39, 18750),
        ("can-wave", 1.57, 0.79, 37500),
        ("can-small", 0.78, 0.39, 18750),
    ],
)
def test_bins_and_delays_deviate_by_no_more_than_documented(model, low_percent, high_percent, from_hz):
    spec = SPECS[model]
    for rate in (*RATES, 8062, 16062, 16125, 16250):  # and the worst
        framing = framing_at(spec, rate, spec.span)
        seconds = framing.span / rate / (spec.span / spec.sample_rate)
        spacing = rate / framing.frame / (spec.sample_rate / spec.frame)
        limit = low_percent if rate < 16000 else high_percent if rate < from_hz else 0.335
        assert 100 * max(abs(seconds - 1), abs(spacing - 1)) < limit, rate


def test_any_rate_is_taken_and_rates_out_of_range_are_refused():
    assert framing_at(SPECS["can-live"], 9973, 256).hop == 80
    for rate in (7999, 192001, float("nan")):
        with pytest.raises(ConfigError, match="from 8000 to 192000"):
            CompiledCan(random_network("complex"), sample_rate=rate)


def test_reports_of_files_say_at_which_rate_and_how_far_up(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "a.wav", lively(24000, 48000), 48000)
    for rate, processed, band in ((None, 48000, 24000.0), (16000, 16000, 7200.0)):
        config = {"can": {"model": "can-small"}, "processing_rate_hz": rate}
        report = rtdenoise.denoise_file(tmp_path / "a.wav", tmp_path / f"{rate}.wav", method="CAN", config=config)
        assert (report.processing_rate_hz, report.band_hz) == (processed, band)


def test_hop_by_hop_equals_the_whole_signal_in_float64(shared, denoiser):
    signal = lively(60 * denoiser.hop, denoiser.sample_rate)
    expected = reference.whole_signal(shared[1], signal, denoiser.framing)
    assert_allclose(stream(denoiser, signal), expected, atol=compiled_atol(shared[1].spec))


def test_reset_forgets_everything_even_nan(denoiser):
    signal = lively(40 * denoiser.hop, denoiser.sample_rate)
    first = stream(denoiser, signal)
    stream(denoiser, np.full(20 * denoiser.hop, np.nan, np.float32))
    denoiser.reset()
    assert_array_equal(stream(denoiser, signal), first)


def test_one_call_for_many_hops_gives_the_same_samples(denoiser):
    """Sixteen hops go through a dense stack together, in fours; of any number some may be left."""
    counts = [*range(1, 20), 40]
    signal = lively(sum(counts) * denoiser.hop, denoiser.sample_rate)
    one_by_one = stream(denoiser, signal)
    denoiser.reset()
    together, start = np.empty_like(signal), 0
    for count in counts:
        part = slice(start, start := start + count * denoiser.hop)
        denoiser.process_hops(signal[part], together[part])
    assert_array_equal(together, one_by_one)


def test_the_delay_is_the_reported_one_and_a_gain_of_one_changes_nothing(shared, denoiser):
    """With a limit of 0 dB a network that only scales returns its input, whatever its weights."""
    if shared[1].spec.mask == "complex":
        pytest.skip("this network rotates, too")
    impulse = np.zeros(20 * denoiser.hop, np.float32)
    impulse[3 * denoiser.hop + 5] = 1.0
    denoiser.gain_min[0] = 1.0
    out = stream(denoiser, impulse)
    denoiser.reset()
    assert_allclose(out, np.roll(impulse, denoiser.latency_samples), atol=ROUND_TRIP_ATOL)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_bin_has_the_value_that_it_has_at_the_rate_of_the_network(rate):
    """A tone as far between two bins, analysed at two rates by the windows of each."""
    from rtdenoise.kernels.overlap_add import analyse
    from rtdenoise.methods.can.compiled.grid import read_bins

    spec, found = SPECS["can-live"], []
    for hz in (spec.sample_rate, rate):
        framing = framing_at(spec, hz, spec.span)
        frames = initial_frames(spec, framing)
        tone = (0.3 * np.sin(2 * np.pi * 32.1 * np.arange(framing.frame) / framing.frame)).astype(np.float32)
        for start in range(0, framing.frame, framing.hop):
            analyse(tone[start : start + framing.hop], frames[0])
        found.append(np.zeros(spec.n_bins, np.complex64))
        read_bins(frames[0], found[-1])
    near = slice(28, 37)  # bins of the tone's main lobe
    assert_allclose(np.abs(found[1][near]), np.abs(found[0][near]), rtol=0.02, atol=0.1)


def test_above_the_band_the_gain_is_what_was_kept_just_below():
    spec = SPECS["can-live"]
    frames = initial_frames(spec, framing_at(spec, 48000, spec.span))
    frame = frames[0]
    rng = np.random.default_rng(0)
    heard = (rng.normal(size=257) + 1j * rng.normal(size=257)).astype(np.complex64)
    for gain, gain_min, expected in ((0.1, 0.001, 0.1), (0.1, 0.5, 0.5), (1.0, 0.001, 1.0)):
        frame["guide_energies"] = 0.0
        frame["spectrum"] = 1.0
        masked = heard.copy()
        masked[160:] *= np.float32(gain)
        masked[:160] = 0.0
        mask_above(heard, masked, frame, np.float32(gain_min))
        assert_allclose(np.abs(frame["spectrum"][257:]), expected, rtol=1e-3)
        assert np.all(frame["spectrum"][:257] == 1.0)


def test_hisses_of_a_clean_voice_keep_their_level_above_8_khz_and_noise_falls_with_the_band_below():
    rate, rng = 48000, np.random.default_rng(3)
    t = np.arange(4 * rate) / rate
    voice = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 40)) * (np.sin(2 * np.pi * 2 * t) > 0.3)
    hiss = rng.normal(size=t.size) * (np.sin(2 * np.pi * 2 * t) < -0.8)
    hiss = np.fft.irfft(np.fft.rfft(hiss) * (np.fft.rfftfreq(t.size, 1 / rate) > 3500), t.size)
    clean = (0.1 * voice + 0.1 * hiss + 1e-4 * rng.normal(size=t.size)).astype(np.float32)

    def level_db(x: np.ndarray, low: float, high: float, where: np.ndarray) -> float:
        spectrum = np.fft.rfft(x * where)
        hz = np.fft.rfftfreq(x.size, 1 / rate)
        return 10 * np.log10(np.sum(np.abs(spectrum[(hz > low) & (hz < high)]) ** 2))

    late = t > 2
    out = rtdenoise.denoise(clean, rate, "CAN")
    during = late & (np.sin(2 * np.pi * 2 * t) < -0.85)
    assert abs(level_db(out, 8000, 14000, during) - level_db(clean, 8000, 14000, during)) < 2
    noise = rng.normal(0, 0.02, t.size).astype(np.float32)
    out = rtdenoise.denoise(noise, rate, "CAN")
    taken = [level_db(noise, *band, late) - level_db(out, *band, late) for band in ((5000, 8000), (8000, 14000))]
    assert taken[0] > 12 and -3 < taken[1] - taken[0] < 2
