"""Measure the true round-trip latency with a chirp played through a cable or a virtual card."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from rtdenoise.child.lines import message
from rtdenoise.child.questions import answer, ask
from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.devices import (
    explain,
    find_device,
    list_devices_here,
    load_portaudio_here,
    sane_latency,
)
from rtdenoise.typing import F32

_CHIRP_SECONDS = 0.25
_REPEATS = 3
_GAP_SECONDS = 0.75
_LEVEL = 0.5
_CLEAR = 8.0  # a correlation peak this far above the rest is the chirp
_TIMEOUT_SECONDS = 25.0


@message
@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """What a loopback took: measured samples and ms (every repeat), and what PortAudio reports for it."""

    source: str
    target: str
    rate_hz: int
    samples: list[int]
    measured_ms: float
    reported_ms: float


def chirp(rate: int) -> F32:
    """A logarithmic sweep from 300 Hz to 0.4 of the rate, faded at both ends; (n,) float32."""
    t = np.arange(int(_CHIRP_SECONDS * rate)) / rate
    low, high = 300.0, 0.4 * rate
    grow = np.log(high / low) / _CHIRP_SECONDS
    sweep = np.sin(2.0 * np.pi * low / grow * np.expm1(grow * t))
    return np.asarray(_LEVEL * sweep * np.hanning(t.size) ** 0.25, np.float32)


def find_chirp(recorded: F32, sent: F32, start: int) -> int | None:
    """By how many samples the chirp sent at `start` came back later; None if it cannot be told from the noise.

    Parameters
    ----------
    recorded : (n,) float32, read
    sent : (m,) float32, read
    start : int
    """
    window = recorded[start:]
    n = 1 << int(np.ceil(np.log2(window.size + sent.size)))
    spectrum = np.fft.rfft(window, n) * np.conj(np.fft.rfft(sent, n))
    correlation = abs(np.fft.irfft(spectrum, n)[: max(1, window.size - sent.size // 2)])
    peak = int(np.argmax(correlation))
    return peak if correlation[peak] > _CLEAR * float(np.median(correlation)) + 1e-9 else None


def measure_here(source: str, target: str) -> RoundTrip:
    """Play and record in this process; see `measure`."""
    sd = load_portaudio_here()
    listed = list_devices_here()
    microphone, speaker = find_device(listed, source, "input"), find_device(listed, target, "output")
    rate = microphone.rate_hz
    sent, gap = chirp(rate), int(_GAP_SECONDS * rate)
    starts = [gap + repeat * (sent.size + gap) for repeat in range(_REPEATS)]
    signal = np.zeros(starts[-1] + sent.size + 2 * gap, np.float32)
    for start in starts:
        signal[start : start + sent.size] = sent
    try:
        recorded = sd.playrec(
            signal[:, None], rate, channels=1, device=(microphone.index, speaker.index), blocking=True, latency="low"
        )[:, 0]
        reported = sd.get_stream().latency
    except (sd.PortAudioError, ValueError) as error:
        both = f"{microphone.name!r} with {speaker.name!r}"
        raise DeviceError(explain(error, both, one_system=microphone.host_api == speaker.host_api)) from error
    delays = [find_chirp(recorded[: start + sent.size + gap], sent, start) for start in starts]
    found = [delay for delay in delays if delay is not None]
    if len(found) < _REPEATS:
        raise DeviceError(f"{microphone.name!r} did not hear {speaker.name!r}: join them by a cable, and turn both up")
    return RoundTrip(
        source=microphone.name,
        target=speaker.name,
        rate_hz=rate,
        samples=found,
        measured_ms=round(1000.0 * float(np.median(found)) / rate, 3),
        reported_ms=round(1000.0 * (sane_latency(reported[0]) + sane_latency(reported[1])), 3),
    )


def measure(source: str, target: str) -> RoundTrip:
    """The round trip from a speaker to a microphone, in a process that can be ended.

    Parameters
    ----------
    source, target : str
        Devices, as `find_device` takes them.

    Raises
    ------
    DeviceError
        If a device cannot be used, or does not hear the other.
    """
    trip: RoundTrip = ask(
        "rtdenoise.live_audio.audio.loopback",
        source,
        target,
        timeout_seconds=_TIMEOUT_SECONDS,
        what="the measurement ended",
    )
    return trip


if __name__ == "__main__":
    answer(lambda: measure_here(sys.argv[1], sys.argv[2]))
