"""In the place of the package webrtc-noise-gain: `AudioProcessor`, 10 ms at 16 kHz at a time.

For programs that import ``webrtc_noise_gain``, such as wyoming-satellite::

    import sys, rtdenoise.integrations.webrtc
    sys.modules["webrtc_noise_gain"] = rtdenoise.integrations.webrtc
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtdenoise.choice import Choice
from rtdenoise.errors import ConfigError
from rtdenoise.integrations.blocks import ByteBlocks, whole_number

SAMPLE_RATE_HZ = 16000
BLOCK_SAMPLES = 160
LIMITS_DB = (0.0, 6.0, 12.0, 18.0, 21.0)
"""Attenuation limit of each level of noise suppression: WebRTC's own, none to very high."""

_SPEECH = 0.5


@dataclass(frozen=True, slots=True)
class ProcessedAudioChunk:
    """10 ms of enhanced audio, and whether there was speech in what went in."""

    audio: bytes
    is_speech: bool


class AudioProcessor:
    """Noise suppression for 16-bit mono audio at 16 kHz.

    Parameters
    ----------
    auto_gain : int
        0: gain is not automatic; there is nothing else.
    noise_suppression : int
        0 (none) to 4 (very high): an attenuation limit of 0, 6, 12, 18 or 21 dB.
    method, preset, model
        As for `rtdenoise.stream`.

    Raises
    ------
    ConfigError
        For another gain or level, and as for `rtdenoise.stream`.
    """

    def __init__(
        self,
        auto_gain: int = 0,
        noise_suppression: int = 0,
        *,
        method: str | None = None,
        preset: str | None = "low",
        model: str | Path | None = None,
    ) -> None:
        if whole_number(auto_gain, "auto_gain", 0, 31) != 0:
            raise ConfigError(
                f"auto_gain={auto_gain} is not offered; give 0, and set the microphone's level where it is recorded"
            )
        level = whole_number(noise_suppression, "noise_suppression", 0, len(LIMITS_DB) - 1)
        self._blocks = ByteBlocks(
            BLOCK_SAMPLES,
            SAMPLE_RATE_HZ,
            "Process10ms",
            Choice(method, preset, model=model, attenuation_limit_db=LIMITS_DB[level]),
        )

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, in samples."""
        return self._blocks.stream.latency_samples

    def Process10ms(self, data: bytes) -> ProcessedAudioChunk:  # noqa: N802 - the name in webrtc-noise-gain
        """Enhance 320 bytes, 160 samples of 16 bits.

        Raises
        ------
        SignalError
            For anything else.
        """
        audio = self._blocks.process(data)
        probability = self._blocks.stream.speech_probability
        return ProcessedAudioChunk(audio, probability is not None and probability >= _SPEECH)
