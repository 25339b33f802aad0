"""LiveKit: a recording through the processor that an audio stream would use, 50 ms at a time.

    python examples/track_livekit.py noisy.wav clean.wav

In an agent there is one line of it: AudioInputOptions(noise_cancellation=noise_suppression()).
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile
from livekit import rtc

from rtdenoise.integrations.livekit import noise_suppression


def main(source: str, target: str) -> None:
    samples, rate = soundfile.read(source, dtype="int16")
    processor, size, pieces = noise_suppression("WF", rates_hz=[rate]), rate // 20, []
    processor.prepare(rate)
    for at in range(0, len(samples), size):
        piece = samples[at : at + size]
        frame = processor._process(rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece)))  # what a stream calls
        pieces.append(np.frombuffer(frame.data, np.int16))
    soundfile.write(target, np.concatenate(pieces), rate)
    print(f"{len(samples) / rate:.1f} s, {1000 * processor.latency_samples(rate) / rate:.1f} ms late")


if __name__ == "__main__":
    main(*sys.argv[1:])
