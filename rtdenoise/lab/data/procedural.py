"""Synthetic noises: hum, clicks, wind, keystrokes, shaped and modulated noise, tones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft, signal

from rtdenoise.typing import F32

_RATE_HZ = 16000.0


def _shaped(rng: np.random.Generator, n: int, gain_of_hz: Callable[[F32], F32]) -> F32:
    """Gaussian noise with the given amplitude response."""
    size = fft.next_fast_len(n, real=True)
    spectrum = fft.rfft(rng.standard_normal(size, dtype=np.float32))
    hz = np.fft.rfftfreq(size, 1.0 / _RATE_HZ).astype(np.float32)
    shaped: F32 = fft.irfft(spectrum * gain_of_hz(hz), size)[:n].astype(np.float32)
    return shaped


def _slow(rng: np.random.Generator, n: int, rate_hz: float) -> F32:
    """A random curve between 0 and 1 that changes about `rate_hz` times a second."""
    knots = max(int(n / _RATE_HZ * rate_hz), 1) + 2
    return np.interp(np.linspace(0, knots - 1, n), np.arange(knots), rng.random(knots)).astype(np.float32)


def coloured(rng: np.random.Generator, n: int) -> F32:
    """Noise falling (or rising) by -10 to +4 dB an octave, sometimes with a resonance."""
    slope = rng.uniform(-1.7, 0.6)
    centre, width = rng.uniform(100.0, 6000.0), rng.uniform(0.1, 1.0)
    bump = rng.uniform(0.0, 6.0) * (rng.random() < 0.5)

    def gain(hz: F32) -> F32:
        octave = np.log2(np.maximum(hz, 30.0) / 1000.0)
        resonance = 1.0 + bump * np.exp(-0.5 * ((octave - np.log2(centre / 1000.0)) / width) ** 2)
        return np.asarray(2.0 ** (slope * octave) * resonance, np.float32)

    return _shaped(rng, n, gain)


def modulated(rng: np.random.Generator, n: int) -> F32:
    """Coloured noise that swells: engines, surf, crowds."""
    if rng.random() < 0.5:
        time = np.arange(n, dtype=np.float32) / np.float32(_RATE_HZ)
        envelope = 1.0 + rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * rng.uniform(0.5, 20.0) * time + rng.uniform(0, 6))
    else:
        envelope = 0.1 + _slow(rng, n, rng.uniform(0.5, 8.0)) ** rng.uniform(1.0, 4.0)
    swelling: F32 = (coloured(rng, n) * envelope).astype(np.float32)
    return swelling


def hum(rng: np.random.Generator, n: int) -> F32:
    """Mains or motor: harmonics of one fundamental, drifting a little, over soft noise."""
    fundamental = rng.choice([50.0, 60.0, rng.uniform(30.0, 400.0)])
    drift = fundamental * (1.0 + 0.01 * (_slow(rng, n, 1.0) - 0.5))
    phase = 2.0 * np.pi * np.cumsum(drift / _RATE_HZ)
    total = 0.03 * rng.random() * coloured(rng, n)
    fall = rng.uniform(0.3, 1.5)
    turn = np.exp(1j * phase)
    turned = np.ones_like(turn)
    for harmonic in range(1, min(int(7000.0 / fundamental), 30) + 1):
        turned *= turn  # e^(i harmonic phase): a product takes a tenth of a sine's time
        amplitude = rng.random() * harmonic**-fall
        start = rng.uniform(0, 6.3)
        total = total + amplitude * (np.cos(start) * turned.imag + np.sin(start) * turned.real)
    return np.asarray(total, np.float32)


def wind(rng: np.random.Generator, n: int) -> F32:
    """Wind on a microphone: gusts of noise below a few hundred hertz."""
    corner = rng.uniform(40.0, 300.0)
    gusts = _slow(rng, n, rng.uniform(1.0, 6.0)) ** 2 + 0.03
    rumble = _shaped(rng, n, lambda hz: np.asarray(1.0 / (1.0 + (hz / corner) ** 2), np.float32))
    return np.asarray(gusts * rumble, np.float32)


def impulses(rng: np.random.Generator, n: int) -> F32:
    """Keystrokes, clicks, knocks: short decaying resonant bursts at irregular times."""
    total = np.zeros(n, np.float32)
    for start in np.cumsum(rng.exponential(_RATE_HZ / rng.uniform(1.5, 12.0), 60)).astype(int):
        if start >= n:
            break
        length = int(rng.uniform(0.004, 0.08) * _RATE_HZ)
        decay = np.exp(-np.arange(length) / (length * rng.uniform(0.1, 0.3)))
        burst = rng.standard_normal(length) * decay
        if rng.random() < 0.6:
            burst = burst + 2.0 * decay * np.sin(np.arange(length) * rng.uniform(0.05, 2.2))
        stop = min(n, start + length)
        total[start:stop] += (rng.uniform(0.2, 1.0) * burst[: stop - start]).astype(np.float32)
    return total + np.float32(0.003) * coloured(rng, n)


def tones(rng: np.random.Generator, n: int) -> F32:
    """Beeps and music-like chords: notes with harmonics, starting and stopping."""
    total = np.zeros(n, np.float32)
    root = rng.uniform(100.0, 900.0)
    start = 0
    while start < n:
        length = min(int(rng.uniform(0.08, 0.9) * _RATE_HZ), n - start)
        time = np.arange(length) / _RATE_HZ
        note = np.zeros(length)
        for step in rng.choice([0, 3, 4, 5, 7, 9, 12, 16, 19], rng.integers(1, 4), replace=False):
            hz = root * 2.0 ** (step / 12.0)
            for harmonic in range(1, int(rng.integers(2, 7))):
                note += rng.random() / harmonic * np.sin(2 * np.pi * min(hz * harmonic, 7500.0) * time)
        fade = np.minimum(1.0, time / 0.01) * np.exp(-time * rng.uniform(0.0, 6.0))
        total[start : start + length] += (note * fade).astype(np.float32)
        start += int(length * rng.uniform(0.9, 1.8)) + 1
    return total + np.float32(0.002) * rng.standard_normal(n, dtype=np.float32)


def vehicle(rng: np.random.Generator, n: int) -> F32:
    """Inside a car: deep rumble, tyre noise, engine harmonics."""
    rumble = _shaped(rng, n, lambda hz: np.asarray(1.0 / (1.0 + (hz / 60.0) ** 1.6), np.float32))
    tyres = _shaped(rng, n, lambda hz: np.asarray(hz / 500.0 / (1.0 + (hz / 800.0) ** 3), np.float32))
    engine = hum(rng, n)
    return np.asarray(rumble + rng.uniform(0.01, 0.2) * tyres + rng.uniform(0.0, 0.05) * engine, np.float32)


GENERATORS: tuple[Callable[[np.random.Generator, int], F32], ...] = (
    coloured,
    modulated,
    hum,
    wind,
    impulses,
    tones,
    vehicle,
)


def procedural_noise(rng: np.random.Generator, n: int) -> F32:
    """``(n,)`` float32 of a kind drawn at random, DC removed, unit RMS."""
    noise = GENERATORS[rng.integers(len(GENERATORS))](rng, n)
    noise = signal.lfilter([1.0, -1.0], [1.0, -0.995], noise).astype(np.float32)
    rms = float(np.sqrt(np.mean(noise * noise))) + 1e-9
    unit: F32 = np.asarray(noise / rms, np.float32)
    return unit
