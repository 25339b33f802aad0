"""Pipecat: a recording through the filter that a transport would use, 20 ms at a time.

    python examples/agent_pipecat.py noisy.wav clean.wav

In an agent there is one line of it: TransportParams(audio_in_enabled=True, audio_in_filter=RtDenoiseFilter()).
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import soundfile
from pipecat.transports.base_transport import TransportParams

import rtdenoise
from rtdenoise.integrations.pipecat import RtDenoiseFilter


async def main(source: str, target: str) -> None:
    samples, rate = soundfile.read(source, dtype="int16")
    params = TransportParams(audio_in_enabled=True, audio_in_filter=RtDenoiseFilter("WF"))
    audio_filter, size = params.audio_in_filter, rate // 50
    rtdenoise.stream("WF", sample_rate=rate, preset="low")  # the first one compiles; a pipeline would not wait for it
    await audio_filter.start(rate)
    late = audio_filter.latency_samples
    pieces = [await audio_filter.filter(samples[at : at + size].tobytes()) for at in range(0, len(samples), size)]
    await audio_filter.stop()
    soundfile.write(target, np.frombuffer(b"".join(pieces), "<i2"), rate)
    print(f"{len(samples) / rate:.1f} s, {1000 * late / rate:.1f} ms late")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
