"""Random training mixtures: a voice, a room, noises, levels, and the effects of microphones and lines."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.bands import band_ended
from rtdenoise.lab.data.devices import coded, pumping_gain, soft_clipped
from rtdenoise.lab.data.held import held_vowels
from rtdenoise.lab.data.library import Shelf
from rtdenoise.lab.data.procedural import procedural_noise
from rtdenoise.lab.data.whisper import whispered
from rtdenoise.methods.can.checks import require_between, require_number
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db

_RATE_HZ = 16000
_TINY = 1e-9
_PACKET = 320  # samples
LAWS = ((8192.0, 8158.0, 33.0), (4096.0, 4095.0, 0.0))  # of `companded`: mu-law, A-law
_SPEEDS = ((8, 9), (9, 10), (10, 11), (11, 10), (10, 9), (9, 8))
_NOISE_SPEEDS = ((2, 3), (3, 4), (4, 5), (5, 4), (4, 3), (3, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class MixParams:
    """Ranges and probabilities of a mixture's components; levels in dB, probabilities between 0 and 1.

    `codec` is the share of mixtures passed through a telephone line; `noise_colour` and `noise_speed` are the shares of
    recorded noises given a random frequency response, and played much faster or slower, which stretches a small
    collection; `whisper` is that of whispering voices, `held` that of vowels held for seconds, `packet_loss` that of
    mixtures with gaps of 20 ms, `band_end` that of mixtures whose band ends below 8 kHz, `near_clean` that of mixtures
    with an SNR in `near_clean_db`; `noise_room` is that of noises in a room: if the voice has one, another response of
    its group; `gain_control`, `soft_clipping` and `lossy_codec` are those of mixtures behind what
    `rtdenoise.lab.data.devices` describes.  A share of 0 draws no random number, so a seed's other mixtures do not
    depend on whether the option exists.
    """

    snr_db: tuple[float, float] = (-6.0, 22.0)
    level_db: tuple[float, float] = (-42.0, -14.0)
    near_clean_db: tuple[float, float] = (22.0, 45.0)
    noise_alone: float = 0.04
    speech_alone: float = 0.05
    babble: float = 0.18
    procedural: float = 0.17
    second_noise: float = 0.25
    room: float = 0.3
    speed: float = 0.35
    colour: float = 0.35
    band_limit: float = 0.12
    level_step: float = 0.04
    clipping: float = 0.02
    codec: float = 0.0
    noise_colour: float = 0.0
    noise_speed: float = 0.0
    whisper: float = 0.0
    packet_loss: float = 0.0
    held: float = 0.0
    band_end: float = 0.0
    near_clean: float = 0.0
    noise_room: float = 0.0
    gain_control: float = 0.0
    soft_clipping: float = 0.0
    lossy_codec: float = 0.0
    pause: float = 0.25

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not name.endswith("_db"):
                require_between(name, value, 0.0, 1.0)
                continue
            if not isinstance(value, (tuple, list)) or len(value) != 2:
                raise ConfigError(f"{name}={value!r} must be [lowest, highest] in dB")
            for level in value:
                require_number(name, level)
            if value[0] > value[1]:
                raise ConfigError(f"{name}={list(value)} must be [lowest, highest]")


@dataclass(frozen=True, slots=True)
class Mixer:
    """Draws mixtures from shelves of recordings; all randomness comes from the given generator.

    Attributes
    ----------
    speech : Shelf
        Voices that serve as clean targets.
    voices : Shelf
        Voices that serve as babble.
    noise, rooms : Shelf
    """

    params: MixParams
    speech: Shelf
    voices: Shelf
    noise: Shelf
    rooms: Shelf

    def mix(self, rng: np.random.Generator, n: int) -> tuple[F32, F32]:
        """One training pair.

        Returns
        -------
        noisy, target : (n,) float32
            The same level and alignment; the target is the voice in its room, coloured as the mixture is.
        """
        p = self.params
        kind = rng.random()
        speech, place = self._voice(rng, n)
        noise = self._noises(rng, n)
        if p.noise_room and len(self.rooms) and rng.random() < p.noise_room:
            noise = self._in_room(noise, self.rooms.draw(rng) if place is None else self.rooms.draw_beside(rng, place))
        if kind < p.noise_alone:
            speech[:] = 0.0
        elif kind < p.noise_alone + p.speech_alone:
            noise[:] = 0.0
        near_clean = p.near_clean and rng.random() < p.near_clean
        snr = amplitude_from_db(rng.uniform(*(p.near_clean_db if near_clean else p.snr_db)))
        speech *= 1.0 / (active_rms(speech) + _TINY)
        noise *= 1.0 / (snr * (rms(noise) + _TINY))
        pair = np.stack([speech, noise])
        if rng.random() < p.colour:
            pair = _coloured(rng, pair)
        if rng.random() < p.band_limit:
            pair = _band_limited(rng, pair)
        if p.band_end and rng.random() < p.band_end:
            pair = band_ended(rng, pair)
        noisy, target = self._received(rng, *self._recorded_at_a_level(rng, pair[0] + pair[1], pair[0]))
        dither = rng.standard_normal(n, dtype=np.float32) * np.float32(amplitude_from_db(rng.uniform(-110.0, -85.0)))
        return (noisy + dither).astype(np.float32), target.astype(np.float32)

    def _recorded_at_a_level(self, rng: np.random.Generator, noisy: F32, target: F32) -> tuple[F32, F32]:
        """Both at the level of a recording, which may jump or be turned by a gain control; within full scale."""
        p, n = self.params, noisy.size
        gain = np.full(n, amplitude_from_db(rng.uniform(*p.level_db)) / (rms(noisy) + _TINY), np.float32)
        if rng.random() < p.level_step:
            gain[rng.integers(n) :] *= amplitude_from_db(rng.uniform(-30.0, 20.0))
        noisy, target = noisy * gain, target * gain
        if p.gain_control and rng.random() < p.gain_control:
            pumping = pumping_gain(rng, noisy)
            noisy, target = noisy * pumping, target * pumping
        excess = float(np.max(np.abs(noisy)))
        return (noisy / excess, target / excess) if excess > 1.0 else (noisy, target)

    def _received(self, rng: np.random.Generator, noisy: F32, target: F32) -> tuple[F32, F32]:
        """Behind an amplifier and a line."""
        p, n = self.params, noisy.size
        if rng.random() < p.clipping:
            ceiling = float(np.max(np.abs(noisy))) * rng.uniform(0.3, 0.9)
            noisy = np.clip(noisy, -ceiling, ceiling)
        if p.soft_clipping and rng.random() < p.soft_clipping:
            noisy = soft_clipped(rng, noisy)
        if p.codec and rng.random() < p.codec:
            noisy, target = _telephoned(rng, noisy, target)
        if p.lossy_codec and rng.random() < p.lossy_codec:
            noisy = coded(rng, noisy)
        if p.packet_loss and rng.random() < p.packet_loss:
            arrived = ~lost_samples(rng, n, rng.uniform(0.01, 0.1))
            noisy, target = noisy * arrived, target * arrived
        return noisy, target

    def _voice(self, rng: np.random.Generator, n: int) -> tuple[F32, int | None]:
        """A stretch of one speaker: utterances one after the other, at another speed, in a room; its response."""
        group = self.speech.draw_group(rng)
        parts: list[F32] = []
        total = 0
        wanted = n + 2048
        while total < wanted:
            utterance = self.speech.recording(self.speech.draw(rng, group))
            if not parts:
                utterance = utterance[int(rng.integers(max(1, len(utterance) - _RATE_HZ))) :]
            parts.append(utterance / (active_rms(utterance) + _TINY))
            total += len(utterance)
            if rng.random() < self.params.pause:
                parts.append(np.zeros(int(rng.uniform(0.1, 1.2) * _RATE_HZ), np.float32))
                total += len(parts[-1])
        voice = np.concatenate(parts)[: int(wanted * 1.2)]
        if rng.random() < self.params.speed:
            voice = _at_other_speed(rng, voice)
        voice = _fitted(rng, voice, n)
        if self.params.whisper and rng.random() < self.params.whisper:
            voice = whispered(voice, rng)
        if self.params.held and rng.random() < self.params.held:
            voice = held_vowels(voice, rng)
        place = None
        if len(self.rooms) and rng.random() < self.params.room:
            place = self.rooms.draw(rng)
            voice = self._in_room(voice, place)
        return voice.astype(np.float32), place

    def _noises(self, rng: np.random.Generator, n: int) -> F32:
        """One noise, sometimes a second, softer or louder one."""
        noise = self._one_noise(rng, n)
        if rng.random() < self.params.second_noise:
            noise = noise + amplitude_from_db(rng.uniform(-15.0, 5.0)) * self._one_noise(rng, n)
        return noise.astype(np.float32)

    def _one_noise(self, rng: np.random.Generator, n: int) -> F32:
        """Unit RMS: babble, computed, or recorded."""
        kind = rng.random()
        if kind < self.params.babble:
            noise = self._babble(rng, n)
        elif kind < self.params.babble + self.params.procedural:
            return procedural_noise(rng, n)
        else:
            noise = self._recorded(rng, n)
        return noise / np.float32(rms(noise) + _TINY)

    def _recorded(self, rng: np.random.Generator, n: int) -> F32:
        """A stretch of a recording, repeated where it is too short."""
        p = self.params
        for _ in range(4):
            noise = self.noise.recording(self.noise.draw(rng))
            if rng.random() < p.speed:
                noise = _at_other_speed(rng, _stretch(rng, noise, 2 * n))
            if p.noise_speed and rng.random() < p.noise_speed:
                noise = _at_other_speed(rng, _stretch(rng, noise, 2 * n), _NOISE_SPEEDS)
            noise = _fitted(rng, noise, n)
            if rms(noise) > 1e-3:
                coloured = p.noise_colour and rng.random() < p.noise_colour
                return _coloured(rng, noise[None])[0] if coloured else noise
        return procedural_noise(rng, n)

    def _babble(self, rng: np.random.Generator, n: int) -> F32:
        """Three to eight voices at once, in a room half of the time."""
        total = np.zeros(n, np.float32)
        for _ in range(int(rng.integers(3, 9))):
            voice = _fitted(rng, self.voices.recording(self.voices.draw(rng)), n)
            total += voice * np.float32(amplitude_from_db(rng.uniform(-8.0, 0.0)) / (active_rms(voice) + _TINY))
        if len(self.rooms) and rng.random() < 0.5:
            total = self._in_room(total, self.rooms.draw(rng))
        return total

    def _in_room(self, dry: F32, number: int) -> F32:
        """Convolved with a room response, aligned to its direct sound."""
        response = self.rooms.recording(number)[: _RATE_HZ // 2]
        response = response[int(np.argmax(np.abs(response))) :]
        size = fft.next_fast_len(len(dry) + len(response), real=True)
        wet = fft.irfft(fft.rfft(dry, size) * fft.rfft(response, size), size)[: len(dry)]
        return np.asarray(wet, np.float32)


def rms(signal_: F32) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(signal_), dtype=np.float64)))


def active_rms(signal_: F32) -> float:
    """RMS of the 16 ms frames within 30 dB of the loudest: the level of the voice without its pauses."""
    n = len(signal_) // 256
    if n == 0:
        return rms(signal_)
    power = np.mean(np.square(signal_[: n * 256].reshape(n, 256)), axis=1)
    return float(np.sqrt(np.mean(power[power >= 1e-3 * power.max()])))


def _fitted(rng: np.random.Generator, recording: F32, n: int) -> F32:
    """A random stretch of `n` samples; shorter recordings start anywhere and go round."""
    if len(recording) >= n:
        start = int(rng.integers(len(recording) - n + 1))
        return recording[start : start + n].copy()
    return np.resize(np.roll(recording, int(rng.integers(len(recording)))), n)


def _stretch(rng: np.random.Generator, recording: F32, n: int) -> F32:
    """`n` samples from anywhere; a shorter recording as it is."""
    start = int(rng.integers(max(1, len(recording) - n + 1)))
    return recording[start : start + n]


def _at_other_speed(rng: np.random.Generator, recording: F32, speeds: tuple[tuple[int, int], ...] = _SPEEDS) -> F32:
    up, down = speeds[rng.integers(len(speeds))]
    return np.asarray(signal.resample_poly(recording, up, down, window=_low_pass(max(up, down))), np.float32)


@functools.cache
def _low_pass(rate: int) -> F32:
    """The filter that `resample_poly` designs anew in every call, of float32 samples."""
    return np.asarray(signal.firwin(20 * rate + 1, 1.0 / rate, window=("kaiser", 5.0)), np.float32)


def _coloured(rng: np.random.Generator, pair: F32) -> F32:
    """A smooth random frequency response of up to 9 dB either way, the same on all signals ``(n_signals, n)``."""
    size = fft.next_fast_len(pair.shape[1] + 256, real=True)
    spectra = fft.rfft(pair, size)
    octave = np.log2(np.maximum(np.arange(spectra.shape[1]) * (8000.0 / spectra.shape[1]), 60.0) / 60.0)
    knots = rng.uniform(-9.0, 9.0, 8)
    gain = 10.0 ** (np.interp(octave, np.linspace(0.0, 7.1, 8), knots) / 20.0)
    return np.asarray(fft.irfft(spectra * gain.astype(np.float32), size)[:, : pair.shape[1]], np.float32)


def _band_limited(rng: np.random.Generator, pair: F32) -> F32:
    """A telephone, a narrow codec or a cheap microphone: low-pass, sometimes high-pass too."""
    low = signal.butter(6, rng.uniform(3000.0, 7500.0), fs=_RATE_HZ, output="sos")
    pair = signal.sosfilt(low, pair)
    if rng.random() < 0.5:
        high = signal.butter(2, rng.uniform(80.0, 400.0), "highpass", fs=_RATE_HZ, output="sos")
        pair = signal.sosfilt(high, pair)
    return np.asarray(pair, np.float32)


def _telephoned(rng: np.random.Generator, noisy: F32, target: F32) -> tuple[F32, F32]:
    """A telephone line: both signals sampled at 8 kHz, the mixture coded with 8 bits a sample by mu-law or A-law.

    The target is not coded, but loses the upper half of its band like the mixture: no gain can restore it.
    """
    pair = signal.resample_poly(np.stack([noisy, target]), 1, 2, axis=1)
    pair[0] = companded(pair[0], *LAWS[rng.integers(len(LAWS))])
    pair = signal.resample_poly(pair, 2, 1, axis=1)[:, : len(noisy)]
    return np.asarray(pair[0], np.float32), np.asarray(pair[1], np.float32)


def lost_samples(rng: np.random.Generator, n: int, share: float) -> npt.NDArray[np.bool_]:
    """Mask of the `n` samples in lost 20 ms packets; `share` of the packets are lost."""
    return np.repeat(rng.random(n // _PACKET + 1) < share, _PACKET)[:n]


def companded(samples: F32, full_scale: float, largest: float, bias: float) -> F32:
    """Samples coded with 8 bits and decoded again, ITU-T G.711 (1988), tables 1 (A-law) and 2 (mu-law).

    Both laws divide biased magnitudes into octaves of 16 equal steps, the lowest ones of A-law into steps of 2, and
    decode to the middle of a step.

    Parameters
    ----------
    samples : (n,) float32, read
    full_scale : float
        Units of the law in 1.0: 8192 for mu-law, which codes uniform samples of 14 bits, 4096 for A-law, of 13.
    largest : float
        Larger magnitudes overload the coder.
    bias : float
        Added before the octave is determined: 33 for mu-law.
    """
    magnitude = np.minimum(np.abs(samples) * np.float32(full_scale), np.float32(largest)) + np.float32(bias)
    _, octave = np.frexp(magnitude)
    step = np.exp2(np.maximum(octave - 5, 1)).astype(np.float32)
    decoded = (np.floor(magnitude / step) + np.float32(0.5)) * step - np.float32(bias)
    return np.asarray(np.copysign(decoded / np.float32(full_scale), samples), np.float32)
